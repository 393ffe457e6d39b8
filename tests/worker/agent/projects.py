"""Provides a project for the tests of the tools, and functions that call the tools."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anthropic.lib.tools import ToolError

from worker.agent import file_access
from worker.agent.project import Project
from worker.agent.tool import ToolAnswer
from worker.agent.tool_arguments import ALL_TOOLS
from worker.agent.tools import make_tools

T = TypeVar("T")

SECRET = "canary-of-a-secret"

FILES = {
    "src/Checkout.tsx": "export function CheckoutPage() {\n  return null\n}\n",
    "src/cart.ts": "import { CheckoutPage } from './Checkout'\n// größer 😀\n",
    "docs/guide.md": "# Checkout\n",
}


def make_project(folder: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """Writes these files, those of `FILES` by default, below a new folder `project`; returns it."""
    root = folder / "project"
    for path, content in (FILES if files is None else files).items():
        write(root / path, content)
    return root


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def run(coroutine: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await coroutine

    return asyncio.run(bounded())


def answer(root: Path | Project, name: str, **arguments: object) -> ToolAnswer:
    """Returns what a tool answers to a call of the model."""
    project = root if isinstance(root, Project) else Project(str(root))

    async def call() -> ToolAnswer:
        [tool] = [tool for tool in make_tools(project.open(), ALL_TOOLS) if tool.name == name]
        return await tool.call(arguments)

    return run(call())


def text(root: Path | Project, name: str, **arguments: object) -> str:
    return answer(root, name, **arguments).text


def lines(root: Path | Project, name: str, **arguments: object) -> list[str]:
    return text(root, name, **arguments).splitlines()


def refusal(root: Path | Project, name: str, **arguments: object) -> str:
    """Returns what the model reads when a tool refuses."""
    with pytest.raises(ToolError) as refused:
        answer(root, name, **arguments)
    message = str(refused.value)
    assert SECRET not in message and str(root) not in message and len(message) < 1000
    return message


def children() -> set[int]:
    """Returns the ids of this process's children that it has not yet waited for, without those that read files."""
    return _children() - readers()


def readers() -> set[int]:
    """Returns the ids of this process's children that read files, which stay."""
    return {pid for pid in _children() if file_access.__file__.encode() in _read(f"/proc/{pid}/cmdline")}


def _children() -> set[int]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _read(f"{folder}/stat").rpartition(b")")[2].split()
        if fields and int(fields[1]) == os.getpid():
            found.add(int(folder.name))
    return found


def _read(path: str) -> bytes:
    """Returns the content of a file of a process, nothing where the process has ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""

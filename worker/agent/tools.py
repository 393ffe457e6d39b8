"""The tools the agent looks at the project with: Read, Grep and Glob, confined to its root.

Read is the SDK's own, as is the confinement. Its glob and grep walk the project on the event loop, where a hundred
jobs wait, answer with this machine's absolute paths, and without a ripgrep outside of the project fall back to
Python's `re`, which a bad pattern can stop for minutes. So these two ask ripgrep, which is linear in time, runs beside
the loop, honours .gitignore and leaves hidden files alone.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG
from typing import Any

from anthropic.lib.tools import BetaAsyncFunctionTool, ToolError, beta_async_tool
from anthropic.lib.tools.agent_toolset import AgentToolContext, beta_read_tool, resolve_path

from shared.contract.schemas import ToolName

MAX_OUTPUT_CHARACTERS = 30_000
"""Of a tool's answer; what the model is given counts as input of every later call."""
MAX_SEARCH_BYTES = 2 * MAX_OUTPUT_CHARACTERS
MAX_LISTING_BYTES = 20_000_000
MAX_PATHS = 200
SEARCH_SECONDS = 10.0
MAX_COLUMNS = 300
SECRET_NAMES = (".env", ".npmrc", ".pypirc", ".netrc", ".git-credentials")
SECRET_ENDINGS = (".pem", ".key", ".p12", ".pfx")
SECRET_FOLDERS = (".git", ".ssh", ".aws", ".gnupg")

ALL_TOOLS: tuple[ToolName, ...] = ("Read", "Grep", "Glob")

Tool = BetaAsyncFunctionTool[Any]


def ripgrep_path() -> str | None:
    """Where ripgrep is: beside this Python, else on the PATH."""
    beside = Path(sys.executable).parent / "rg"
    return str(beside) if beside.exists() else shutil.which("rg")


class Project:
    """The directory the agent may read."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).resolve()
        self._context = AgentToolContext(workdir=self.root, max_image_base64_bytes=1, max_pdf_bytes=1)
        self._read = beta_read_tool(self._context)
        self._ripgrep = ripgrep_path() or "rg"

    def tools(self, names: Sequence[ToolName]) -> list[Tool]:
        """The tools of these names."""
        made: dict[ToolName, Callable[[], Tool]] = {
            "Read": self._read_tool,
            "Grep": self._grep_tool,
            "Glob": self._glob_tool,
        }
        return [made[name]() for name in dict.fromkeys(names)]

    def _read_tool(self) -> Tool:
        async def read(file_path: str, view_range: list[int] | None = None) -> str:
            self._inside(file_path)
            arguments = {"file_path": file_path} | ({"view_range": view_range} if view_range else {})
            # Reading blocks, and a file may be slow: beside the loop, on a loop of its own.
            content = await asyncio.to_thread(lambda: asyncio.run(_call(self._read, arguments)))
            if not isinstance(content, str):
                raise ToolError("Read: only text files can be read")
            return _clipped(content)

        return beta_async_tool(
            read,
            name="Read",
            description="Read a text file of the project. `view_range` is [first line, last line], from 1.",
            input_schema=_schema(file_path="string", view_range="integers", required=["file_path"]),
        )

    def _grep_tool(self) -> Tool:
        async def grep(pattern: str, path: str | None = None) -> str:
            where = self._inside(path or ".")
            flags = [
                "--line-number",
                "--no-heading",
                "--with-filename",
                f"--max-columns={MAX_COLUMNS}",
                "--max-count=50",
                *(f"--iglob=!*{ending}" for ending in SECRET_ENDINGS),
            ]
            found = await self._ripgrep_output([*flags, "--sort=path", "-e", pattern, "--", where], MAX_SEARCH_BYTES)
            return _clipped("\n".join(line.removeprefix("./") for line in found.splitlines())) or "no matches"

        return beta_async_tool(
            grep,
            name="Grep",
            description="Search the project's files for a regular expression (ripgrep's syntax).",
            input_schema=_schema(pattern="string", path="string", required=["pattern"]),
        )

    def _glob_tool(self) -> Tool:
        async def glob(pattern: str, path: str | None = None) -> str:
            if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
                raise ToolError("Glob: the pattern must stay inside the project")
            where = self._inside(path or ".")
            # A glob makes ripgrep forget what .gitignore says and that hidden files are to be left alone, so the
            # files that match are looked up among those it would search.
            searched = set((await self._ripgrep_output(["--files", "--", where], MAX_LISTING_BYTES)).splitlines())
            listing = await self._ripgrep_output(["--files", f"--glob={pattern}", "--", where], MAX_LISTING_BYTES)
            lines = sorted(searched.intersection(listing.splitlines()))
            more = f"\n[{len(lines) - MAX_PATHS} more]" if len(lines) > MAX_PATHS else ""
            return _clipped("\n".join(line.removeprefix("./") for line in lines[:MAX_PATHS]) + more) or "no matches"

        return beta_async_tool(
            glob,
            name="Glob",
            description="List the project's files whose path matches a glob pattern, such as **/*.py.",
            input_schema=_schema(pattern="string", path="string", required=["pattern"]),
        )

    def _inside(self, path: str) -> str:
        """The path relative to the root. Raises ToolError for one outside, or one that holds secrets."""
        try:
            target = resolve_path(self._context, path)
        except ValueError:
            raise ToolError(f"{path}: outside the project") from None
        inside = target.relative_to(self.root)
        names = [part.lower() for part in inside.parts]
        if any(name in SECRET_FOLDERS for name in names) or (names and _is_secret(names[-1])):
            raise ToolError(f"{path}: not readable")
        try:
            mode = target.stat().st_mode
        except OSError:
            raise ToolError(f"{path}: no such file or folder") from None
        if not (S_ISREG(mode) or S_ISDIR(mode)):
            raise ToolError(f"{path}: not a regular file")
        return str(inside) if inside.parts else "."

    async def _ripgrep_output(self, arguments: list[str], max_bytes: int) -> str:
        """What ripgrep says, or the beginning of it. Raises ToolError for a bad pattern, or when it takes too long."""
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
        process = await asyncio.create_subprocess_exec(
            self._ripgrep,
            "--no-config",
            "--no-messages",
            "--color=never",
            *arguments,
            cwd=self.root,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                output, problem = await _bounded_output(process, max_bytes)
        except TimeoutError:
            raise ToolError(f"the search took longer than {SEARCH_SECONDS:.0f} s; narrow it") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if not output and process.returncode not in (0, 1, -9):
            raise ToolError(f"not a valid pattern: {problem.strip()[:300]}")
        return output


async def _call(tool: Tool, arguments: dict[str, Any]) -> Any:
    return await tool.call(arguments)


async def _bounded_output(process: asyncio.subprocess.Process, max_bytes: int) -> tuple[str, str]:
    """What the process writes, up to the bound; then it is left to be killed."""
    assert process.stdout is not None and process.stderr is not None
    output = bytearray()
    while len(output) <= max_bytes and (piece := await process.stdout.read(65536)):
        output += piece
    if len(output) > max_bytes:
        return output.decode(errors="replace"), ""
    problem = await process.stderr.read(4096)
    await process.wait()
    return output.decode(errors="replace"), problem.decode(errors="replace")


def _is_secret(name: str) -> bool:
    if name.endswith((".example", ".sample", ".template")):
        return False
    return name in SECRET_NAMES or name.startswith(".env.") or name.endswith(SECRET_ENDINGS)


def _clipped(text: str) -> str:
    if len(text) <= MAX_OUTPUT_CHARACTERS:
        return text
    return text[:MAX_OUTPUT_CHARACTERS] + f"\n[cut at {MAX_OUTPUT_CHARACTERS} characters]"


def _schema(required: list[str], **types: str) -> dict[str, Any]:
    integers = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    properties = {name: integers if kind == "integers" else {"type": kind} for name, kind in types.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

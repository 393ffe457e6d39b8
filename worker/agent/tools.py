"""Makes the tools with which the agent reads the project: Read, Grep and Glob."""

from collections.abc import Sequence
from typing import Any

from shared.contract.schemas import ToolName
from worker.agent.glob_tool import GlobTool
from worker.agent.grep_tool import GrepTool
from worker.agent.project import OpenProject
from worker.agent.read_tool import ReadTool
from worker.agent.tool import Tool

_TOOLS: dict[ToolName, type[Tool[Any]]] = {"Read": ReadTool, "Grep": GrepTool, "Glob": GlobTool}


def make_tools(project: OpenProject, names: Sequence[ToolName]) -> list[Tool[Any]]:
    """Returns the tools of these names for one job, each once."""
    return [_TOOLS[name](project) for name in dict.fromkeys(names)]

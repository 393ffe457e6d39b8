"""Implements the tool Read, which returns lines of one text file."""

from typing import Any

from anthropic.lib.tools import ToolError

from worker.agent.project import shown
from worker.agent.tool import Tool, ToolAnswer, with_notes
from worker.agent.tool_arguments import ReadArguments

_ENCODINGS = {"latin-1": "Latin-1", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


class ReadTool(Tool[ReadArguments]):
    """Reads lines of a file."""

    name = "Read"
    description = "Read a text file of the project, or some of its lines. Long files come in parts."

    async def _call(self, arguments: ReadArguments) -> ToolAnswer:
        path = self._project.relative(arguments.file_path)
        if path not in await self._project.files(path):
            raise ToolError(await self._project.why_not(path))
        found = await self._project.read(path, arguments.first, arguments.last)
        if found is None:
            raise ToolError(f"{shown(path)}: reading takes too long; ask for fewer lines")
        if "error" in found:
            raise ToolError(f"{shown(path)}: {found['error']}")
        return ToolAnswer(with_notes(found["text"], _notes(found)), frozenset((path,)))


def _notes(found: dict[str, Any]) -> list[str]:
    notes = []
    if found["is_empty"]:
        notes.append("the file is empty")
    elif found["last"] < found["first"] and not found["has_more"]:
        notes.append(f"the file has only {found['line_count']} lines")
    elif found["last"] < found["first"]:
        notes.append("the range ends before it begins")
    if found["encoding"] in _ENCODINGS:
        notes.append(f"this file is {_ENCODINGS[found['encoding']]}, not UTF-8")
    if found["is_late"]:
        notes.append("reading stopped here because it took too long")
    elif found["has_more"] and found["last"] >= found["first"]:
        notes.append(f"the file goes on: view_range [{found['last'] + 1}, ...]")
    return notes

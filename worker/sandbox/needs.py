"""Chooses tool calls by what the model still has to know, whatever tools and first messages it was given.

This serves to compare agents: one that tells more at the beginning gets fewer calls. The needs, in this
order: how the project is laid out and what its README says; where the page's name occurs; what surrounds it in the most
relevant files.
"""

import re
from collections import Counter
from collections.abc import Iterator

from worker.sandbox.checks import text_of
from worker.sandbox.project import files_seen, lines_of
from worker.sandbox.task import Task
from worker.sandbox.wire import JsonObject, ToolCall

_OVERVIEW = re.compile(r"<project>(.*?)</project>", re.DOTALL)
_README = "README.md"
_CONTEXT_LINES = 8
_MOST_LINES = 300
_FILES = 4
"""The number of files that are read."""
_ENOUGH_LINES = 25
"""This many lines of a file tell the model enough about it."""


def needed_calls(task: Task, body: JsonObject, offered: dict[str, JsonObject], text_pattern: str) -> list[ToolCall]:
    """Returns the calls of the next turn; none when nothing is missing, or no tool can find out more."""
    for stage in (_layout(task, body), _search(task, offered, text_pattern), _contents(task)):
        if calls := [call for call in stage if call.name in offered]:
            return calls
    return []


def _layout(task: Task, body: JsonObject) -> Iterator[ToolCall]:
    first = _OVERVIEW.search(text_of(body["messages"][0]["content"]))
    overview = first[1] if first else ""
    if not overview and not _has_used(task, "Glob"):
        yield ToolCall("Glob", {"pattern": "*"})
        yield ToolCall("Glob", {"pattern": "*/*"})
    if f"{_README} begins" not in overview and not _has_used(task, "Read"):
        yield ToolCall("Read", {"file_path": _README})


def _search(task: Task, offered: dict[str, JsonObject], text_pattern: str) -> Iterator[ToolCall]:
    if not _has_used(task, "Grep"):
        properties = offered.get("Grep", {}).get("properties") or {}
        wishes = {"context": _CONTEXT_LINES, "head_limit": _MOST_LINES}
        possible = {name: value for name, value in wishes.items() if name in properties}
        yield ToolCall("Grep", {"pattern": text_pattern, **possible})


def _contents(task: Task) -> Iterator[ToolCall]:
    shown: Counter[str] = Counter()
    read = {str(look.input.get("file_path")) for look in task.looks if look.tool == "Read"}
    for look in task.looks:
        if look.tool == "Grep":
            shown.update(path for path, is_line in lines_of(look.result) if is_line)
    for path in files_seen(task)[:_FILES]:
        if shown[path] < _ENOUGH_LINES and path not in read:
            yield ToolCall("Read", {"file_path": path})


def _has_used(task: Task, tool: str) -> bool:
    return any(look.tool == tool for look in task.looks)

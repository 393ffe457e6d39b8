"""Holds the tools of one job by name: their definitions for the model, and the results of its calls."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from anthropic.lib.tools import ToolError

from worker.agent.conversation import Conversation
from worker.agent.event_reader import JsonObject
from worker.agent.tool import ToolAnswer

log = logging.getLogger(__name__)

MAX_PROBLEM_CHARACTERS = 2_000
MAX_AT_ONCE = 4
"""The most calls of one job at once, so that processes are left for other jobs."""


class CallableTool(Protocol):
    """Is what a toolbox needs of a tool."""

    @property
    def name(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...

    async def call(self, given: object) -> ToolAnswer: ...


class Toolbox:
    """Calls the tools. A failed call has a result too: it tells the model what was wrong."""

    def __init__(self, tools: Iterable[CallableTool], conversation: Conversation) -> None:
        self._tools = {tool.name.lower(): tool for tool in tools}
        self._conversation = conversation
        self._permits = asyncio.Semaphore(MAX_AT_ONCE)

    @property
    def definitions(self) -> list[Any]:
        """Returns the definitions of the tools for the request."""
        return [tool.to_dict() for tool in self._tools.values()]

    @property
    def is_used_up(self) -> bool:
        """Returns whether no further call is answered."""
        return self._conversation.calls_left <= 0

    async def results(self, calls: Sequence[JsonObject], malformed: Collection[str] = frozenset()) -> list[JsonObject]:
        """Returns a result for each `tool_use` block, in their order; the calls run side by side.

        `malformed` are the ids of those whose input could not be read.
        """
        allowed = self._conversation.calls_left
        self._conversation.calls_left -= len(calls)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._result(call, number < allowed, call["id"] in malformed))
                for number, call in enumerate(calls)
            ]
        return [task.result() for task in tasks]

    async def _result(self, call: JsonObject, is_allowed: bool, is_malformed: bool) -> JsonObject:
        result = {"type": "tool_result", "tool_use_id": call["id"]}
        try:
            if not is_allowed:
                raise ToolError("no further tool calls are possible; answer with what you have")
            if is_malformed:
                raise ToolError("the input of this call was not a JSON object; call again with one")
            async with self._permits:
                answer = await self._tool(str(call["name"])).call(call["input"])
            self._conversation.seen |= answer.paths
            return {**result, "content": _sendable(answer.text)}
        except ToolError as error:
            problem = str(error)
        except Exception:
            log.exception("the tool %s raised", call["name"])
            problem = "this tool failed on our side; go on without it"
        return {**result, "content": _sendable(problem)[:MAX_PROBLEM_CHARACTERS], "is_error": True}

    def _tool(self, name: str) -> CallableTool:
        tool = self._tools.get(name.strip().lower())
        if tool is None:
            known = ", ".join(each.name for each in self._tools.values()) or "none"
            raise ToolError(f"there is no tool {name[:50]}; there are: {known}")
        return tool


def _sendable(text: str) -> str:
    """Replaces unpaired surrogates, which a file's name may contain and which cannot be encoded."""
    return text.encode(errors="replace").decode()

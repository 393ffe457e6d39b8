"""The tools of one run, by name: what the model is told of them, and what its calls give."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from anthropic.lib.tools import ToolError

from worker.agent.event_reader import JsonObject
from worker.agent.tools import Tool

log = logging.getLogger(__name__)

MAX_PROBLEM_CHARACTERS = 4096


class Toolbox:
    """A call that goes wrong is an answer too: the model reads what was wrong with it, and goes on."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    @property
    def definitions(self) -> list[Any]:
        return [tool.to_dict() for tool in self._tools.values()]

    async def results(self, calls: Sequence[JsonObject]) -> list[JsonObject]:
        """A result for each `tool_use` block, one after the other."""
        return [await self._result(call) for call in calls]

    async def _result(self, call: JsonObject) -> JsonObject:
        result = {"type": "tool_result", "tool_use_id": call["id"]}
        tool = self._tools.get(call["name"])
        try:
            if tool is None:
                raise ToolError(f"there is no tool {call['name']}")
            return {**result, "content": _sendable(str(await tool.call(call["input"])))}
        except ToolError as error:
            problem = str(error)
        except Exception as error:
            log.exception("the tool %s raised", call["name"])
            problem = repr(error)
        return {**result, "content": _sendable(problem)[:MAX_PROBLEM_CHARACTERS], "is_error": True}


def _sendable(text: str) -> str:
    """Half a surrogate pair, which a file's name may hold, has no encoding."""
    return text.encode(errors="replace").decode()

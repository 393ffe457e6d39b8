"""Tests that the toolbox answers every call, whatever the tool does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from anthropic.lib.tools import ToolError

from worker.agent.conversation import MAX_TOOL_CALLS, Conversation
from worker.agent.tool import ToolAnswer
from worker.agent.toolbox import MAX_AT_ONCE, MAX_PROBLEM_CHARACTERS, Toolbox


class Called:
    """Represents a tool that answers with the given function."""

    def __init__(self, name: str, answer: Callable[[str], Awaitable[ToolAnswer]]) -> None:
        self.name = name
        self._answer = answer

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}

    async def call(self, given: object) -> ToolAnswer:
        assert isinstance(given, dict)
        return await self._answer(given["text"])


async def echo(text: str) -> ToolAnswer:
    return ToolAnswer(text, frozenset((f"{text}.txt",)))


async def refuse(text: str) -> ToolAnswer:
    raise ToolError(text)


async def break_down(text: str) -> ToolAnswer:
    raise RuntimeError(text)


def box(conversation: Conversation | None = None) -> Toolbox:
    tools = [Called("Echo", echo), Called("Refuse", refuse), Called("Break", break_down)]
    return Toolbox(tools, conversation or Conversation())


def results(*calls: tuple[str, dict[str, Any]], toolbox: Toolbox | None = None) -> list[dict[str, Any]]:
    named = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(calls)
    ]
    return asyncio.run((toolbox or box()).results(named))


def test_calls_are_answered_in_their_order() -> None:
    assert results(("Echo", {"text": "a"}), ("Echo", {"text": "b"})) == [
        {"type": "tool_result", "tool_use_id": "toolu_0", "content": "a"},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "b"},
    ]


def test_the_calls_of_one_turn_run_side_by_side_but_leave_room_for_other_jobs() -> None:
    running, most = 0, 0
    is_full = asyncio.Event()

    async def wait(text: str) -> ToolAnswer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == MAX_AT_ONCE:
            is_full.set()
        await is_full.wait()
        running -= 1
        return ToolAnswer(text)

    calls = [("Wait", {"text": str(n)}) for n in range(2 * MAX_AT_ONCE)]
    answers = results(*calls, toolbox=Toolbox([Called("Wait", wait)], Conversation()))
    assert [answer["content"] for answer in answers] == [str(n) for n in range(2 * MAX_AT_ONCE)]
    assert most == MAX_AT_ONCE


@pytest.mark.parametrize("name", ["echo", "ECHO", " Echo "])
def test_a_tool_is_found_whatever_the_case_of_its_name(name: str) -> None:
    assert results((name, {"text": "a"}))[0]["content"] == "a"


def test_the_files_that_were_shown_are_remembered() -> None:
    conversation = Conversation()
    calls = [("Echo", {"text": "a"}), ("Refuse", {"text": "b"}), ("Echo", {"text": "c"})]
    results(*calls, toolbox=box(conversation))
    assert conversation.seen == {"a.txt", "c.txt"}


def test_a_tools_error_is_returned_with_its_own_text_and_the_next_call_runs() -> None:
    refused, echoed = results(("Refuse", {"text": "outside the project"}), ("Echo", {"text": "b"}))
    assert refused["content"] == "outside the project" and refused["is_error"] is True
    assert echoed["content"] == "b" and "is_error" not in echoed


def test_a_long_refusal_is_cut() -> None:
    assert len(results(("Refuse", {"text": "x" * 2 * MAX_PROBLEM_CHARACTERS}))[0]["content"]) == MAX_PROBLEM_CHARACTERS


def test_an_exception_in_a_tool_is_reported_to_the_model_and_its_reason_only_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        [result] = results(("Break", {"text": "/srv/machine"}))
    assert result["is_error"] is True and "/srv" not in result["content"] and "RuntimeError" not in result["content"]
    assert "Break" in caplog.text and "/srv/machine" in caplog.text


def test_a_call_of_an_unknown_tool_is_answered_with_the_names_of_the_available_tools() -> None:
    [result] = results(("bash", {"text": "ls"}))
    assert result["is_error"] is True and "Echo, Refuse, Break" in result["content"]


def test_a_job_has_a_limited_number_of_tool_calls() -> None:
    toolbox = box()
    first = results(*[("Echo", {"text": "a"})] * (MAX_TOOL_CALLS - 1), toolbox=toolbox)
    assert not any("is_error" in result for result in first) and not toolbox.is_used_up
    last, refused = results(("Echo", {"text": "b"}), ("Echo", {"text": "c"}), toolbox=toolbox)
    assert last["content"] == "b" and refused["is_error"] is True and "answer" in refused["content"]
    assert toolbox.is_used_up


def test_characters_that_cannot_be_encoded_are_replaced() -> None:
    [echoed, refused] = results(("Echo", {"text": "a\ud800b"}), ("Refuse", {"text": "\udc80"}))
    assert (echoed["content"], refused["content"]) == ("a?b", "?")

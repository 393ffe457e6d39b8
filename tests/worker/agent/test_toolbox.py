"""The toolbox: every call gets an answer, whatever it does."""

import asyncio
import logging
from typing import Any

import pytest
from anthropic.lib.tools import ToolError, beta_async_tool

from worker.agent.toolbox import MAX_PROBLEM_CHARACTERS, Toolbox


async def echo(text: str) -> str:
    return text


async def refuse(text: str) -> str:
    raise ToolError(text)


async def break_down(text: str) -> str:
    raise RuntimeError(text)


def results(*calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    schema: dict[str, object] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    tools = [beta_async_tool(each, description="", input_schema=schema) for each in (echo, refuse, break_down)]
    named = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(calls)
    ]
    return asyncio.run(Toolbox(tools).results(named))


def test_calls_are_answered_in_their_order() -> None:
    assert results(("echo", {"text": "a"}), ("echo", {"text": "b"})) == [
        {"type": "tool_result", "tool_use_id": "toolu_0", "content": "a"},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "b"},
    ]


def test_what_a_tool_refuses_is_told_in_its_words_and_the_next_call_runs() -> None:
    refused, echoed = results(("refuse", {"text": "outside the project"}), ("echo", {"text": "b"}))
    assert refused["content"] == "outside the project" and refused["is_error"] is True
    assert echoed["content"] == "b" and "is_error" not in echoed


def test_a_tool_that_breaks_is_an_error_for_the_model_and_for_us(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        [result] = results(("break_down", {"text": "x" * 2 * MAX_PROBLEM_CHARACTERS}))
    assert result["is_error"] is True and result["content"].startswith("RuntimeError('xxx")
    assert len(result["content"]) == MAX_PROBLEM_CHARACTERS
    assert "break_down" in caplog.text


@pytest.mark.parametrize("call", [("bash", {"text": "ls"}), ("echo", {}), ("echo", {"text": 1, "more": 2})])
def test_a_call_that_cannot_be_made_is_an_error(call: tuple[str, dict[str, Any]]) -> None:
    [result] = results(call)
    assert result["is_error"] is True and result["content"]


def test_what_has_no_encoding_is_replaced() -> None:
    [echoed, refused] = results(("echo", {"text": "a\ud800b"}), ("refuse", {"text": "\udc80"}))
    assert (echoed["content"], refused["content"]) == ("a?b", "?")

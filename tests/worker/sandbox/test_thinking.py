"""Tests the thinking blocks that the sandbox sends, and its checks of those that clients send back."""

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic

from tests.sandboxes import JsonObject, Sandbox, ask, client_of, file_tools, run_tools, streamed, text_of

ADAPTIVE: JsonObject = {"type": "adaptive"}
TOOL = {"name": "Glob", "input_schema": {"type": "object", "properties": {"pattern": {"type": "string"}}}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Checkout.tsx").write_text("export function CheckoutPage() {}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("thinking", "shows", "hides"),
    [
        ({**ADAPTIVE, "display": "summarized"}, "The request names a page", None),
        ({**ADAPTIVE, "display": "updates"}, "I'll look at how", "The request names a page"),
        ({**ADAPTIVE, "display": "omitted"}, "", "I'll look"),
        (ADAPTIVE, "", "I'll look"),
        ({"type": "between_tools"}, "I'll look at how", "The request names a page"),
    ],
)
def test_it_shows_of_its_thinking_what_the_request_asks_for(
    client: Anthropic, thinking: JsonObject, shows: str, hides: str | None
) -> None:
    message = streamed(client, ask("Checkout", tools=[TOOL], thinking=thinking))
    block, call = message.content
    assert block.type == "thinking" and block.signature and call.type == "tool_use"
    assert block.thinking == shows if not shows else shows in block.thinking
    assert not hides or hides not in block.thinking
    assert message.usage.output_tokens_details.thinking_tokens > 0


def test_between_tools_it_does_not_think_before_the_answer(client: Anthropic) -> None:
    message = streamed(client, ask("Checkout", thinking={"type": "between_tools"}))
    assert [block.type for block in message.content] == ["text"]


def test_current_models_think_without_being_asked_and_show_nothing(client: Anthropic) -> None:
    message = streamed(client, ask("Checkout", model="claude-sonnet-5-5"))
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "" and message.content[0].signature
    assert [block.type for block in streamed(client, ask("Checkout")).content] == ["text"]
    assert streamed(client, ask("Checkout thinks aloud")).content[0].type == "thinking"


def test_a_conversation_that_sends_its_thinking_back_goes_on(sandbox: Sandbox, project: Path) -> None:
    thinking = {**ADAPTIVE, "display": "summarized"}
    tools = file_tools(project, "Read", "Grep", "Glob")
    messages = run_tools(sandbox, tools, ask("Checkout goes on", thinking=thinking))
    assert len(messages) == 4 and all(message.content[0].type == "thinking" for message in messages)
    assert json.loads(text_of(messages[-1]))["suggestions"]


def _conversation(client: Anthropic, page: str, **more: Any) -> JsonObject:
    """Returns a valid second request of a conversation with a tool."""
    params = ask(page, tools=[TOOL], **more)
    message = streamed(client, params)
    content = [block.model_dump(exclude_none=True) for block in message.content]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "Checkout.tsx"}
    params["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    return params


def _shorten(params: JsonObject) -> None:
    params["messages"][1]["content"][0]["thinking"] = "Something else."


def _forge(params: JsonObject) -> None:
    params["messages"][1]["content"][0]["signature"] = "Zm9yZ2Vk"


def _drop(params: JsonObject) -> None:
    del params["messages"][1]["content"][0]


def _rewrite_what_came_before(params: JsonObject) -> None:
    params["messages"][0]["content"][0]["text"] += " "


def _change_the_model(params: JsonObject) -> None:
    params["model"] = "claude-opus-5-5"


@pytest.mark.parametrize("harm", [_shorten, _forge, _drop, _rewrite_what_came_before, _change_the_model])
def test_thinking_that_comes_back_changed_is_refused(client: Anthropic, harm: Any) -> None:
    params = _conversation(client, f"Harmed by {harm.__name__}", thinking={**ADAPTIVE, "display": "updates"})
    assert streamed(client, params).stop_reason in ("tool_use", "end_turn")
    harm(params)
    with pytest.raises(anthropic.BadRequestError, match="thinking"):
        streamed(client, params)


def test_the_effort_may_not_change_while_it_thinks_between_tools(client: Anthropic) -> None:
    params = _conversation(client, "Effort", thinking={"type": "between_tools"}, output_config={"effort": "medium"})
    params["output_config"] = {"effort": "low"}
    with pytest.raises(anthropic.BadRequestError, match="thinking"):
        streamed(client, params)


@pytest.mark.parametrize(
    "wrong",
    [
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"thinking": {**ADAPTIVE, "display": "all"}},
        {"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}},
        {"output_config": {"effort": "extreme"}},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "Glob"}},
        {"top_p": 0.5},
        {"top_k": 5},
        {"max_tokens": 1_000_000},
        {"messages": [{"role": "user", "content": "Cart"}, {"role": "assistant", "content": "{"}]},
    ],
)
def test_what_current_models_refuse_is_refused(sandbox: Sandbox, wrong: JsonObject) -> None:
    body = ask("Refused", model="claude-sonnet-5-5") | wrong
    answer = httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"})
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"


def test_an_effort_that_the_model_has_is_taken(client: Anthropic) -> None:
    assert streamed(client, ask("Effort fast", model="claude-sonnet-5-5", output_config={"effort": "xhigh"}))
    with pytest.raises(anthropic.BadRequestError, match="effort"):
        streamed(client, ask("Effort fast", model="claude-haiku-5-5", output_config={"effort": "xhigh"}))


def _stream(sandbox: Sandbox, page: str) -> str:
    body = ask(page, stream=True)
    return httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"}, timeout=20).text


def test_while_it_ponders_only_pings_are_sent() -> None:
    running = Sandbox("--chars", "400", "--interval-ms", "1", "--ping-seconds", "0.1")
    pondered, silent = _stream(running, "Cart ponders"), _stream(running, "Cart ponders silently")
    assert pondered.count("event: ping") >= 4 and "message_stop" in pondered
    assert "event: ping" not in silent and "message_stop" in silent
    times = [running.requests(page)[0] for page in ("Cart ponders", "Cart ponders silently")]
    assert all(noted["endedAt"] - noted["receivedAt"] > 450 for noted in times)
    assert running.stop() == 0


def test_its_pace_can_be_set_to_that_of_a_real_model() -> None:
    running = Sandbox("--turn-seconds", "0.3", "--tokens-per-second", "2000", "--chars", "100")
    with client_of(running) as client:
        message = streamed(client, ask("Paced"))
    noted = running.requests("Paced")[0]
    seconds = (noted["endedAt"] - noted["receivedAt"]) / 1000
    assert 0.3 + 0.8 * message.usage.output_tokens / 2000 < seconds < 20
    assert running.stop() == 0

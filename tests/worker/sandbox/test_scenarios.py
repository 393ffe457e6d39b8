"""Tests what words in a page's name make the sandbox do: turns, gateway variants, failures, true and false files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from anthropic import Anthropic

from tests.sandboxes import (
    JsonObject,
    Sandbox,
    ask,
    calls_of,
    file_tools,
    run_tools,
    running_sandbox,
    streamed,
    text_of,
)
from worker.sandbox.faults import FAULTS, SCENARIOS, without_words
from worker.sandbox.habits import HABITS
from worker.sandbox.models import MODELS
from worker.sandbox.options import _HELP

ROOT = Path(__file__).parents[3]
TOOL = {"name": "Grep", "input_schema": {"type": "object", "properties": {"pattern": {"type": "string"}}}}
FILE: JsonObject = {"type": "object", "properties": {"path": {"type": "string"}, "why": {"type": "string"}}}
SUGGESTION: JsonObject = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "files": {"type": "array", "items": FILE}},
}
FORMAT: JsonObject = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"suggestions": {"type": "array", "items": SUGGESTION | {"additionalProperties": False}}},
        "additionalProperties": False,
    },
}
FILE["additionalProperties"] = False


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(chars=100) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Checkout.tsx").write_text("export function CheckoutPage() {\n  return null\n}\n")
    (tmp_path / "src" / "cart.ts").write_text("import { CheckoutPage } from './Checkout'\n")
    (tmp_path / "README.md").write_text("# Shop\n")
    return tmp_path


@pytest.fixture
def tools(project: Path) -> list[Any]:
    return file_tools(project, "Read", "Grep", "Glob")


@pytest.mark.parametrize(("words", "turns"), [("six tool turns", 6), ("9 tool turns", 9), ("one tool-turns", 1)])
def test_it_takes_as_many_turns_as_are_asked_for(sandbox: Sandbox, tools: list[Any], words: str, turns: int) -> None:
    messages = run_tools(sandbox, tools, ask(f"Checkout {words}"))
    calls = calls_of(messages)
    assert [len(each) for each in calls] == [1] * turns + [0]
    assert json.loads(text_of(messages[-1]))["suggestions"]
    assert [noted["turn"] for noted in sandbox.requests(f"Checkout {words}")] == list(range(1, turns + 2))


def test_a_model_that_looks_as_needed_requests_nothing_that_the_overview_shows(
    sandbox: Sandbox, tools: list[Any]
) -> None:
    params = ask("Checkout, looks as needed")
    unaware = [[name for name, _ in calls] for calls in calls_of(run_tools(sandbox, tools, params))]
    assert unaware[:2] == [["Glob", "Glob", "Read"], ["Grep"]] and set(unaware[2]) == {"Read"} and unaware[3:] == [[]]
    overview = {"type": "text", "text": "<project>\nsrc/ (2)\nREADME.md begins:\n# Shop\n</project>"}
    params["messages"][0]["content"].insert(0, overview)
    aware = [[name for name, _ in calls] for calls in calls_of(run_tools(sandbox, tools, params))]
    assert aware[0] == ["Grep"] and set(aware[1]) == {"Read"} and aware[2:] == [[]]


def test_several_calls_of_one_turn_are_different_ones(sandbox: Sandbox, tools: list[Any]) -> None:
    calls = calls_of(run_tools(sandbox, tools, ask("Checkout 3 tool turns, four tools at once")))
    assert [len(each) for each in calls] == [4, 4, 4, 0]
    assert len({json.dumps(call) for call in calls[0]}) == 4


def _answer_after_tools(client: Anthropic, page: str, *, say: bool = False, **more: Any) -> Any:
    """Returns the answer to the tool results of three turns, with or without a text after the last ones."""
    params = ask(page, tools=[TOOL])
    for _ in range(3):
        message = streamed(client, params)
        assert message.stop_reason == "tool_use"
        content = [block.model_dump(exclude_none=True) for block in message.content]
        results: list[JsonObject] = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "none"}
            for block in content
            if block["type"] == "tool_use"
        ]
        params["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    if say:
        params["messages"][-1]["content"].append({"type": "text", "text": "Answer now with what you have."})
    return streamed(client, params | more)


def test_a_model_that_reads_on_and_on_stops_when_it_is_asked_to(client: Anthropic) -> None:
    none: JsonObject = {"tool_choice": {"type": "none"}}
    assert _answer_after_tools(client, "Cart reads on and on").stop_reason == "tool_use"
    assert _answer_after_tools(client, "Cart reads on and on", say=True).stop_reason == "end_turn"
    assert _answer_after_tools(client, "Cart reads on and on", **none).stop_reason == "end_turn"
    assert _answer_after_tools(client, "Cart reads regardless", say=True).stop_reason == "tool_use"
    assert _answer_after_tools(client, "Cart reads regardless", say=True, **none).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("overloaded in turn three once", anthropic.OverloadedError),
        ("broken stream in turn 3 once", httpx2.TransportError),
        ("error event in turn 3", anthropic.APIStatusError),
    ],
)
def test_a_failure_may_come_in_any_turn(sandbox: Sandbox, tools: list[Any], words: str, error: type[Exception]) -> None:
    page = f"Checkout six tool turns {words}"
    with pytest.raises(error):
        run_tools(sandbox, tools, ask(page))
    assert [noted["turn"] for noted in sandbox.requests(page)] == [1, 2, 3]
    if "once" in words:
        assert len(run_tools(sandbox, tools, ask(page))) == 7


def test_an_empty_answer_has_no_content(client: Anthropic) -> None:
    message = streamed(client, ask("Cart empty answer once"))
    assert message.content == [] and message.stop_reason == "end_turn"
    assert streamed(client, ask("Cart empty answer once")).content


def test_an_early_end_lacks_the_last_events(sandbox: Sandbox) -> None:
    text = _raw(sandbox, "Cart early end").text
    assert "content_block_delta" in text and "message_stop" not in text and "message_delta" not in text


def test_a_malformed_call_is_no_json_and_an_unknown_tool_was_not_offered(sandbox: Sandbox, client: Anthropic) -> None:
    body = ask("Cart malformed call", tools=[TOOL], stream=True)
    raw = httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"}).text
    pieces = re.findall(r'"partial_json":("(?:[^"\\]|\\.)*")', raw)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads("".join(map(json.loads, pieces)))
    message = streamed(client, ask("Cart unknown tool", tools=[TOOL]))
    assert message.content[-1].name == "Browse" and message.stop_reason == "tool_use"


def test_an_answer_can_be_cut_after_three_whole_suggestions(client: Anthropic) -> None:
    message = streamed(client, ask("Cart cut after three"))
    assert message.stop_reason == "max_tokens"
    assert text_of(message).count('"implementationConsiderations"') in (3, 4)
    assert len(re.findall(r'\{"title"', text_of(message))) == 4
    running = text_of(streamed(client, ask("Cart cut off")))
    assert len(re.findall(r'\{"title"', running)) == 2


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("ramp limit exceeded", 429, "ramp_limit_exceeded"),
        ("spend limit reached", 429, "enforced_spend_limit_reached"),
        ("contract limit reached", 429, "contract_spend_limit_reached"),
        ("payment required", 402, "linked_organization_spend_limit_reached"),
        ("credit too low", 400, None),
        ("usage cap reached", 400, None),
        ("content filter blocks", 400, None),
    ],
)
def test_errors_about_billing_and_content_have_the_form_of_the_real_api(
    client: Anthropic, word: str, status: int, code: str | None
) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        streamed(client, ask(f"Cart {word}"))
    assert raised.value.status_code == status
    details = raised.value.details
    assert (details.error_code if details else None) == code
    has_retry_after = "retry-after" in raised.value.response.headers
    assert has_retry_after is (word == "ramp limit exceeded")


def test_the_seconds_of_a_retry_after_can_be_named(client: Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as raised:
        streamed(client, ask("Cart retry after 45 once"))
    assert raised.value.response.headers["retry-after"] == "45"
    assert streamed(client, ask("Cart retry after 45 once")).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("no caching", {"cache_control": {"type": "ephemeral"}}),
        ("no output config", {"output_config": {"effort": "low"}}),
    ],
)
def test_a_gateway_may_refuse_a_field(client: Anthropic, word: str, field: JsonObject) -> None:
    with pytest.raises(anthropic.BadRequestError, match=next(iter(field))):
        streamed(client, ask(f"Cart {word}", **field))
    assert streamed(client, ask(f"Cart {word}")).stop_reason == "end_turn"


def _raw(sandbox: Sandbox, page: str, **more: Any) -> httpx.Response:
    body = ask(page, stream=True, **more)
    return httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"})


def test_each_habit_of_a_gateway_shows_in_the_stream(sandbox: Sandbox) -> None:
    assert _raw(sandbox, "Cart done line").text.endswith("\n\ndata: [DONE]\n\n")
    assert "event: ping\ndata: {}\n" in _raw(sandbox, "Cart untyped frames").text
    error = re.search(r"event: error\ndata: (.*)\n", _raw(sandbox, "Cart untyped frames error event").text)
    assert error and "type" not in json.loads(error[1]) and json.loads(error[1])["error"]["type"]
    ending = re.search(r"event: message_delta\ndata: (.*)\n", _raw(sandbox, "Cart no usage").text)
    assert ending and "usage" not in json.loads(ending[1])
    assert "\n: PROCESSING\n" in _raw(sandbox, "Cart sse comments").text
    whole = _raw(sandbox, "Cart whole input", tools=[TOOL]).text
    assert '"input":{"pattern":"(?i)cart"}' in whole and "input_json_delta" not in whole
    assert "event: message_stop\r\ndata:" in _raw(sandbox, "Cart crlf lines").text
    assert "event: ping" not in _raw(sandbox, "Cart no pings").text
    headers = _raw(sandbox, "Cart no limit headers").headers
    assert not any(name.startswith("anthropic-ratelimit") for name in headers)


def test_an_answer_may_come_in_a_code_fence(client: Anthropic) -> None:
    text = text_of(streamed(client, ask("Cart fenced answer")))
    assert "```json\n" in text and json.loads(text.split("```json\n")[1].split("\n```")[0])["suggestions"]


def test_all_habits_at_once_still_make_a_whole_stream(sandbox: Sandbox) -> None:
    answer = _raw(sandbox, "Cart odd gateway")
    assert "message_stop" in answer.text and "[DONE]" in answer.text and "```json" in answer.text


def _files(messages: list[Any]) -> list[list[str]]:
    answer = json.loads(text_of(messages[-1]))
    return [[file["path"] for file in suggestion["files"]] for suggestion in answer["suggestions"]]


def test_suggestions_name_files_where_the_schema_has_them(sandbox: Sandbox, tools: list[Any], project: Path) -> None:
    messages = run_tools(sandbox, tools, ask("Checkout files", output_config={"format": FORMAT}))
    for paths in _files(messages):
        assert all(str(project) not in path for path in paths)
    without = run_tools(sandbox, tools, ask("Checkout files"))
    assert all("files" not in suggestion for suggestion in json.loads(text_of(without[-1]))["suggestions"])


def test_lying_files_are_of_every_kind(sandbox: Sandbox, tools: list[Any]) -> None:
    messages = run_tools(sandbox, tools, ask("Checkout lying files", output_config={"format": FORMAT}))
    named = {path for paths in _files(messages) for path in paths}
    assert named & {"/etc/passwd", "../../etc/hostname", "..", "~/.ssh/config", "src/../../secrets.txt"} or any(
        "\\" in path for path in named
    )
    assert len(named) > 10


def test_the_models_have_capabilities_and_a_lifecycle(client: Anthropic) -> None:
    listed = {model.id: model for model in client.beta.models.list()}
    assert listed.keys() == MODELS.keys()
    current = client.beta.models.retrieve("claude-sonnet-5-5")
    assert current.lifecycle == "active" and current.line == "sonnet" and current.capabilities
    assert current.capabilities.effort.supported and current.capabilities.structured_outputs.supported
    types = current.capabilities.thinking.types
    assert types.adaptive.supported and types.between_tools.supported and not types.disabled.supported
    ending = client.beta.models.retrieve("claude-sonnet-4-5")
    assert ending.lifecycle == "deprecated" and ending.retires_at and ending.capabilities
    assert not ending.capabilities.effort.supported
    assert client.beta.models.retrieve("claude-3-5-haiku").lifecycle == "retired"
    with pytest.raises(anthropic.NotFoundError):
        client.beta.models.retrieve("claude-nobody-1")


PAGES = (
    "Checkout page",
    "Spend limits",
    "Content filters",
    "Retry policy",
    "Usage and billing",
    "Thinking about tools",
    "Gateway settings",
    "Two-turn game",
    "File upload",
    "Payment methods",
    "Once upon a time",
    "Tool turnstile",
)


@pytest.mark.parametrize("page", PAGES)
def test_an_ordinary_name_of_a_page_asks_for_nothing(page: str) -> None:
    assert without_words(page) == page


def test_the_document_names_every_word_habit_and_option() -> None:
    document = (ROOT / "docs" / "sandbox.md").read_text()
    words = [fault.word for fault in FAULTS] + [*SCENARIOS] + [*HABITS]
    missing = [word for word in words if f"`{word}`" not in document]
    missing += [name for name in _HELP if f"`--{name.replace('_', '-')}`" not in document]
    assert missing == []

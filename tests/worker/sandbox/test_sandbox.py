"""Tests the stand-in for the Messages API, with the real SDK over a real socket."""

import asyncio
import contextlib
import json
import re
import socket
import time
from pathlib import Path

import anthropic
import httpx
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool
from anthropic.lib.tools import ToolError

from tests.sandboxes import (
    JsonObject,
    Sandbox,
    ask,
    calls_of,
    client_of,
    file_tools,
    run_tools,
    streamed,
    text_of,
)
from worker.sandbox.faults import FAULTS

SUGGESTION_FIELDS = {"title", "rationale", "description", "implementationConsiderations"}
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"suggestions": {"type": "array", "items": {"type": "string"}}},
    "required": ["suggestions"],
    "additionalProperties": False,
}
RAISES: dict[str, tuple[type[Exception], str]] = {
    "overloaded": (anthropic.OverloadedError, "overloaded_error"),
    "rate limited": (anthropic.RateLimitError, "rate_limit_error"),
    "unavailable": (anthropic.InternalServerError, "api_error"),
    "rejected": (anthropic.BadRequestError, "invalid_request_error"),
    "too long": (anthropic.BadRequestError, "prompt is too long: 250000 tokens > 200000 maximum"),
    "wrong key": (anthropic.AuthenticationError, "authentication_error"),
    "forbidden": (anthropic.PermissionDeniedError, "permission_error"),
    "no such model": (anthropic.NotFoundError, "not_found_error"),
    "bad gateway": (anthropic.InternalServerError, ""),
    "error event": (anthropic.APIStatusError, "overloaded_error"),
    "filtered answer": (anthropic.APIStatusError, "Output blocked by content filtering policy"),
    "broken stream": (httpx2.TransportError, ""),
    "stall": (httpx2.ReadTimeout, ""),
    "stall after three": (httpx2.ReadTimeout, ""),
    "silent": (anthropic.APITimeoutError, ""),
}
QUIET = ("stall", "stall after three", "silent")
STOPS = {"refusal": "refusal", "cut off": "max_tokens", "context window": "model_context_window_exceeded"}


def test_a_plain_request_gets_an_answer_about_its_page(client: Anthropic) -> None:
    context = 'for "field" engineers & <offline> use'
    message = client.beta.messages.create(**ask("Checkout page", "integration", context))
    answer = json.loads(text_of(message))
    assert list(answer) == ["context", "suggestions"]
    assert answer["context"].startswith("Sandbox: ")
    assert 3 <= len(answer["suggestions"]) <= 5
    assert all(set(suggestion) == SUGGESTION_FIELDS for suggestion in answer["suggestions"])
    whole = json.dumps(answer, ensure_ascii=False)
    assert "Checkout page" in whole and "integration" in whole and "high" in whole and "field" in whole
    assert {"—", "“", "”"} & set(whole)
    assert message.stop_reason == "end_turn" and message.model == "sandbox"
    assert message.id.startswith("msg_sandbox_")


def test_a_stream_brings_the_same_answer_as_a_plain_request(client: Anthropic) -> None:
    plain = client.beta.messages.create(**ask("Profile"))
    with client.beta.messages.stream(**ask("Profile")) as stream:
        events = list(stream)
        message = stream.get_final_message()
    assert text_of(message) == text_of(plain)
    pieces = [event.text for event in events if event.type == "text"]
    assert "".join(pieces) == text_of(plain) and all(len(piece) <= 40 for piece in pieces)
    assert message.usage.output_tokens == plain.usage.output_tokens > 300
    assert 1_700 <= len(text_of(message)) <= 2_900


def test_the_raw_stream_has_the_events_of_the_real_one(sandbox: Sandbox) -> None:
    body = ask("Raw", stream=True)
    answer = httpx.post(f"{sandbox.url}/v1/messages?beta=true", json=body, headers={"x-api-key": "any"})
    names = re.findall(r"^event: (\w+)$", answer.text, re.MULTILINE)
    assert names[:4] == ["message_start", "ping", "content_block_start", "content_block_delta"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["request-id"]


def test_different_requests_get_visibly_different_answers(client: Anthropic) -> None:
    kinds = ("enhancement", "new-capability", "optimization", "ui-improvement", "integration")
    asked = [ask("Search", kind) for kind in kinds] + [ask("Settings"), ask("Search", context="dark mode")]
    answers = [json.loads(text_of(client.beta.messages.create(**params))) for params in asked]
    titles = [tuple(suggestion["title"] for suggestion in answer["suggestions"]) for answer in answers]
    assert len(set(titles)) == len(asked)
    assert "dark mode" in json.dumps(answers[-1])
    assert answers[0] == json.loads(text_of(client.beta.messages.create(**asked[0])))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Provides a small project for the tools to read."""
    (tmp_path / "src").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "src" / "Checkout.tsx").write_text("export function CheckoutPage() {\n  return null\n}\n")
    (tmp_path / "src" / "cart.ts").write_text("import { CheckoutPage } from './Checkout'\n")
    (tmp_path / "docs" / "checkout.md").write_text("# Checkout\n")
    return tmp_path


def test_with_tools_it_reads_the_project_before_it_writes(sandbox: Sandbox, project: Path) -> None:
    messages = run_tools(sandbox, file_tools(project, "Read", "Grep", "Glob"), ask("CheckoutPage"))
    glob, grep, read, answer = calls_of(messages)
    assert messages[0].content[0].type == "text" and messages[0].stop_reason == "tool_use"
    assert glob == [("Glob", {"pattern": "**/*[Cc]heckout*"})]
    assert grep == [("Grep", {"pattern": "(?i)checkout"})]
    assert [name for name, _ in read] == ["Read", "Read"] and not answer
    assert read[0][1] == {"file_path": str(project / "src" / "Checkout.tsx")}
    context = json.loads(text_of(messages[-1]))["context"]
    assert "src/Checkout.tsx` (3 lines, defines `CheckoutPage`)" in context


def test_with_fewer_tools_it_uses_just_those(sandbox: Sandbox, project: Path) -> None:
    messages = run_tools(sandbox, file_tools(project, "Read", "Grep"), ask("Checkout (new)"))
    assert [[name for name, _ in calls] for calls in calls_of(messages)] == [["Grep"], ["Read", "Read"], []]
    assert calls_of(run_tools(sandbox, file_tools(project, "Read"), ask("Checkout"))) == [[]]


def test_tools_that_find_nothing_or_fail_do_not_stop_it(sandbox: Sandbox, tmp_path: Path) -> None:
    @beta_async_tool(name="Glob")
    async def broken(glob_pattern: str) -> str:
        """Always fails."""
        raise ToolError(f"no {glob_pattern}")

    empty = run_tools(sandbox, file_tools(tmp_path, "Read", "Grep", "Glob"), ask("Zebra"))
    failing = run_tools(sandbox, [broken, *file_tools(tmp_path, "Grep")], ask("Zebra"))
    assert calls_of(failing)[0] == [("Glob", {"glob_pattern": "**/*[Zz]ebra*"})]
    for messages in (empty, failing):
        assert "No file of the project was seen" in json.loads(text_of(messages[-1]))["context"]


def test_the_answer_says_so_when_no_file_matches_the_page(sandbox: Sandbox, project: Path) -> None:
    messages = run_tools(sandbox, file_tools(project, "Read", "Grep", "Glob"), ask("Zebra"))
    assert [len(calls) for calls in calls_of(messages)] == [1, 1, 2, 2, 0]
    context = json.loads(text_of(messages[-1]))["context"]
    assert "Nothing in the project goes by that name" in context and "src/Checkout.tsx" in context


def test_a_tool_choice_of_none_is_answered_at_once(client: Anthropic) -> None:
    tool = {"name": "Glob", "input_schema": {"type": "object", "properties": {"pattern": {"type": "string"}}}}
    message = client.beta.messages.create(**ask("Checkout", tools=[tool], tool_choice={"type": "none"}))
    assert message.stop_reason == "end_turn"


def test_a_marked_prefix_is_written_to_the_cache_once_and_read_later(client: Anthropic) -> None:
    system = [{"type": "text", "text": "Plan. " * 200, "cache_control": {"type": "ephemeral"}}]
    first = streamed(client, ask("Cached", system=system)).usage
    second = streamed(client, ask("Cached again", system=system)).usage
    assert first.cache_creation_input_tokens > 250 and first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0 < second.input_tokens < 100


@pytest.mark.parametrize("word", RAISES)
def test_a_failing_word_raises_what_the_real_service_would(sandbox: Sandbox, word: str) -> None:
    expected, text = RAISES[word]
    impatient = client_of(sandbox).with_options(timeout=0.3 if word in QUIET else 5)
    with impatient, pytest.raises(expected) as raised:
        streamed(impatient, ask(f"Cart {word}"))
    error = raised.value
    if text:
        assert isinstance(error, anthropic.APIStatusError)
        assert text in (error.type, error.api_message)
    outcome = "closed" if word in QUIET else f"failed:{word}"
    assert sandbox.wait_for(f"Cart {word}", lambda noted: bool(noted["endedAt"]))["outcome"] == outcome


def test_a_rate_limit_error_says_when_to_retry(client: Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as raised:
        streamed(client, ask("Cart rate-limited"))
    assert raised.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("word", STOPS)
def test_a_word_ends_the_answer_with_its_stop_reason(client: Anthropic, word: str) -> None:
    message = streamed(client, ask(f"Cart {word}"))
    assert message.stop_reason == STOPS[word]
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(text_of(message))


def test_bad_output_violates_the_schema_and_bad_json_cannot_be_parsed(client: Anthropic) -> None:
    bad = json.loads(text_of(streamed(client, ask("Cart bad output"))))
    assert len(bad["suggestions"]) == 1 and set(bad["suggestions"][0]) < SUGGESTION_FIELDS
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(text_of(streamed(client, ask("Cart bad_json"))))


def test_a_long_answer_is_long_and_still_valid(client: Anthropic) -> None:
    text = text_of(streamed(client, ask("Cart long")))
    assert 29_900 <= len(text) <= 30_100 and 3 <= len(json.loads(text)["suggestions"]) <= 5


def test_a_unicode_answer_arrives_unharmed_although_it_is_escaped(sandbox: Sandbox, client: Anthropic) -> None:
    text = text_of(streamed(client, ask("Cart unicode")))
    suggestions = json.loads(text)["suggestions"]
    assert len({suggestion["description"] for suggestion in suggestions}) == 1
    for character in ("\U0001f468\u200d\U0001f469", "\u2028", "\U0001d4b3", "ע", '"', "\\", "\n"):
        assert character in suggestions[0]["description"]
    body = ask("Cart unicode", stream=True)
    raw = httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"}).text
    assert "\\ud83d" in text and re.search(r"[^\\]\\ud83d\\u", raw)


def test_a_small_max_tokens_cuts_the_answer(client: Anthropic) -> None:
    message = client.beta.messages.create(**ask("Cart", max_tokens=50))
    assert message.stop_reason == "max_tokens" and len(text_of(message)) == 200


def test_slow_is_slower_and_fast_does_not_wait(sandbox: Sandbox, client: Anthropic) -> None:
    for pace in ("slow", "fast"):
        streamed(client, ask(f"Cart {pace}"))
    slow, fast = (sandbox.requests(f"Cart {pace}")[-1] for pace in ("slow", "fast"))
    assert slow["endedAt"] - slow["firstTextAt"] > 300 > fast["endedAt"] - fast["firstTextAt"]


@pytest.mark.parametrize("page", ["Cart overloaded once", "Cart broken-stream-once", "Cart Cut_Off_Once"])
def test_once_fails_for_the_first_such_request_only(client: Anthropic, page: str) -> None:
    with pytest.raises((anthropic.APIStatusError, httpx2.TransportError, ValueError)):
        json.loads(text_of(streamed(client, ask(page))))
    assert json.loads(text_of(streamed(client, ask(page))))["suggestions"]
    with pytest.raises((anthropic.APIStatusError, httpx2.TransportError, ValueError)):
        json.loads(text_of(streamed(client, ask(page, context="another request"))))


@pytest.mark.parametrize("page", ["Breakfast", "Longer list", "Refusals", "Stalls"])
def test_a_word_inside_another_word_is_no_fault(client: Anthropic, page: str) -> None:
    message = streamed(client, ask(page))
    assert message.stop_reason == "end_turn" and len(text_of(message)) < 3_000


def test_with_tools_a_fault_within_the_answer_comes_in_the_last_turn(sandbox: Sandbox, project: Path) -> None:
    tools = file_tools(project, "Glob", "Grep", "Read")
    with pytest.raises(anthropic.APIStatusError):
        run_tools(sandbox, tools, ask("Checkout error event"))
    noted = sandbox.requests("Checkout error event")
    assert [request["outcome"] for request in noted] == ["completed"] * 3 + ["failed:error event"]
    with pytest.raises(anthropic.OverloadedError):
        run_tools(sandbox, tools, ask("Checkout overloaded"))
    assert len(sandbox.requests("Checkout overloaded")) == 1


def test_every_word_of_the_table_is_tried_here() -> None:
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py")).replace("_", " ")
    missing = [fault.word for fault in FAULTS if fault.word.replace("N", "45") not in tested]
    assert missing == [] and all(fault.meaning for fault in FAULTS)


@pytest.mark.parametrize("page", ["Away slow", "Away stall", "Away silent"])
def test_a_client_that_leaves_is_noticed_at_once(sandbox: Sandbox, page: str) -> None:
    body = json.dumps(ask(page, stream=True)).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: {len(body)}\r\n\r\n"
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        if page != "Away silent":
            connection.recv(100)
        sandbox.wait_for(page, lambda noted: noted["outcome"] == "running")
        left_at = time.time() * 1000
    noted = sandbox.wait_for(page, lambda noted: noted["outcome"] == "closed")
    assert noted["endedAt"] - left_at < 2000


def test_requests_are_noted_with_their_body_and_can_be_cleared(sandbox: Sandbox, client: Anthropic) -> None:
    params = ask("Noted")
    streamed(client, params)
    noted = sandbox.requests("Noted")[-1]
    assert noted["body"]["messages"] == params["messages"] and noted["stream"] is True
    assert noted["model"] == "sandbox" and noted["outcome"] == "completed"
    assert noted["receivedAt"] <= noted["firstTextAt"] <= noted["endedAt"]
    assert httpx.delete(f"{sandbox.url}/sandbox/requests").status_code == 204
    assert sandbox.requests("Noted") == []


def test_the_times_of_a_request_and_of_each_piece_are_recorded_in_microseconds(
    sandbox: Sandbox, client: Anthropic
) -> None:
    text = text_of(streamed(client, ask("Timed")))
    noted = sandbox.requests("Timed")[-1]
    pieces = httpx.get(f"{sandbox.url}/sandbox/requests/{noted['id']}/pieces").json()
    assert "".join(piece for _, piece in pieces) == text and len(pieces[0][1]) == 40
    times = [noted["receivedUs"], *(at for at, _ in pieces), noted["endedUs"]]
    assert times == sorted(times)
    milliseconds = [noted["receivedAt"], noted["firstTextAt"], noted["endedAt"]]
    assert milliseconds == [at // 1000 for at in (times[0], times[1], times[-1])]
    assert httpx.get(f"{sandbox.url}/sandbox/requests/unknown/pieces").status_code == 404


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-opus-4-7"])
def test_models_from_4_7_on_refuse_any_temperature(client: Anthropic, model: str) -> None:
    assert client.beta.messages.create(**ask("Warm fast", model=model)).model == model
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        client.beta.messages.create(**ask("Warm", model=model, extra_body={"temperature": 1.0}))


@pytest.mark.parametrize("model", ["sandbox", "claude-sonnet-4-5", "claude-sonnet-4-20250514", "other"])
def test_other_models_take_a_temperature(sandbox: Sandbox, model: str) -> None:
    body = ask(
        "Warm fast", model=model, temperature=0.5
    )  # sent without the SDK, which warns of models near their end of life
    answer = httpx.post(f"{sandbox.url}/v1/messages", json=body, headers={"x-api-key": "any"})
    assert answer.status_code == 200 and answer.json()["model"] == model


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"max_tokens": None},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "me first"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
        {"messages": [{"role": "user", "content": "<request>not JSON</request>"}]},
        {"messages": [{"role": "user", "content": '<request>{"pageOrComponent": "\\ud800"}</request>'}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": "hello"},
        {"tools": [{"name": "Read"}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    ],
)
def test_a_malformed_request_is_refused_in_the_shape_of_the_real_api(sandbox: Sandbox, wrong: JsonObject) -> None:
    headers = {"x-api-key": "any"}
    body = json.dumps(ask("Wrong") | wrong)
    refused = httpx.post(f"{sandbox.url}/v1/messages", content=body, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["type"] == "error" and refused.json()["request_id"] == refused.headers["request-id"]
    assert refused.json()["error"]["type"] == "invalid_request_error" and refused.json()["error"]["message"]


def test_an_output_format_is_accepted(client: Anthropic) -> None:
    message = streamed(client, ask("Cart", output_config={"format": {"type": "json_schema", "schema": SCHEMA}}))
    assert json.loads(text_of(message))


def test_a_request_without_a_key_or_with_an_unknown_path_gets_a_clear_error(sandbox: Sandbox) -> None:
    nobody = httpx.post(f"{sandbox.url}/v1/messages", json=ask("Cart"))
    assert nobody.status_code == 401 and nobody.json()["error"]["type"] == "authentication_error"
    nowhere = httpx.get(f"{sandbox.url}/v2")
    assert nowhere.status_code == 404 and nowhere.json()["error"]["type"] == "not_found_error"
    assert httpx.get(f"{sandbox.url}/v1/messages").status_code == 405


def test_models_can_be_listed_and_looked_up(client: Anthropic) -> None:
    assert "sandbox" in [model.id for model in client.models.list()]
    assert client.beta.models.retrieve("claude-sonnet-5-5").id == "claude-sonnet-5-5"


def test_it_stops_cleanly_with_open_streams_and_answers_in_the_length_asked_for() -> None:
    running = Sandbox("--answer-chars", "3173", "--chars", "500", "--interval-ms", "1")
    with contextlib.closing(client_of(running)) as client:
        assert abs(len(text_of(streamed(client, ask("Cart")))) - 3173) <= 10
        with client.beta.messages.stream(**ask("Cart stall")) as stream:
            assert next(iter(stream)).type == "message_start"
            assert running.stop() == 0
            with contextlib.suppress(httpx2.TransportError):
                stream.get_final_message()


async def _receive_all(sandbox: Sandbox, pages: list[str]) -> list[str]:
    async with AsyncAnthropic(api_key="any", base_url=sandbox.url, max_retries=0) as pointed:

        async def answer_for(page: str) -> str:
            async with pointed.beta.messages.stream(**ask(page)) as stream:
                return text_of(await stream.get_final_message())

        return await asyncio.gather(*map(answer_for, pages))


def test_many_streams_at_once_all_arrive_whole(sandbox: Sandbox) -> None:
    names = [f"Tile {number:02}" for number in range(50)]
    answers = asyncio.run(_receive_all(sandbox, names))
    assert all(name in json.loads(text)["context"] for name, text in zip(names, answers, strict=True))

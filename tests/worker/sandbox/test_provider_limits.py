"""Tests the sandbox's rate limits, which are token buckets, as a client sees them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx
import pytest

from tests.sandboxes import JsonObject, Sandbox, ask, client_of, streamed

KEY = {"x-api-key": "any"}


@contextmanager
def limited(*options: str) -> Iterator[Sandbox]:
    running = Sandbox("--chars", "500", "--interval-ms", "1", *options)
    try:
        yield running
    finally:
        code = running.stop()
    assert code == 0


def post(sandbox: Sandbox, page: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/v1/messages", json=ask(page, **more), headers=KEY, timeout=10)


def test_every_response_states_limit_remaining_and_reset_of_each_bucket() -> None:
    with limited("--requests-per-minute", "60", "--burst", "5", "--input-tokens-per-minute", "50000") as sandbox:
        first, second = post(sandbox, "Headers fast"), post(sandbox, "Headers rejected")
        for answer, left in ((first, "4"), (second, "3")):
            assert answer.headers["anthropic-ratelimit-requests-limit"] == "60"
            assert answer.headers["anthropic-ratelimit-requests-remaining"] == left
            assert answer.headers["anthropic-ratelimit-input-tokens-limit"] == "50000"
            assert answer.headers["anthropic-ratelimit-input-tokens-remaining"] == "50000"  # rounded to thousands
            reset = datetime.fromisoformat(answer.headers["anthropic-ratelimit-requests-reset"])
            assert abs((reset - datetime.now(UTC)).total_seconds()) < 10
            assert "anthropic-ratelimit-output-tokens-remaining" in answer.headers
        assert second.status_code == 400


def test_an_empty_bucket_refuses_with_the_seconds_until_it_is_filled() -> None:
    with limited("--requests-per-minute", "30", "--burst", "2") as sandbox:
        answers = [post(sandbox, f"Burst {number} fast") for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        refused = answers[2]
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused.headers["retry-after"] in ("1", "2")
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
        noted = sandbox.requests("Burst 2 fast")[0]
        assert noted["isRefused"] and noted["status"] == 429 and noted["retryAfter"] in (1, 2)
        other = post(sandbox, "Burst 5 fast", model="claude-haiku-5-5")
        assert other.status_code == 200  # each model has its own buckets


def test_a_bucket_fills_again_at_its_rate() -> None:
    with limited("--requests-per-minute", "60", "--burst", "1") as sandbox:
        assert post(sandbox, "Filling fast").status_code == 200
        began = time.monotonic()
        while post(sandbox, "Filling fast").status_code != 200:
            assert time.monotonic() < began + 20
        accepted = [noted["receivedAt"] for noted in sandbox.requests("Filling fast") if not noted["isRefused"]]
        assert accepted[1] - accepted[0] >= 990


def test_input_tokens_are_limited_and_those_from_the_cache_are_free() -> None:
    system = [{"type": "text", "text": "Plan. " * 2000, "cache_control": {"type": "ephemeral"}}]
    with limited("--input-tokens-per-minute", "4000") as sandbox:
        codes = [post(sandbox, f"Cached {number} fast", system=system).status_code for number in range(5)]
        assert codes == [200] * 5
        plain = [{"type": "text", "text": "Plan! " * 2000}]
        refused = post(sandbox, "Uncached fast", system=plain)
        assert refused.status_code == 429 and "input tokens" in refused.json()["error"]["message"]
        noted = [sandbox.requests(f"Cached {number} fast")[0] for number in range(2)]
        assert noted[0]["cacheCreationTokens"] == noted[1]["cacheReadTokens"] > 2900


def test_output_tokens_are_limited() -> None:
    with limited("--output-tokens-per-minute", "300") as sandbox:
        assert post(sandbox, "Wordy fast").status_code == 200
        refused = post(sandbox, "Wordy fast")
        assert refused.status_code == 429 and "output tokens" in refused.json()["error"]["message"]


def test_a_gateway_may_strip_the_headers() -> None:
    with limited("--requests-per-minute", "60", "--burst", "1", "--strip-limit-headers") as sandbox:
        taken, refused = post(sandbox, "Stripped fast"), post(sandbox, "Stripped fast")
        assert taken.status_code == 200 and refused.status_code == 429 and refused.headers["retry-after"] == "1"
        assert not any(name.startswith("anthropic-ratelimit") for name in {**taken.headers, **refused.headers})


@pytest.mark.parametrize(
    ("order", "error", "retry_after"),
    [
        ({"retryAfter": 45}, anthropic.RateLimitError, "45"),
        ({"status": 529}, anthropic.OverloadedError, None),
        ({"retryAfter": 171, "model": "sandbox"}, anthropic.RateLimitError, "171"),
    ],
)
def test_the_next_request_can_be_made_to_be_refused(
    order: JsonObject, error: type[anthropic.APIStatusError], retry_after: str | None
) -> None:
    with limited() as sandbox, client_of(sandbox) as client:
        httpx.post(f"{sandbox.url}/sandbox/refusals", json=order, timeout=10).raise_for_status()
        assert post(sandbox, "Other fast", model="other").status_code == (
            200 if "model" in order else 429 + 100 * (error is anthropic.OverloadedError)
        )
        if "model" not in order:
            httpx.post(f"{sandbox.url}/sandbox/refusals", json=order, timeout=10).raise_for_status()
        with pytest.raises(error) as raised:
            streamed(client, ask("Ordered fast"))
        assert raised.value.response.headers.get("retry-after") == retry_after
        assert streamed(client, ask("Ordered fast")).stop_reason == "end_turn"


def test_the_settings_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_REQUESTS_PER_MINUTE", "60")
    monkeypatch.setenv("SANDBOX_BURST", "1")
    monkeypatch.setenv("SANDBOX_STRIP_LIMIT_HEADERS", "yes")
    monkeypatch.setenv("SANDBOX_HABITS", "done-line")
    with limited() as sandbox:
        taken = post(sandbox, "Environment fast", stream=True)
        assert taken.text.endswith("data: [DONE]\n\n") and "anthropic-ratelimit-requests-limit" not in taken.headers
        assert post(sandbox, "Environment fast").status_code == 429

"""The model's failures in the contract's codes."""

import math

import anthropic
import httpx2
import pytest

from shared.contract.schemas import ErrorCode
from worker.agent.model_errors import MAX_RETRY_AFTER_SECONDS, as_attempt_failure, of_error_event

CANARY = "canary sk-ant-secret /home/app req_123"
REQUEST = httpx2.Request("POST", "https://canary.example/v1/messages")
OVERLOADED, UNAVAILABLE, REJECTED = (
    ErrorCode.MODEL_OVERLOADED,
    ErrorCode.MODEL_UNAVAILABLE,
    ErrorCode.MODEL_REJECTED,
)
BY_STATUS = {
    429: (OVERLOADED, True, True),
    529: (OVERLOADED, True, True),
    **dict.fromkeys((500, 502, 503, 504, 520, 599, 408, 409), (UNAVAILABLE, True, True)),
    **dict.fromkeys((401, 403, 404), (UNAVAILABLE, False, False)),
    **dict.fromkeys((400, 413, 422), (REJECTED, False, False)),
}
BY_TYPE = {
    "overloaded_error": (OVERLOADED, True, True),
    "rate_limit_error": (OVERLOADED, True, True),
    "api_error": (UNAVAILABLE, True, True),
    "timeout_error": (UNAVAILABLE, True, True),
    "authentication_error": (UNAVAILABLE, False, False),
    "permission_error": (UNAVAILABLE, False, False),
    "not_found_error": (UNAVAILABLE, False, False),
    "invalid_request_error": (REJECTED, False, False),
    "request_too_large": (REJECTED, False, False),
}


def status_error(status: int, kind: str | None = None, **headers: str) -> anthropic.APIStatusError:
    """As the SDK raises it."""
    body = {"type": "error", "error": {"type": kind, "message": CANARY}} if kind else None
    response = httpx2.Response(status, request=REQUEST, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return anthropic.APIStatusError(CANARY, response=response, body=body)


@pytest.mark.parametrize("status", BY_STATUS)
def test_a_status_has_its_code(status: int) -> None:
    failure = as_attempt_failure(status_error(status))
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == BY_STATUS[status]


@pytest.mark.parametrize("kind", BY_TYPE)
def test_an_error_event_in_mid_stream_has_the_code_of_its_type(kind: str) -> None:
    failure = of_error_event(kind)
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == BY_TYPE[kind]


@pytest.mark.parametrize(
    "error",
    [
        anthropic.APIConnectionError(message=CANARY, request=REQUEST),
        anthropic.APITimeoutError(request=REQUEST),
        httpx2.ReadTimeout(CANARY, request=REQUEST),
        httpx2.RemoteProtocolError(CANARY, request=REQUEST),
        httpx2.ReadError(CANARY, request=REQUEST),
        httpx2.PoolTimeout(CANARY, request=REQUEST),
        httpx2.StreamClosed(),
        anthropic.APIResponseValidationError(httpx2.Response(200, request=REQUEST), None),
        status_error(200),
        status_error(200, "an_error_of_tomorrow"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_broke_on_the_way_is_worth_another_attempt(
    error: anthropic.APIError | httpx2.HTTPError | httpx2.StreamError,
) -> None:
    failure = as_attempt_failure(error)
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == (UNAVAILABLE, True, True)


@pytest.mark.parametrize("kind", ["", "an_error_of_tomorrow"])
def test_an_error_event_of_another_type_is_worth_another_attempt(kind: str) -> None:
    failure = of_error_event(kind)
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == (UNAVAILABLE, True, True)


@pytest.mark.parametrize("error", [status_error(400, "invalid_request_error"), status_error(529), status_error(418)])
def test_no_text_of_the_providers_gets_out(error: anthropic.APIStatusError) -> None:
    failure = as_attempt_failure(error)
    assert "canary" not in str(failure) + failure.code.message


@pytest.mark.parametrize(("told", "waited"), [("1", 1), ("0", 0), ("2.5", 2.5), ("20", 20), ("3600", 20), ("inf", 20)])
def test_the_model_says_when_to_come_back_within_reason(told: str, waited: float) -> None:
    assert as_attempt_failure(status_error(429, retry_after=told)).retry_after_seconds == waited


@pytest.mark.parametrize("told", ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "nan", "-1", "-inf", "1,2"])
def test_a_time_to_come_back_that_makes_no_sense_is_none_or_in_bounds(told: str) -> None:
    seconds = as_attempt_failure(status_error(529, retry_after=told)).retry_after_seconds
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= MAX_RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_sentence_for_people(code: ErrorCode) -> None:
    assert code.message.endswith(".") and code.message[0].isupper() and code.value not in code.message
    assert code.is_retryable is (code not in (ErrorCode.MODEL_REJECTED, ErrorCode.MODEL_REFUSED))

"""Tests that each failure of the model is reported with its error code of the contract."""

import anthropic
import httpx2
import pytest

from shared.contract.values import ErrorCode
from worker.agent.model_errors import MAX_LOGGED_CHARACTERS, ProviderRefused, as_attempt_failure, of_error_event

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
    """Builds the error as the SDK raises it."""
    body = {"type": "error", "error": {"type": kind, "message": CANARY}} if kind else None
    response = httpx2.Response(status, request=REQUEST, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return anthropic.APIStatusError(CANARY, response=response, body=body)


@pytest.mark.parametrize("status", BY_STATUS)
def test_each_http_status_has_its_error_code(status: int) -> None:
    failure = as_attempt_failure(status_error(status))
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == BY_STATUS[status]


@pytest.mark.parametrize("kind", BY_TYPE)
def test_an_error_event_in_mid_stream_has_the_code_of_its_type(kind: str) -> None:
    failure = of_error_event({"error": {"type": kind}})
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
def test_a_failure_of_the_connection_or_the_response_is_worth_another_attempt(
    error: anthropic.APIError | httpx2.HTTPError | httpx2.StreamError,
) -> None:
    failure = as_attempt_failure(error)
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == (UNAVAILABLE, True, True)


@pytest.mark.parametrize("kind", ["", "an_error_of_tomorrow"])
def test_an_error_event_of_another_type_is_worth_another_attempt(kind: str) -> None:
    failure = of_error_event({"error": {"type": kind}})
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == (UNAVAILABLE, True, True)


@pytest.mark.parametrize("error", [status_error(400, "invalid_request_error"), status_error(529), status_error(418)])
def test_no_text_of_the_provider_is_shown_to_users(error: anthropic.APIStatusError) -> None:
    failure = as_attempt_failure(error)
    assert "canary" not in str(failure) + failure.code.message


@pytest.mark.parametrize(("header", "waited"), [("1", 1), ("0.5", 0.5), ("2.5", 2.5), ("171", 171), ("86400", 86400)])
def test_a_retry_after_of_any_length_is_kept_as_sent(header: str, waited: float) -> None:
    failure = as_attempt_failure(status_error(429, retry_after=header))
    assert isinstance(failure, ProviderRefused) and failure.retry_after_seconds == waited


@pytest.mark.parametrize(
    "header",
    ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "nan", "-1", "inf", "-inf", "1,2", "0", "0.0", "1795800000", "1e308"],
)
def test_an_invalid_retry_after_counts_as_none(header: str) -> None:
    failure = as_attempt_failure(status_error(529, retry_after=header))
    assert isinstance(failure, ProviderRefused) and failure.retry_after_seconds is None


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [(429, "rate_limit_error", "rate_limited"), (529, "overloaded_error", "overloaded"), (429, None, "rate_limited")],
)
def test_a_refusal_distinguishes_rate_limits_from_overload(status: int, kind: str | None, reason: str) -> None:
    failure = as_attempt_failure(status_error(status, kind))
    assert isinstance(failure, ProviderRefused) and failure.reason == reason


def error_with(status: int, error: object) -> anthropic.APIStatusError:
    response = httpx2.Response(status, request=REQUEST)
    return anthropic.APIStatusError("", response=response, body={"type": "error", "error": error})


MONEY = [
    (402, {"type": "billing_error", "message": CANARY}),
    (402, {"type": "", "message": CANARY}),
    (429, {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}),
    (429, {"type": "rate_limit_error", "details": {"error_code": "contract_spend_limit_reached"}}),
    (402, {"type": "billing_error", "details": {"error_code": "linked_organization_spend_limit_reached"}}),
    (400, {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}),
    (400, {"type": "invalid_request_error", "message": "You have reached your specified API usage limits."}),
    (429, {"code": "insufficient_quota", "message": CANARY}),
]


@pytest.mark.parametrize(("status", "error"), MONEY)
def test_a_billing_error_is_not_a_rate_limit(status: int, error: object) -> None:
    failure = as_attempt_failure(error_with(status, error))
    assert (failure.code, failure.is_retryable, failure.worth_retrying) == (UNAVAILABLE, False, False)


def test_a_ramp_limit_is_a_rate_limit() -> None:
    details = {"error_code": "ramp_limit_exceeded"}
    failure = as_attempt_failure(error_with(429, {"type": "rate_limit_error", "details": details}))
    assert isinstance(failure, ProviderRefused)


def test_a_content_filter_error_is_a_refusal_before_and_within_the_stream() -> None:
    error = {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    for failure in (as_attempt_failure(error_with(400, error)), of_error_event({"type": "error", "error": error})):
        assert (failure.code, failure.worth_retrying) == (ErrorCode.MODEL_REFUSED, False)


@pytest.mark.parametrize("error", [{"code": 429, "message": "slow down"}, {"code": 529}])
def test_a_gateway_may_give_a_status_in_place_of_a_type(error: object) -> None:
    assert isinstance(of_error_event({"error": error}), ProviderRefused)
    assert of_error_event({"error": "something"}).worth_retrying


def test_the_log_names_the_field_that_a_gateway_rejects_and_the_truncated_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    as_attempt_failure(error_with(400, {"message": "output_config: Extra inputs are not permitted" + "x" * 9000}))
    [record] = caplog.records
    assert "output_config" in record.getMessage() and len(record.__dict__["provider_text"]) == MAX_LOGGED_CHARACTERS
    caplog.clear()
    as_attempt_failure(error_with(402, {"message": "You owe us."}))
    assert "You owe us." in caplog.records[0].__dict__["provider_text"]


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_a_sentence_for_users(code: ErrorCode) -> None:
    assert code.message.endswith(".") and code.message[0].isupper() and code.value not in code.message
    assert code.is_retryable is (code not in (ErrorCode.MODEL_REJECTED, ErrorCode.MODEL_REFUSED))

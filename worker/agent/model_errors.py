"""Maps errors of the model's provider to the contract's codes. The provider's text goes only to the log."""

import json
import logging
import re
from typing import Any, Literal

import anthropic
import httpx2

from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed

log = logging.getLogger(__name__)

MAX_LOGGED_CHARACTERS = 500
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
_OVERLOADED_TYPES = ("overloaded_error", "rate_limit_error")
_REJECTED_TYPES = ("invalid_request_error", "request_too_large")
_NO_ACCESS_TYPES = ("authentication_error", "permission_error", "not_found_error", "billing_error")
_MONEY = re.compile(
    r"enforced_spend_limit_reached|contract_spend_limit_reached|linked_organization_spend_limit_reached|"
    r"linked_organization_billing_unavailable|user_profile_not_billable|"
    r"credit balance is too low|specified (?:workspace )?API usage limits|"
    r"insufficient[_ ](?:quota|credit|balance|funds)",
    re.IGNORECASE,
)
_CONTENT_FILTER = re.compile(r"content filtering policy|content[_ ]filter", re.IGNORECASE)
_UNKNOWN_FIELD = re.compile(r"\b(cache_control|output_config|thinking|tool_choice)\b")

Reason = Literal["rate_limited", "overloaded"]
Error = anthropic.APIError | httpx2.HTTPError | httpx2.StreamError


class ProviderRefused(AttemptFailed):
    """Signals that the provider takes no requests now. The request is sent again when the gate opens, at no cost."""

    def __init__(self, detail: str, reason: Reason, retry_after_seconds: float | None) -> None:
        super().__init__(ErrorCode.MODEL_OVERLOADED, detail, worth_retrying=True)
        self.reason: Reason = reason
        self.retry_after_seconds = retry_after_seconds
        """What the provider asked for, where it did."""


def as_attempt_failure(error: Error) -> AttemptFailed:
    """Returns the failure of the attempt for an error of the SDK, or of its HTTP client in the middle of a stream."""
    if isinstance(error, anthropic.APIStatusError):
        text = error.body if isinstance(error.body, str) else json.dumps(error.body, default=str)
        text = text if error.body else str(error.message)
        return _failure(error.status_code, error.type or "", text, retry_after(dict(error.response.headers)))
    log.warning("the model's provider could not be reached, or broke off its response: %s", type(error).__name__)
    return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, type(error).__name__, worth_retrying=True)


def of_error_event(event: dict[str, Any]) -> AttemptFailed:
    """Returns the failure for an error event in the middle of a stream: its type decides, since the status was 200.

    Some gateways give an HTTP status as `code` in place of a type.
    """
    error = event.get("error")
    error = error if isinstance(error, dict) else {"message": str(error)}
    code = error.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) else 200
    return _failure(status, str(error.get("type") or ""), json.dumps(error, default=str), None)


def retry_after(headers: dict[str, str]) -> float | None:
    """Returns the seconds that a refusal asks the client to wait.

    Returns None where the refusal does not say, or the value makes no sense: 0 would mean to retry without a pause,
    and more than a day is an absolute time, or a mistake.
    """
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return seconds if 0 < seconds <= LONGEST_RETRY_AFTER_SECONDS else None


def _failure(status: int, kind: str, text: str, retry_after_seconds: float | None) -> AttemptFailed:
    detail = f"HTTP {status} {kind}".strip()
    _log(detail, text)
    if status == 402 or kind == "billing_error" or _MONEY.search(text):
        return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, f"{detail}, about money", is_retryable=False)
    if _CONTENT_FILTER.search(text):
        return AttemptFailed(ErrorCode.MODEL_REFUSED, f"{detail}, by a content filter")
    if status in (429, 529) or kind in _OVERLOADED_TYPES:
        is_limit = status == 429 or kind == "rate_limit_error"
        return ProviderRefused(detail, "rate_limited" if is_limit else "overloaded", retry_after_seconds)
    if status in (401, 403, 404) or kind in _NO_ACCESS_TYPES:
        return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, detail, is_retryable=False)
    if status in (400, 413, 422) or kind in _REJECTED_TYPES:
        return AttemptFailed(ErrorCode.MODEL_REJECTED, detail)
    return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, detail, worth_retrying=True)


def _log(detail: str, text: str) -> None:
    """Logs the reason for the operator, and which field of the request a gateway does not accept."""
    extra = {"provider_text": text[:MAX_LOGGED_CHARACTERS]}
    if detail.startswith(("HTTP 400", "HTTP 422")) and (field := _UNKNOWN_FIELD.search(text)):
        log.warning(
            "ANTHROPIC_BASE_URL: the provider, or a gateway before it, does not accept the field %s: %s",
            field[1],
            detail,
            extra=extra,
        )
        return
    log.warning("the model's provider answered with an error: %s", detail, extra=extra)

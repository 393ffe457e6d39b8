"""What may go wrong between us and the model, in the contract's codes. No text of the provider's leaves this file."""

import anthropic
import httpx2

from shared.contract.schemas import ErrorCode
from shared.errors import AttemptFailed

MAX_RETRY_AFTER_SECONDS = 20.0
_OVERLOADED_TYPES = ("overloaded_error", "rate_limit_error")
_REJECTED_TYPES = ("invalid_request_error", "request_too_large")
_REFUSED_ACCESS_TYPES = ("authentication_error", "permission_error", "not_found_error", "billing_error")


def as_attempt_failure(error: anthropic.APIError | httpx2.HTTPError | httpx2.StreamError) -> AttemptFailed:
    """The failure of the attempt that an error of the SDK, or of its HTTP client in mid-stream, means."""
    if isinstance(error, anthropic.APIStatusError):
        return _failure(error.status_code, error.type or "", _retry_after(error))
    return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, type(error).__name__, worth_retrying=True)


def of_error_event(kind: str) -> AttemptFailed:
    """The failure that an error event in the middle of a stream means: its status was 200, its type says what it is."""
    return _failure(200, kind)


def _failure(status: int, kind: str, retry_after_seconds: float | None = None) -> AttemptFailed:
    detail = f"HTTP {status} {kind}".strip()
    if status in (429, 529) or kind in _OVERLOADED_TYPES:
        return AttemptFailed(
            ErrorCode.MODEL_OVERLOADED, detail, worth_retrying=True, retry_after_seconds=retry_after_seconds
        )
    if status in (401, 402, 403, 404) or kind in _REFUSED_ACCESS_TYPES:
        return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, detail, is_retryable=False)
    if status in (400, 413, 422) or kind in _REJECTED_TYPES:
        return AttemptFailed(ErrorCode.MODEL_REJECTED, detail)
    return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, detail, worth_retrying=True)


def _retry_after(error: anthropic.APIStatusError) -> float | None:
    try:
        seconds = float(error.response.headers["retry-after"])
    except (KeyError, ValueError):
        return None
    # Not a number compares as false as well.
    return min(seconds, MAX_RETRY_AFTER_SECONDS) if seconds >= 0 else None

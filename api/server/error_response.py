"""Writes the problems that the server itself answers, before or instead of the app.

It is loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import json
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors

_DETAILS = {
    400: "The request could not be understood.",
    404: "There is nothing here.",
    414: "The request line is too long.",
    431: "The request's headers are too large: one may have 8,190 bytes, and 1,024 where it is a list, such as Accept.",
    417: "The expectation of the Expect header cannot be met.",
    500: "Something went wrong on our side. Please try again.",
    501: "The transfer coding is not one that is understood.",
    503: "Too many connections are open. Please try again in a moment.",
}
RETRY_AFTER_SECONDS = 5
_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
_STATUSES: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.UnsupportedTransferCoding: 501,
    errors.ConfigurationProblem: 404,  # the path is outside of SCRIPT_NAME, if the operator has set that
}


def status_of(error: BaseException) -> int | None:
    """Returns the status for a request that breaks HTTP or its limits; None where the error is ours."""
    if not isinstance(error, errors.ParseException) or isinstance(error, _OURS):
        return None
    return _STATUSES.get(type(error), 400)


def write(sock: Any, status: int, *_reason_and_message: str) -> None:
    """Writes the whole answer. The connection is then closed. The arguments are those of gunicorn's write_error."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": _DETAILS.get(status, f"{title}.")}
    body = json.dumps(problem).encode()
    lines = [
        f"HTTP/1.1 {status} {title}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(f"Retry-After: {RETRY_AFTER_SECONDS}")
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

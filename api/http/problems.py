"""Defines the errors that the API answers with, as application/problem+json (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Flask, Response
from flask_openapi3.types import ResponseDict
from pydantic import ValidationError
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from api.http.documented_headers import header_references
from api.http.field_messages import field_problems
from shared.contract.schemas import FieldProblem, Problem
from shared.state.connections import is_full, is_outage
from shared.state.outages import outages

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
UNAVAILABLE = "The service cannot reach its store right now. Please try again in a moment."
FULL = "The service has no memory left to store this, and has stored none of it. Please try again in a while."

_DETAILS = {
    400: "The request could not be understood.",
    404: "There is nothing here.",
    405: "This path does not answer that method.",
    413: "The request body is too large.",
    500: "Something went wrong on our side. Please try again.",
}
"""These replace werkzeug's texts, which may repeat the message of an exception."""


class ApiProblem(Exception):
    """Answers the request with an error where it is raised. `detail` is a sentence for the user."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldProblem] | None = None,
    ) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors or ())


def invalid_fields(errors: Sequence[FieldProblem]) -> ApiProblem:
    """Returns a 422 problem that names the fields."""
    names = ", ".join(dict.fromkeys(error.field for error in errors))
    return ApiProblem(422, f"Not valid: {names}.", errors=errors)


_MEANINGS = {
    400: "The request could not be understood: its body is not JSON, or a header or an id is malformed.",
    401: "Nobody is signed in, or the token has expired.",
    403: "The caller may not have this: it is another user's, another site made the browser ask, or demo mode is asked"
    " from another machine.",
    404: "There is no such thing, or it has expired.",
    408: "The request took too long to arrive.",
    409: "The `Idempotency-Key` was used for a request with another body.",
    413: "The body is too large.",
    415: "The body is not sent as application/json in UTF-8.",
    422: "Fields break their rules; `errors` names each.",
    429: "The caller does this too often, or has too many streams open. Wait for `Retry-After` seconds.",
    500: "Something went wrong in the service.",
    503: "The service cannot do it now. Wait for `Retry-After` seconds.",
}
_HEADERS = {401: ["WWW-Authenticate", "Sign-In-URL"], 429: ["Retry-After"], 503: ["Retry-After"]}


def problem_responses(*statuses: int, headers: Sequence[str] = ()) -> ResponseDict:
    """Returns the descriptions of a route's errors for the OpenAPI document.

    `headers` are those besides the ones that each status has.
    """
    return {status: _problem_response(status, headers) for status in statuses}


def _problem_response(status: int, headers: Sequence[str]) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    example = {"type": "about:blank", "title": title, "status": status, "detail": _DETAILS.get(status, f"{title}.")}
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        "description": _MEANINGS[status],
        "headers": header_references(*_HEADERS.get(status, ()), *headers),
        "content": {CONTENT_TYPE: content if status == 422 else {**content, "example": example}},
    }


def on_validation_error(error: ValidationError) -> NoReturn:
    """Raises the problem for a request that breaks its model. flask-openapi3 calls it."""
    raise invalid_fields(field_problems(error)) from None


def problem_of(error: Exception) -> ApiProblem:
    """Returns the problem that answers an expected error. Raises any other error."""
    if isinstance(error, ApiProblem):
        return error
    if isinstance(error, RedisError) and is_outage(error):
        outages.note(error)
        return ApiProblem(
            503, FULL if is_full(error) else UNAVAILABLE, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
    raise error


def internal_error() -> ApiProblem:
    """Returns the 500 problem, which says nothing about the error."""
    return ApiProblem(500, _DETAILS[500])


def install(app: Flask) -> None:
    """Installs the handlers that answer exceptions with problems."""
    # With an `Exception` handler Flask would neither log the traceback nor tell Sentry; without one it
    # does both, then hands an InternalServerError to the handler for HTTPException.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for kind in (ApiProblem, RedisError):
        app.register_error_handler(kind, lambda error: render(problem_of(error)))
    app.register_error_handler(HTTPException, _of_http_exception)


def render(problem: ApiProblem) -> Response:
    """Returns the problem as a response."""
    body = Problem(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        errors=problem.errors or None,
    )
    exclude = None if problem.errors else {"errors"}
    text = body.model_dump_json(exclude=exclude)
    return Response(text, problem.status, problem.headers, content_type=CONTENT_TYPE)


def _of_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {
        name: value for name, value in error.get_headers() if name.lower() not in ("content-type", "content-length")
    }
    detail = _DETAILS.get(status, HTTPStatus(status).phrase + ".")
    return render(ApiProblem(status, detail, headers=headers))

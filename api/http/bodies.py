"""Reads JSON bodies of requests within limits and parses them strictly, before a view gets them."""

import json
from typing import Any, NoReturn

from flask import Flask, Request, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from api.http.problems import ApiProblem, invalid_fields
from shared.contract.schemas import FieldProblem

BODY_MAX_BYTES = 16 * 1024
_WITH_BODY = ("POST", "PUT", "PATCH")


class JsonRequest(Request):
    """Represents a request whose JSON is read by the contract's rules.

    flask-openapi3 asks for `get_json(silent=True)`, which would turn a broken body into None.
    """

    _parsed: Any = ...

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Returns the body. Raises ApiProblem 415, 413 or 400, also if `silent` is set."""
        if self._parsed is ...:
            _require_json(self)
            self._parsed = _parse(_read(self))
        return self._parsed


def install(app: Flask) -> None:
    """Installs the check of JSON bodies."""
    # The limit is one byte more than allowed: werkzeug cuts a chunked body at its limit without an error, so
    # only its length tells a body that is too long from one that just fits.
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES + 1
    app.request_class = JsonRequest
    app.before_request(_check_body)


def _check_body() -> None:
    """Raises ApiProblem 415, 413 or 400 for a wrong body, and 422 for JSON that is no object."""
    has_body = request.method in _WITH_BODY and request.routing_exception is None
    if has_body and not isinstance(request.get_json(), dict):
        # flask-openapi3 would parse a string once more, as JSON.
        raise invalid_fields([FieldProblem(field="body", message="must be a JSON object")])


def _require_json(request: Request) -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise ApiProblem(415, "The body must be sent as application/json, in UTF-8.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise ApiProblem(415, "The body must be sent without a content encoding.")


def _read(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False) if (request.content_length or 0) <= BODY_MAX_BYTES else None
    except ClientDisconnected:
        _refuse_cut(request)
        raise
    except ParseException:
        raise ApiProblem(400, "The body's chunks are malformed.", headers={"Connection": "close"}) from None
    _refuse_cut(request)
    if body is None or len(body) > BODY_MAX_BYTES:
        raise ApiProblem(413, f"The body must have at most {BODY_MAX_BYTES} bytes.")
    return body


def _refuse_cut(request: Request) -> None:
    """Raises ApiProblem 408 or 413 if the server stopped reading before the end of the body."""
    sock = request.environ.get("gunicorn.socket")
    if getattr(sock, "timed_out", False):
        raise ApiProblem(408, "The request took too long to arrive.", headers={"Connection": "close"})
    if getattr(sock, "is_too_large", False):
        raise ApiProblem(413, "The request has too many bytes.", headers={"Connection": "close"})


def _parse(body: bytes) -> Any:
    if not body.strip():
        raise ApiProblem(400, "The body is empty.")
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ApiProblem(400, "The body is nested too deeply.") from None
    except ValueError:  # bad UTF-8, bad JSON, NaN, an integer of thousands of digits
        raise ApiProblem(400, "The body is not valid JSON.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)

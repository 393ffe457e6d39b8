"""Headers that every response carries."""

import re
from uuid import uuid4

from flask import Flask, Response, g, request

_POLICY = {
    "default-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
    "object-src": "'none'",
}
# Swagger UI brings inline styles and images as data: URLs; its scripts are files of our own.
_DOCS_POLICY = {**_POLICY, "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:"}


def _under(policy: dict[str, str]) -> dict[str, str]:
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
    }


_HEADERS, _DOCS_HEADERS = _under(_POLICY), _under(_DOCS_POLICY)
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def install(app: Flask) -> None:
    app.before_request(_identify)
    app.after_request(_add_headers)


def request_id() -> str:
    """The id of the current request: the caller's own where it is harmless, else a random one."""
    if "request_id" not in g:
        _identify()
    return str(g.request_id)


def security_headers(path: str) -> dict[str, str]:
    """What a response below that path carries, whoever writes it."""
    return _DOCS_HEADERS if path == "/docs" or path.startswith("/docs/") else _HEADERS


def sane_request_id(given: str) -> str:
    return given if _SANE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _identify() -> None:
    g.request_id = sane_request_id(request.headers.get("X-Request-ID", ""))


def _add_headers(response: Response) -> Response:
    for name, value in security_headers(request.path).items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-ID"] = request_id()
    if response.mimetype in ("application/json", "application/problem+json"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response

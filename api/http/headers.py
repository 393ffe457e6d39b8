"""Adds the headers that every response has."""

from flask import Flask, Response, request

from api.http.request_id import request_id

_POLICY = {
    "default-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
    "object-src": "'none'",
}
# Swagger UI has inline styles and images as data: URLs; its scripts are files on this host.
_DOCS_POLICY = {**_POLICY, "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:"}


def _under(policy: dict[str, str]) -> dict[str, str]:
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
    }


_HEADERS, _DOCS_HEADERS = _under(_POLICY), _under(_DOCS_POLICY)


def install(app: Flask) -> None:
    """Installs the hook that adds the headers."""
    app.after_request(lambda response: add_headers(response, request.path, request_id()))


def shared_headers(path: str, request_id: str) -> dict[str, str]:
    """Returns the headers that every answer to a request for this path has."""
    is_docs = path == "/docs" or path.startswith("/docs/")
    return {**(_DOCS_HEADERS if is_docs else _HEADERS), "X-Request-ID": request_id}


def add_headers(response: Response, path: str, request_id: str) -> Response:
    """Adds the shared headers to the response."""
    for name, value in shared_headers(path, request_id).items():
        response.headers.setdefault(name, value)
    if response.mimetype in ("application/json", "application/problem+json"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response

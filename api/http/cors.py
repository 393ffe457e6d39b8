"""Allows web clients on other origins that CORS_ORIGINS names, with bearer tokens only.

Credentials (cookies) are never allowed: a page elsewhere has to hold a token of its own.
"""

from flask import Flask, Request, Response, request

ALLOWED_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID")
ALLOWED_METHODS = ("GET", "POST", "PUT", "DELETE")
EXPOSED_HEADERS = (
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "Sign-In-URL",
    "X-Request-ID",
)
PREFLIGHT_SECONDS = 600
"""How long a browser may cache the answer to a preflight."""


def install(app: Flask, origins: tuple[str, ...]) -> None:
    """Installs the hooks. They must come before authentication: a preflight carries no token."""
    if not origins:
        return

    def answer_preflight() -> Response | None:
        return Response(status=204) if _is_preflight(request) else None

    def add_headers(response: Response) -> Response:
        # It is added for all origins: a cache must not give one origin's answer to another.
        response.vary.add("Origin")
        response.headers.update(allow(origins, request.headers.get("Origin"), is_preflight=_is_preflight(request)))
        return response

    app.before_request(answer_preflight)
    app.after_request(add_headers)


def allow(origins: tuple[str, ...], origin: str | None, *, is_preflight: bool = False) -> dict[str, str]:
    """Returns the headers that make a browser pass the answer to a page of this origin.

    There are none for an origin that is not allowed.
    """
    if origin is None or origin not in origins:
        return {}
    headers = {"Access-Control-Allow-Origin": origin}
    if is_preflight:
        headers["Access-Control-Allow-Methods"] = ", ".join(ALLOWED_METHODS)
        headers["Access-Control-Allow-Headers"] = ", ".join(ALLOWED_HEADERS)
        headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    else:
        headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
    return headers


def _is_preflight(request: Request) -> bool:
    headers = request.headers
    return request.method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers

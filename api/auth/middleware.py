"""Authenticates every request below the API's prefix before it is handled."""

from typing import Protocol
from urllib.parse import urlsplit

from flask import Flask, Request, g, request
from redis import Redis

from api.auth.bearer import TokenAuthenticator
from api.auth.credentials import Credential
from api.auth.demo import COOKIE, DemoAuthenticator
from api.http.paths import PREFIX
from api.http.problems import ApiProblem
from shared.settings import ApiSettings
from shared.telemetry import breadcrumbs

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]
"""The security of all routes in the OpenAPI document: one of the two is enough."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Authenticator(Protocol):
    """Decides who sends a request."""

    def guard(self, request: Request) -> None:
        """Raises ApiProblem 403 when this client is not served at all, whatever the path."""

    def identify(self, request: Request) -> Credential:
        """Returns the user. Raises ApiProblem 401; ApiProblem 503 or redis.RedisError when a check is not possible."""


def authenticator(settings: ApiSettings, redis: Redis) -> Authenticator:
    """Returns the authenticator for AUTH_MODE."""
    if settings.auth_mode == "demo":
        return DemoAuthenticator(redis)
    return TokenAuthenticator(settings)


def cookie_name(settings: ApiSettings) -> str:
    """Returns the name of the cookie that signs a browser in."""
    return COOKIE if settings.auth_mode == "demo" else settings.auth_cookie


def install(app: Flask, authenticator: Authenticator) -> None:
    """Installs a hook that sets `flask.g.user_id` for every path below PREFIX, whether it exists or not."""

    def authenticate() -> None:
        authenticator.guard(request)
        if request.path.startswith(f"{PREFIX}/"):
            g.user_id = user_of(request, authenticator)

    app.before_request(authenticate)


def user_of(request: Request, authenticator: Authenticator) -> str:
    """Returns the id of the user who sends this request. Raises what Authenticator.identify does, or ApiProblem 403."""
    credential = authenticator.identify(request)
    if credential.is_cookie:
        _refuse_other_origins(request)
    breadcrumbs.tag(user_id=credential.user_id)
    return credential.user_id


def _refuse_other_origins(request: Request) -> None:
    """Raises ApiProblem 403 when another site made the browser send this. Without the headers it is no browser."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    if site not in ("same-origin", "none") or (origin is not None and not _is_own(origin, request)):
        raise ApiProblem(403, "This request comes from another site.")


def _is_own(origin: str, request: Request) -> bool:
    """Returns whether host and port are ours. The scheme is not compared: a proxy may have ended TLS."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None or not parts.netloc:
        return False
    own = request.headers.get("Host", "").lower()
    return parts.netloc.removesuffix(default_port) == own.removesuffix(default_port)

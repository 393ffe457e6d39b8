"""Authenticates browsers on this machine (AUTH_MODE=demo): each of them is a user of its own."""

import re
import secrets
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from uuid import uuid4

from flask import Request, Response
from itsdangerous import BadSignature, Signer
from redis import Redis

from api.auth.credentials import Credential, unauthorised
from api.http.problems import ApiProblem
from shared.state import keys

COOKIE = "planner_demo"
"""The cookie's name, which must not overwrite a session of another application on the same host."""
COOKIE_MAX_AGE_SECONDS = 365 * 24 * 3600
KEY_BYTES = 32
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::\d{1,5})?")


class DemoAuthenticator:
    """Authenticates by signed cookies that the page sets. The key is in Redis, so all processes share it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._signer: Signer | None = None

    def guard(self, request: Request) -> None:
        """Raises ApiProblem 403 unless the request comes from this machine and is addressed to localhost.

        The Host header matters: a foreign site whose name resolves to 127.0.0.1 (DNS rebinding) is loopback too.
        """
        if not is_loopback(request.remote_addr or ""):
            raise ApiProblem(403, "The demo mode serves only the machine it runs on.")
        if not is_loopback_host(request.headers.get("Host", "")):
            raise ApiProblem(403, "The demo mode answers only to localhost.")

    def identify(self, request: Request) -> Credential:
        """Returns the user of the cookie. Raises ApiProblem 401, or redis.RedisError when the key cannot be read."""
        if cookie := request.cookies.get(COOKIE):
            try:
                return Credential(self._key().unsign(cookie).decode(), is_cookie=True)
            except (BadSignature, ValueError):
                pass
        raise unauthorised("Open the page at / first: it signs this browser in.")

    def welcome(self, request: Request, response: Response) -> None:
        """Sets a cookie in the response, unless the browser has a valid one. Raises redis.RedisError."""
        try:
            self.identify(request)
        except ApiProblem:
            cookie = self._key().sign(f"demo-{uuid4()}").decode()
            response.set_cookie(COOKIE, cookie, COOKIE_MAX_AGE_SECONDS, path="/", httponly=True, samesite="Lax")

    def _key(self) -> Signer:
        if self._signer is None:
            self._redis.set(keys.DEMO_KEY, secrets.token_bytes(KEY_BYTES), nx=True)
            key = self._redis.get(keys.DEMO_KEY)
            assert isinstance(key, bytes)
            self._signer = Signer(key, salt=b"planner-demo", digest_method=sha256)
        return self._signer


def is_loopback(address: str) -> bool:
    """Returns whether the address of a client is on this machine."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def is_loopback_host(host: str) -> bool:
    """Returns whether a Host header names this machine: localhost, *.localhost, 127.0.0.0/8 or [::1]."""
    match = _HOST.fullmatch(host.strip().lower())
    if match is None:
        return False
    name = match["name"].removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name.strip("[]"))

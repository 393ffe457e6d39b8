"""Holds the HTTP API. `create_app` builds it; nothing happens at import."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_openapi3.openapi import OpenAPI
    from redis import Redis

    from shared.settings import ApiSettings


def create_app(settings: "ApiSettings", redis: "Redis | None" = None, *, static: Path | None = None) -> "OpenAPI":
    """Returns the app with all it needs. It does not connect to Redis, which may be started later.

    `static` is the folder of the built web client, if it is not the usual one.
    """
    # gunicorn's master imports this package for its worker class, long before gevent patches sockets and
    # TLS in the workers. What uses them must not be loaded by then.
    from api.app import build

    return build(settings, redis, static)

"""The HTTP API. `create_app` builds it; nothing happens at import."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_openapi3.openapi import OpenAPI
    from redis import Redis

    from shared.settings import ApiSettings


def create_app(settings: "ApiSettings", redis: "Redis | None" = None, *, static: Path | None = None) -> "OpenAPI":
    """Returns the app with all it needs. Connects to nothing yet: Redis may come later.

    `static` is where the built web client is, when it is not where it should be.
    """
    # gunicorn's master imports this package for its worker class, long before gevent patches sockets and
    # TLS in the workers. What uses them must not be loaded by then.
    from api.app import build

    return build(settings, redis, static)

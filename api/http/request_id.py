"""Chooses the id of a request, which is in the answer's headers and in all log lines about the request."""

import re
from uuid import uuid4

from flask import g, request

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def choose_request_id(given: str | None) -> str:
    """Returns the caller's own id where it is harmless, else a random one."""
    return given if given and _SANE.fullmatch(given) else uuid4().hex


def request_id() -> str:
    """Returns the id of the request that Flask is answering."""
    if "request_id" not in g:
        g.request_id = choose_request_id(request.headers.get("X-Request-ID"))
    return str(g.request_id)

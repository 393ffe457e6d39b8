"""One line of the log for each request; a stream's comes when it ends. Who asked is not in it."""

import logging
import time
from functools import partial

from flask import Flask, Response, g, request

from api.http.request_id import request_id
from shared.telemetry import logs
from shared.telemetry.metrics import api_metrics

log = logging.getLogger(__name__)

PROBES = ("/healthz", "/readyz", "/metrics")
"""Paths that machines request every few seconds; logged only at level DEBUG."""


def install(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_log_at_the_end)


def _begin() -> None:
    g.began = time.perf_counter()
    # A kept connection's requests share a greenlet.
    logs.rebind(request_id=request_id())


def _log_at_the_end(response: Response) -> Response:
    # The template, not the path: that could hold anything, and as many of them.
    route = request.url_rule.rule if request.url_rule else None
    # A 503 is an answer as well, each few seconds while Redis is away or the process drains, and that has its own line.
    level = logging.DEBUG if route in PROBES and response.status_code in (200, 503) else logging.INFO
    fields: dict[str, object] = {"method": request.method, "route": route, "status": response.status_code}
    if "job_id" in g:
        fields["job_id"] = g.job_id
    began = g.get("began", time.perf_counter())
    response.call_on_close(partial(log_request, level, request_id(), fields, began))
    return response


def log_request(level: int, request_id: str, fields: dict[str, object], began: float) -> None:
    """Counts a request and logs the one line about it, which began at that time of `time.perf_counter`."""
    api_metrics().requests.labels(str(fields["route"] or "other"), str(fields["status"])).inc()
    # A stream outlives its request and the greenlet it was bound in.
    logs.rebind(request_id=request_id)
    log.log(level, "request", extra={**fields, "duration_ms": round((time.perf_counter() - began) * 1000, 1)})

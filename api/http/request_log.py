"""Logs one line for each request, for a stream when it ends. The user is not in it."""

import logging
import time
from functools import partial

from flask import Flask, Response, g, request

from api.http.request_id import request_id
from shared.telemetry import logs
from shared.telemetry.metrics import api_metrics

log = logging.getLogger(__name__)

PROBES = ("/healthz", "/readyz", "/metrics")
"""Paths that machines request every few seconds; these requests are logged only at level DEBUG."""


def install(app: Flask) -> None:
    """Installs the hooks that log each request."""
    app.before_request(_begin)
    app.after_request(_log_at_the_end)


def _begin() -> None:
    g.began = time.perf_counter()
    # The requests of one connection share a greenlet.
    logs.rebind(request_id=request_id())


def _log_at_the_end(response: Response) -> Response:
    # The label is the template of the path: a path can contain anything, so there would be too many labels.
    route = request.url_rule.rule if request.url_rule else None
    # A probe's 503 is expected while Redis is away or the process drains, which is logged elsewhere.
    level = logging.DEBUG if route in PROBES and response.status_code in (200, 503) else logging.INFO
    fields: dict[str, object] = {"method": request.method, "route": route, "status": response.status_code}
    if "job_id" in g:
        fields["job_id"] = g.job_id
    began = g.get("began", time.perf_counter())
    response.call_on_close(partial(log_request, level, request_id(), fields, began))
    return response


def log_request(level: int, request_id: str, fields: dict[str, object], began: float) -> None:
    """Counts a request and logs the line about it. `began` is its start by `time.perf_counter`."""
    api_metrics().requests.labels(str(fields["route"] or "other"), str(fields["status"])).inc()
    # A stream outlives its request, so the id bound to the request's greenlet is not available.
    logs.rebind(request_id=request_id)
    log.log(level, "request", extra={**fields, "duration_ms": round((time.perf_counter() - began) * 1000, 1)})

"""Serves the metrics and probes of a worker process over HTTP on METRICS_PORT."""

import json
import socket
from collections.abc import Callable, Iterable
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import REGISTRY, make_wsgi_app

from shared import __version__
from shared.settings import WorkerSettings
from shared.state.connections import connect
from shared.state.job_store import JobStore
from shared.state.redis_metrics import RedisCollector
from shared.telemetry.metrics import job_metrics, worker_metrics
from worker.bounded_server import BoundedThreads
from worker.jobs.health import Health
from worker.jobs.job_runner import JobRunner

SCRAPE_TIMEOUT_SECONDS = 1.0
CONNECTIONS = 2
"""The connections to Redis for scrapes; a scrape that needs another one waits."""
CLIENT_SECONDS = 5
"""A connection on which no request arrives for this long is closed."""


def serve(settings: WorkerSettings, runner: JobRunner, store: JobStore, health: Health) -> None:
    """Starts serving if METRICS_PORT is set. Raises OSError when the port cannot be used."""
    job_metrics()
    slots = settings.worker_concurrency
    worker_metrics().unwritten_seconds.set_function(lambda: health.oldest_unwritten_seconds)
    worker_metrics().slots_used.set_function(lambda: runner.running_count)
    worker_metrics().slots_free.set_function(lambda: slots - runner.running_count)
    if settings.metrics_port is None:
        return
    redis = connect(settings.redis_url, max_connections=CONNECTIONS, timeout_seconds=SCRAPE_TIMEOUT_SECONDS)
    REGISTRY.register(RedisCollector(redis, store.queue.key, settings.models))
    server = _server(settings.metrics_host, settings.metrics_port, _app(health))
    Thread(target=server.serve_forever, name="probes", daemon=True).start()


def _app(health: Health) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(REGISTRY)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        known: dict[str, Callable[[], list[str]]] = {
            "/healthz": health.problems,
            "/readyz": health.reasons_not_ready,
        }
        if path not in known:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"there are /metrics, /healthz and /readyz\n"]
        problems = known[path]()
        body = {"status": "unavailable" if problems else "ok", "version": __version__, "problems": problems}
        start_response("503 Service Unavailable" if problems else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    return app


class _Server(BoundedThreads, WSGIServer):
    """Represents a WSGI server with a limited number of connections."""


class _Handler(WSGIRequestHandler):
    """Answers one request, within CLIENT_SECONDS."""

    timeout = CLIENT_SECONDS

    def log_message(self, *args: object) -> None:
        """Logs nothing, because probes come every few seconds."""


def _server(host: str, port: int, app: WSGIApplication) -> WSGIServer:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    kind = type("Server", (_Server,), {"address_family": family})
    return make_server(str(address[0]), port, app, kind, handler_class=_Handler)

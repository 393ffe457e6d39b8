"""How a worker process reports its state: metrics and probes over HTTP on METRICS_PORT, and a probe to be executed."""

import json
import socket
import sys
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from threading import Thread
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import REGISTRY, make_wsgi_app
from redis.exceptions import RedisError

from shared import __version__
from shared.errors import SettingsError
from shared.settings import WorkerSettings, load
from shared.state import keys
from shared.state.connections import connect
from shared.state.job_store import JobStore
from shared.state.outages import outages
from shared.state.redis_metrics import RedisCollector
from shared.telemetry.metrics import job_metrics, worker_metrics
from worker.bounded_server import BoundedThreads
from worker.jobs.health import Health
from worker.jobs.job_runner import JobRunner

SCRAPE_TIMEOUT_SECONDS = 1.0
CONNECTIONS = 2
"""A scrape waits no longer than this for Redis."""
CLIENT_SECONDS = 5
"""A client of the port that sends no request for so long is hung up on."""
HEARTBEAT_SECONDS = 15
"""A worker renews its presence every 2 s while its event loop turns."""


def serve(settings: WorkerSettings, runner: JobRunner, store: JobStore, health: Health) -> None:
    """Starts serving where a port is set. Raises OSError when the port cannot be used."""
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


def is_alive() -> int:
    """Answers an exec probe by its exit code: 1 where a worker of this host has a problem or is not to be seen.

    Without METRICS_PORT it looks for the host's worker in Redis; a Redis that is away is no reason to restart one.
    """
    try:
        settings = load(WorkerSettings)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    keys.use_prefix(settings.redis_prefix)
    problem = _asked(settings) if settings.metrics_port is not None else _looked_up(settings)
    if problem:
        print(f"worker: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _app(health: Health) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(REGISTRY)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        known: dict[str, Callable[[], list[str]]] = {
            "/healthz": health.problems,
            "/readyz": health.reasons_not_to_count,
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
    """A WSGI server that few clients can use at once."""


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, *args: object) -> None:
        """Logs nothing: probes come every few seconds."""


def _server(host: str, port: int, app: WSGIApplication) -> WSGIServer:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    kind = type("Server", (_Server,), {"address_family": family})
    return make_server(str(address[0]), port, app, kind, handler_class=_Handler)


def _asked(settings: WorkerSettings) -> str | None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)  # noqa: S104
    connection = HTTPConnection(host, settings.metrics_port, timeout=CLIENT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return None if answer.status == 200 else answer.read(2_000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"METRICS_PORT {settings.metrics_port} does not answer: {type(error).__name__}"
    finally:
        connection.close()


def _looked_up(settings: WorkerSettings) -> str | None:
    redis = connect(settings.redis_url, max_connections=1, timeout_seconds=CLIENT_SECONDS)
    try:
        seconds, microseconds = redis.time()
        since = (seconds - HEARTBEAT_SECONDS) * 1000 + microseconds // 1000
        alive = cast(list[bytes], redis.zrangebyscore(keys.WORKERS, since, "+inf"))
    except RedisError as error:
        outages.note(error)
        return None
    mine = f"{socket.gethostname()}.".encode()
    if any(name.startswith(mine) for name in alive):
        return None
    return f"no worker of this host has sent a heartbeat in {HEARTBEAT_SECONDS} s"

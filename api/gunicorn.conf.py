"""Configures gunicorn: `gunicorn -c api/gunicorn.conf.py api.wsgi:app`.

It runs in the master, before gevent patches the workers: import nothing here that uses sockets or TLS.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from api.server import gunicorn_options
from api.server.temp_folder import temp_folder
from shared.errors import SettingsError
from shared.file_limit import raise_file_limit
from shared.settings import ApiSettings, load
from shared.telemetry.logs import formatter


def _fail(message: str) -> NoReturn:
    print(f"web: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


OTHER_FILES = 100
"""The files that a process has open besides its clients' connections: connections to Redis, metrics, the log."""


def _load() -> ApiSettings:
    """Returns the settings. It lowers MAX_CONNECTIONS to what the process may open; the workers read the same value."""
    settings = load(ApiSettings)
    files = raise_file_limit(max(settings.max_connections, OTHER_FILES) + OTHER_FILES)
    if files < 2 * OTHER_FILES:
        raise SettingsError(
            f"this process may open only {files} files (ulimit -n); it needs at least {2 * OTHER_FILES}"
        )
    if (most := files - OTHER_FILES) < settings.max_connections:
        print(
            f"web: MAX_CONNECTIONS is lowered to {most}, since only {files} files may be open (ulimit -n)", flush=True
        )
        os.environ["MAX_CONNECTIONS"] = str(most)
        return load(ApiSettings)
    return settings


try:
    settings = _load()
except SettingsError as error:
    _fail(str(error))


def _metrics_folder() -> str:
    """Returns a folder of this master's own, in which its workers share their metrics."""
    prefix = f"planner-metrics-{os.getpid()}-"
    before = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if Path(before).name.startswith(prefix) and Path(before).is_dir():
        return before  # after a reload (SIGHUP) the counts continue
    return tempfile.mkdtemp(prefix=prefix, dir=temp_folder())


# This must be set before prometheus_client is imported, which reads it once.
try:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder()
except SettingsError as error:
    _fail(str(error))

_host = "127.0.0.1" if settings.auth_mode == "demo" else "0.0.0.0"  # noqa: S104

bind = f"{_host}:{settings.port}"
worker_class = gunicorn_options.WORKER_CLASS
worker_connections = gunicorn_options.WORKER_CONNECTIONS
keepalive = 65  # seconds; longer than the usual 60 of a load balancer, which must be the one to hang up
timeout = 60  # seconds without a sign of life from a worker's event loop
graceful_timeout = 10  # seconds
limit_request_line = 8190  # bytes
limit_request_field_size = 8190  # bytes a header; a token or a set of cookies fits
limit_request_fields = 64  # headers
forwarder_headers = ""  # no header may change the path, since that would get round a proxy's rules
control_socket_disable = True  # the default path is the same for all servers of a user, so a second one would collide
loglevel = settings.log_level.lower()


class logger_class(Logger):  # type: ignore[misc]
    """Logs in the format of the rest of the process, instead of gunicorn's plain text on standard error."""

    def _set_handler(self, log: Any, output: str | None, fmt: Any, stream: IO[str] | None = None) -> None:
        super()._set_handler(log, output, formatter(settings), stream or sys.stdout)


def on_starting(server: Arbiter) -> None:
    """Ends the process at once on options that would break the streams, or when an address is taken.

    gunicorn itself would retry for five seconds.
    """
    if problem := gunicorn_options.refusal(server.cfg, settings.max_connections):
        _fail(problem)
    if not (Path(__file__).parent / "static/index.html").is_file():
        server.log.warning("this installation has no page (make install builds it); the API serves without it")
    if server.master_pid or "LISTEN_FDS" in os.environ:  # the addresses are open: an upgrade, or systemd's sockets
        return
    for address in server.cfg.address:
        if problem := gunicorn_options.address_problem(
            address, is_demo=settings.auth_mode == "demo", shares_port=server.cfg.reuse_port
        ):
            _fail(problem)


def post_worker_init(worker: Worker) -> None:
    """Stops the master at its start if the answer of Redis shows that REDIS_URL or the user's rights are wrong.

    It runs in the worker, after gevent has patched it. A Redis that is only away is no reason: it may come.
    """
    if worker.age > worker.cfg.workers:  # this worker replaces one that died, so the settings were right at the start
        return
    from shared.state.diagnosis import raise_if_lasting

    try:
        problem = raise_if_lasting(settings.redis_url)
    except SettingsError as error:
        print(f"web: {error}", file=sys.stderr, flush=True)
        sys.exit(Arbiter.APP_LOAD_ERROR)
    if problem:
        worker.log.warning(problem)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Deletes the gauges of a worker that has ended, such as its open streams. Its counters are kept.

    prometheus_client's mark_process_dead does the same, but importing it here would load TLS before gevent patches it.
    """
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob(f"gauge_live*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)

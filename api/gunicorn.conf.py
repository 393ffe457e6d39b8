"""gunicorn's settings: `gunicorn -c api/gunicorn.conf.py api.wsgi:app`.

Runs in the master, before gevent patches the workers: import nothing from here that uses sockets or TLS.
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
"""What a process has open beside its clients' connections: those to Redis, its metrics, its log."""


def _load() -> ApiSettings:
    """Returns the settings, with no more connections than the process may open; the workers read the same ones."""
    settings = load(ApiSettings)
    files = raise_file_limit(max(settings.max_connections, OTHER_FILES) + OTHER_FILES)
    if files < 2 * OTHER_FILES:
        raise SettingsError(f"only {files} files may be open (ulimit -n); at least {2 * OTHER_FILES} are needed")
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
    """Returns a folder of this master's own, where its workers keep their metrics for whichever answers a scrape."""
    prefix = f"planner-metrics-{os.getpid()}-"
    before = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if Path(before).name.startswith(prefix) and Path(before).is_dir():
        return before  # a reload (SIGHUP): the counts go on
    return tempfile.mkdtemp(prefix=prefix, dir=temp_folder())


# Before prometheus_client is imported, which reads the variable once.
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
forwarder_headers = ""  # none: a path that a header changes gets round a proxy's rules
control_socket_disable = True  # one path a user: a second server would collide
loglevel = settings.log_level.lower()


class logger_class(Logger):  # type: ignore[misc]
    """Logs like the rest of the process; gunicorn's own default is plain text on standard error."""

    def _set_handler(self, log: Any, output: str | None, fmt: Any, stream: IO[str] | None = None) -> None:
        super()._set_handler(log, output, formatter(settings), stream or sys.stdout)


def on_starting(server: Arbiter) -> None:
    """Fails at once on options that would break the streams, and when an address is taken.

    gunicorn itself would try for five seconds.
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
    """Stops the master, when it starts, where Redis says that it will never serve as it is configured.

    In the worker, after gevent has patched it. A Redis that is merely away does not matter: it may come.
    """
    if worker.age > worker.cfg.workers:  # takes the place of one that has died: the settings were good once
        return
    from shared.state.diagnosis import refuse_what_lasts

    try:
        problem = refuse_what_lasts(settings.redis_url)
    except SettingsError as error:
        print(f"web: {error}", file=sys.stderr, flush=True)
        sys.exit(Arbiter.APP_LOAD_ERROR)
    if problem:
        worker.log.warning(problem)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Open streams of a worker that has gone count no more; its counters do.

    What prometheus_client's mark_process_dead does; importing that here would load TLS before gevent patches it.
    """
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob(f"gauge_live*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)

"""Starts the servers of event streams, ours and its alternatives, each as one process on its own core."""

import os
import resource
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench.load import build
from tests.bench.measures import family
from tests.conftest import bearer, free_port, token, wait_until
from tests.stack import JOBS, LIFETIME_SECONDS, PROCFILE, Process, Stack

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
"""The path of the module in Debian's libnginx-mod-nchan."""
_CONF = Path(__file__).parent / "rivals" / "nchan.conf"


@dataclass(frozen=True)
class Server:
    """Represents a server that serves `path` % id as a stream. `door` has the options for publishing to it."""

    name: str
    port: int
    path: str
    process: Process
    door: dict[str, str | int]
    header: str = ""

    @property
    def pids(self) -> list[int]:
        return family(self.process.pid)


Start = Callable[[Stack], AbstractContextManager[Server]]


def raise_limits() -> None:
    """Raises the limit of open files to its maximum, for this process and those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pin(pids: list[int], *, is_server: bool) -> None:
    """Pins the processes of a server to the first core, and all others to the other cores."""
    cores = sorted(os.sched_getaffinity(0))
    chosen = cores[:1] if is_server else cores[1:] or cores
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), chosen)


@contextmanager
def ours(system: Stack) -> Iterator[Server]:
    port, header = free_port(), _authorization()
    process = system.start("web", shlex.split(PROCFILE["web"]), PORT=str(port), STREAMS_PER_USER="1000000")
    with _ready(system, process, f"http://127.0.0.1:{port}/healthz"):
        yield Server("ours", port, f"{JOBS}/%s", process, _redis_door(system), header)


@contextmanager
def flask(system: Stack) -> Iterator[Server]:
    port = free_port()
    command = ["-m", "gunicorn", "--no-control-socket", "-k", "gevent", "--worker-connections", "20000"]
    command += ["-b", f"127.0.0.1:{port}", "tests.bench.rivals.flask_pubsub:app"]
    process = system.start("flask", [sys.executable, *command])
    with _ready(system, process, f"http://127.0.0.1:{port}/nothing"):
        yield Server("Flask, a connection a client", port, "/stream/%s", process, _redis_door(system))


def starlette(system: Stack) -> AbstractContextManager[Server]:
    return _starlette(system, "sse-starlette, a hub", "asyncio", "h11")


def starlette_with_uvloop(system: Stack) -> AbstractContextManager[Server]:
    return _starlette(system, "the same on uvloop, httptools", "uvloop", "httptools")


@contextmanager
def _starlette(system: Stack, name: str, loop: str, parser: str) -> Iterator[Server]:
    port = free_port()
    command = ["-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
    command += ["--loop", loop, "--http", parser, "--port", str(port), "tests.bench.rivals.starlette_hub:app"]
    process = system.start("starlette", [sys.executable, *command])
    with _ready(system, process, f"http://127.0.0.1:{port}/nothing"):
        yield Server(name, port, "/stream/%s", process, _redis_door(system))


@contextmanager
def nchan(system: Stack) -> Iterator[Server]:
    port, folder = free_port(), system.folder / f"nchan-{free_port()}"
    folder.mkdir()
    conf = folder / "nginx.conf"
    text = _CONF.read_text()
    for name, value in (("PORT", port), ("FOLDER", folder), ("MODULE", NCHAN)):
        text = text.replace(name, str(value))
    conf.write_text(text)
    process = system.start("nchan", ["nginx", "-p", str(folder), "-c", str(conf)])
    with _ready(system, process, f"http://127.0.0.1:{port}/nothing"):
        yield Server("nginx with nchan", port, "/stream/%s", process, {"publish": "http", "publish-port": port})


@contextmanager
def relay(system: Stack) -> Iterator[Server]:
    """Starts a relay in C that does nothing else, to show the least that delivery can cost."""
    port = free_port()
    program = build(Path(__file__).parent / "rivals" / "relay.c")
    process = system.start("relay", [program, str(port), str(system.redis_server.port)])
    with _ready(system, process, f"http://127.0.0.1:{port}/nothing"):
        yield Server("a relay in C", port, "/stream/%s", process, _redis_door(system))


@contextmanager
def flask_create(system: Stack) -> Iterator[Server]:
    """Starts a server without streams; its `path` is where jobs are created."""
    port = free_port()
    command = ["-m", "gunicorn", "--no-control-socket", "-k", "gevent", "-w", "1", "--keep-alive", "65"]
    command += ["-b", f"127.0.0.1:{port}", "tests.bench.rivals.flask_create:app"]
    process = system.start("flask_create", [sys.executable, *command])
    with _ready(system, process, f"http://127.0.0.1:{port}/nothing"):
        yield Server("Flask, four round trips", port, "/suggest-feature", process, {}, _authorization())


def everybody() -> list[Start]:
    """Returns our server and the alternatives that are installed on this machine."""
    has_nchan = shutil.which("nginx") is not None and NCHAN.exists()
    return [ours, flask, starlette, starlette_with_uvloop, *([nchan] if has_nchan else [])]


def _authorization() -> str:
    return f"Authorization: {bearer(token('alice', lifetime_seconds=LIFETIME_SECONDS))['Authorization']}\r\n"


def _redis_door(system: Stack) -> dict[str, str | int]:
    return {"publish": "redis", "publish-port": system.redis_server.port, "channel": "suggestion:%s:live"}


@contextmanager
def _ready(system: Stack, process: Process, url: str) -> Iterator[None]:
    """Waits until the server answers, and kills it at the end."""
    try:
        wait_until(lambda: process.popen.poll() is not None or _answers(url))
        assert process.popen.poll() is None, "\n".join(process.lines[-20:])
        pin(family(process.pid), is_server=True)
        yield
    finally:
        for pid in family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.cleanup()
        system.processes.remove(process)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False

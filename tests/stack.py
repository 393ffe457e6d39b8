"""Runs the real system as processes, and provides HTTP clients that act as its users."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from redis import Redis

from shared.contract.events import FINAL, Transcript, decode, fold
from shared.state.event_log import EventId
from tests.conftest import SECRET, RedisServer, bearer, clean_environment, free_port, start_redis, token, wait_until
from tests.document import check_event, check_httpx
from tests.forks import FORKS, READ_WHEN_LOADED, WEB_FORKS, Forked
from tests.relay import RESET

ROOT = Path(__file__).parent.parent
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
WEB_OPTIONS = ("--chdir", str(ROOT), "-c", str(ROOT / "api/gunicorn.conf.py"), "api.wsgi:app")
JOBS = "/api/feature-planner/suggest-feature"
BODY = {"pageOrComponent": "Checkout page", "featureType": "enhancement", "priorityLevel": "high"}
# A user's token must outlive any test.
LIFETIME_SECONDS = 3600


@dataclass
class Process:
    """Represents a process under test, and keeps its output, which is printed when the test fails."""

    name: str
    popen: "subprocess.Popen[str] | Forked"
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            self.lines.append(line.rstrip())

    @property
    def pid(self) -> int:
        return self.popen.pid

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> int:
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 20) -> int:
        return self.popen.wait(seconds)

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def cleanup(self) -> None:
        if self.popen.poll() is None:
            # A process that SIGSTOP has suspended would not react to anything else.
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
            self.popen.wait()
        self._reader.join()
        assert self.popen.stdout
        self.popen.stdout.close()


class Stack:
    """Starts processes that use a Redis server of their own. `close` ends all of them."""

    is_forking = False
    """Says whether processes are forked from one that has loaded their packages, which saves a minute of the tests."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.redis_server: RedisServer = start_redis(free_port(), folder)
        self.redis = Redis(port=self.redis_server.port)
        self.settings = {
            "REDIS_URL": self.redis_server.url,
            "AUTH_MODE": "jwt",
            "AUTH_SECRET": SECRET,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_MODEL": "sandbox",
            "LOG_FORMAT": "console",
            "JOBS_PER_MINUTE": "1000",
            "STREAMS_PER_USER": "1000",
            **settings,
        }
        self.processes: list[Process] = []
        self.web_port = 0
        self.sandbox_url = ""

    def start(self, name: str, command: list[str], **settings: str) -> Process:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(**{**self.settings, **settings}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        process = Process(name, popen)
        self.processes.append(process)
        return process

    def fork(self, name: str, module: str, *arguments: str, **settings: str) -> Process:
        """Starts `python -m MODULE ARGUMENTS...` in a process that has loaded the packages."""
        forks = WEB_FORKS if name == "web" else FORKS
        environment = clean_environment(**{**self.settings, **settings})
        process = Process(name, forks.start(module, *arguments, env=environment))
        self.processes.append(process)
        return process

    def start_sandbox(
        self,
        *more: str,
        chars: int = 20,
        interval_ms: float = 10,
        answer_chars: int | None = None,
        port: int | None = None,
    ) -> Process:
        """Starts a sandbox and returns it once it listens. `more` are further options for its command line."""
        port = port or free_port()
        options = ["--port", str(port), "--chars", str(chars), "--interval-ms", str(interval_ms), *more]
        if answer_chars is not None:
            options += ["--answer-chars", str(answer_chars)]
        if self.is_forking:
            process = self.fork("sandbox", "worker.sandbox", *options)
        else:
            process = self.start("sandbox", [sys.executable, "-m", "worker.sandbox", *options])
        wait_until(lambda: process.has_said("listening"))
        self.sandbox_url = f"http://127.0.0.1:{port}"
        self.settings["ANTHROPIC_BASE_URL"] = self.sandbox_url
        return process

    def start_web(self, port: int | None = None, **settings: str) -> Process:
        port = port or free_port()
        settings["PORT"] = str(port)
        if self.is_forking and not READ_WHEN_LOADED & (self.settings.keys() | settings.keys()):
            process = self.fork("web", "gunicorn", *WEB_OPTIONS, **settings)
        else:
            process = self.start("web", shlex.split(PROCFILE["web"]), **settings)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        self.web_port = self.web_port or port
        return process

    def start_worker(self, *, until: str = "ready", **settings: str) -> Process:
        """Starts a worker and returns it once `until` appears in its output."""
        if self.is_forking:
            process = self.fork("worker", "worker", **settings)
        else:
            process = self.start("worker", shlex.split(PROCFILE["worker"]), **settings)
        wait_until(lambda: process.has_said(until))
        return process

    def sandbox_requests(self) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = httpx.get(f"{self.sandbox_url}/sandbox/requests").json()
        return requests

    def requests_for(self, page: str) -> list[dict[str, Any]]:
        return [request for request in self.sandbox_requests() if request["page"] == page]

    def close(self) -> None:
        for process in reversed(self.processes):
            process.cleanup()
        self.redis.close()
        self.redis_server.process.send_signal(signal.SIGCONT)
        self.redis_server.process.kill()
        self.redis_server.process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@contextmanager
def stack(folder: Path, *, is_quiet: bool = False, **settings: str) -> Iterator[Stack]:
    """Yields a stack in which only Redis is running.

    Afterwards it prints the last output of the processes, which pytest shows when a test fails, unless `is_quiet`.
    """
    it = Stack(folder, **settings)
    try:
        yield it
    finally:
        it.close()
        for process in [] if is_quiet else it.processes:
            print(f"--- {process.name} [{process.pid}], code {process.popen.poll()}")
            print("\n".join(process.lines[-60:]))


@contextmanager
def running_stack(
    folder: Path, settings: Mapping[str, str] | None = None, *, chars: int = 20, has_worker: bool = True
) -> Iterator[Stack]:
    """Yields a stack with a web process, a sandbox that writes `chars` characters at once, and optionally a worker."""
    with stack(folder, is_quiet=False, **(settings or {})) as it:
        it.start_sandbox(chars=chars)
        it.start_web()
        if has_worker:
            it.start_worker()
        yield it


@dataclass(frozen=True)
class Event:
    """Represents one event as a client receives it."""

    id: str
    name: str
    data: dict[str, Any]

    @property
    def is_final(self) -> bool:
        return self.name in FINAL


class StreamRefused(AssertionError):
    """Means that the server refused to open a stream. It fails a test that does not expect it."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body!r}")
        self.status = status


class Person:
    """Represents a signed-in user with an HTTP client."""

    def __init__(self, stack: Stack, name: str = "alice", *, port: int | None = None) -> None:
        self.name = name
        headers = bearer(token(name, lifetime_seconds=LIFETIME_SECONDS))
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port or stack.web_port}",
            headers=headers,
            timeout=httpx.Timeout(10, read=40),
            event_hooks={"response": [check_httpx]},
        )

    def ask(self, page: str = "Checkout page", headers: dict[str, str] | None = None, **fields: Any) -> str:
        """Creates a job and returns its id."""
        answer = self.http.post(JOBS, json={**BODY, "pageOrComponent": page, **fields}, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["jobId"])

    def read(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"{JOBS}/{job_id}", headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the user's own jobs."""
        answer = self.http.get(JOBS)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["jobs"])

    def cancel(self, job_id: str) -> httpx.Response:
        return self.http.delete(f"{JOBS}/{job_id}")

    @contextmanager
    def stream(self, job_id: str, cursor: str = "", *, is_rude: bool = False) -> Iterator[Iterator[Event]]:
        """Opens one connection and yields its events as they arrive, until the server ends it or the block is left.

        If `is_rude`, the client closes the connection by a reset.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        with self.http.stream("GET", f"{JOBS}/{job_id}", headers=headers) as answer:
            if answer.status_code != 200:
                raise StreamRefused(answer.status_code, answer.read())
            events = EventSource(answer).iter_sse()
            yield (_checked_event(event) for event in events if event.data)
            if is_rude:
                sock = answer.extensions["network_stream"].get_extra_info("socket")
                with suppress(OSError):  # the socket is closed already if the stream has ended
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def watch(self, job_id: str, cursor: str = "") -> list[Event]:
        """Reads one connection to its end and returns all its events."""
        with self.stream(job_id, cursor) as events:
            return _checked(list(events))

    def close(self) -> None:
        self.http.close()


def _checked_event(event: ServerSentEvent) -> Event:
    check_event(event.id, event.event, event.data)
    return Event(event.id, event.event, json.loads(event.data))


def _checked(events: list[Event]) -> list[Event]:
    """Returns the events. Fails unless their ids rise without repetition and nothing follows the final event."""
    ids = [EventId.parse(event.id) for event in own_events(events)]
    assert None not in ids
    assert all(a < b for a, b in pairwise(ids)), ids  # type: ignore[operator]
    assert all(not event.is_final for event in events[:-1])
    return events


def own_events(events: list[Event]) -> list[Event]:
    """Returns the events of the job without those of the connection, for which httpx-sse repeats the last id."""
    return [
        event for event in events if event.name not in ("connected", "queued") and event.data.get("code") != "EXPIRED"
    ]


def check_lengths(events: list[Event]) -> None:
    """Fails if the text that a client has assembled is not as long as the server says.

    Then a delta was lost or repeated, or belongs to another attempt or job.
    """
    length = 0
    for event in events:
        if event.name == "started":
            length = 0
        elif event.name == "delta":
            length += len(event.data["text"])
            assert length == event.data["totalLength"], f"{length} characters at {event}"


def folded(events: list[Event]) -> Transcript:
    """Returns the job as a client knows it after these events."""
    job = Transcript()
    for event in events:
        job = fold(job, decode(event.name, json.dumps(event.data)), event.id or None)
    return job


class Watcher:
    """Represents a client that follows a job to its end in a thread.

    It reconnects with its last id, as an EventSource does. `drops` makes it disconnect: each number says after how many
    events of a connection; a negative number means by a reset. A client that `is_patient` tries again after a 503, and
    treats a 404 as the end.
    """

    def __init__(
        self,
        stack: Stack,
        job_id: str,
        *,
        drops: Iterator[int] | None = None,
        is_patient: bool = False,
        name: str = "alice",
        port: int | None = None,
    ) -> None:
        self.job_id = job_id
        self.connections: list[list[Event]] = []
        self.kept: list[Event] = []
        self.statuses: list[int] = []
        self._person = Person(stack, name, port=port)
        self._drops = drops or iter(())
        self._is_patient = is_patient
        self.is_gone = False
        """Says whether the server has answered 404 for the job."""
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def last_id(self) -> str:
        return next((event.id for event in reversed(own_events(self.kept))), "")

    @property
    def final(self) -> Event | None:
        return next((event for event in self.kept if event.is_final), None)

    def saw(self, name: str, **data: Any) -> bool:
        return any(event.name == name and data.items() <= event.data.items() for event in list(self.kept))

    def join(self, seconds: float = 40) -> Transcript:
        """Waits for the end and returns the job as the client knows it. Fails if an id was repeated on a connection."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"no end in {seconds} s: {self.kept[-3:]}"
        if self._error:
            raise self._error
        return folded(self.kept)

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        try:
            while self.final is None and not self.is_gone and not self._stopping.is_set():
                self._connect()
        except BaseException as error:
            self._error = error
        finally:
            self._person.close()

    def _connect(self) -> None:
        seen: list[Event] = []
        self.connections.append(seen)
        drop_after = next(self._drops, None)
        is_rude = drop_after is not None and drop_after < 0
        try:
            with self._person.stream(self.job_id, self.last_id, is_rude=is_rude) as events:
                for event in events:
                    seen.append(event)
                    self.kept.append(event)
                    if drop_after is not None and len(seen) >= abs(drop_after):
                        return
        except httpx.TransportError:
            self._stopping.wait(0.1)
        except StreamRefused as refused:
            self.is_gone = refused.status == 404
            if not self._is_patient or refused.status not in (404, 503):
                raise
            self._stopping.wait(0.3)
        _checked(seen)


def reset(sock: socket.socket) -> None:
    """Closes the connection by a reset (RST) instead of an orderly end (FIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def measured(action: Callable[[], Any]) -> float:
    """Returns how many seconds the action took."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def children(pid: int) -> list[int]:
    """Returns the pids of the processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208

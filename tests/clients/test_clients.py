"""Tests the clients in docs/clients, run as their readers run them, against the real system while parts of it fail."""

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.state import keys
from tests.conftest import token, wait_until
from tests.relay import Relay
from tests.stack import LIFETIME_SECONDS, ROOT, Person, Process, Stack, Watcher, running_stack

CLIENTS = ROOT / "docs/clients"
NODE = str(ROOT / ".venv/bin/node")
COMMANDS = {
    "EventSource": [NODE, str(ROOT / "tests/clients/eventsource.mjs")],
    "TypeScript": [NODE, str(CLIENTS / "typescript.ts")],
    "Python": [sys.executable, str(CLIENTS / "python.py")],
    "curl": ["bash", str(CLIENTS / "curl.sh")],
}
MOST_LINES = 90
"""A reader should be able to take in a client on one page, which has about this many lines."""


class Refusing:
    """Stands in for the API and refuses every request, alternately with 429 and 503."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers["Authorization"] or self.headers["Cookie"])
                status = (429, 503)[len(asked) % 2]
                body = json.dumps(
                    {"type": "about:blank", "title": "No", "status": status, "detail": "Not now."}
                ).encode()
                self.send_response(status)
                self.send_header("Retry-After", "1")
                self.send_header("Content-Type", "application/problem+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def counts(self, clients: int) -> list[int]:
        """Returns how often each of `clients` clients was refused; a client that has sent no request counts as 0."""
        counts = list(Counter(self.asked).values())
        return counts + [0] * (clients - len(counts))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), chars=8, has_worker=False) as it:
        yield it


@pytest.fixture
def relay(system: Stack) -> Iterator[Relay]:
    relay = Relay(system.web_port)
    yield relay
    relay.close()


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    server = Refusing()
    yield server
    server.close()


def start(system: Stack, relay: Relay, client: str, page: str) -> Process:
    """Starts the client as a process with a user of its own, and returns the process."""
    access = {
        "PLANNER_URL": f"http://127.0.0.1:{relay.port}",
        "PLANNER_TOKEN": token(client, lifetime_seconds=LIFETIME_SECONDS),
    }
    return system.start(client, [*COMMANDS[client], page], **access)


def job_of(person: Person) -> str:
    """Returns the id of a user's only job, as soon as the job exists."""
    wait_until(lambda: len(person.jobs()) == 1)
    return str(person.jobs()[0]["jobId"])


@pytest.mark.timeout(300)  # after some failures each client waits up to 22 s before it tries again
def test_every_client_ends_with_the_whole_text_whatever_fails(system: Stack, relay: Relay, refusing: Refusing) -> None:
    """The test cuts all connections, restarts the API, lets another server answer instead, and kills the worker."""
    worker = system.start_worker()
    people = {client: Person(system, client) for client in COMMANDS}
    clients = {client: start(system, relay, client, f"for {client}, stall once") for client in COMMANDS}
    jobs = {client: job_of(person) for client, person in people.items()}
    watchers = {client: Watcher(system, job_id, name=client) for client, job_id in jobs.items()}

    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers.values()))
    relay.cut()
    wait_until(lambda: all(streams_of(system, client) >= 2 for client in clients))
    web = next(process for process in system.processes if process.name == "web")
    web.stop()
    system.start_web(system.web_port)
    relay.point_to(refusing.port)
    relay.cut()
    wait_until(lambda: all(count >= 2 for count in refusing.counts(len(clients))), seconds=120)
    relay.point_to(system.web_port)
    assert all(client.popen.poll() is None for client in clients.values())
    worker.send(signal.SIGKILL)
    system.start_worker()

    for client, process in clients.items():
        assert process.wait(60) == 0, client
        process.cleanup()
        job = people[client].read(jobs[client])
        assert (job["status"], job["attempt"]) == ("completed", 2)
        assert "\n".join(process.lines).rstrip().endswith(job["text"].rstrip()), process.lines[-5:]
        assert watchers[client].join().text == job["text"]
        assert len(people[client].jobs()) == 1, "the client has created a second job"
        people[client].close()


def streams_of(system: Stack, user: str) -> int:
    """Returns how many streams a user has open."""
    return int(system.redis.zcard(keys.streams(user)))


@pytest.mark.parametrize("client", COMMANDS)
def test_a_client_says_that_a_job_failed(system: Stack, relay: Relay, client: str) -> None:
    system.start_worker()
    process = start(system, relay, client, "refusal")
    assert process.wait(30) != 0
    process.cleanup()
    assert process.has_said("declined")


@pytest.mark.parametrize("client", COMMANDS)
def test_a_client_whose_request_is_invalid_exits_with_an_error(system: Stack, relay: Relay, client: str) -> None:
    process = start(system, relay, client, "x" * 201)
    assert process.wait(30) != 0
    process.cleanup()
    assert process.has_said("422") or process.has_said("pageOrComponent")


@pytest.mark.parametrize("path", sorted(CLIENTS.glob("*.*")), ids=lambda path: path.name)
def test_a_client_is_at_most_a_page_long(path: Path) -> None:
    assert path.suffix == ".md" or len(path.read_text().splitlines()) <= MOST_LINES

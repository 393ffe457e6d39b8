"""Tests web processes that stop with streams open, and viewers that vanish, stall or disconnect at random."""

import json
import os
import random
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from shared.state import keys
from tests.conftest import free_port, wait_until
from tests.relay import Relay
from tests.stack import JOBS, ROOT, Event, Person, Process, Stack, Watcher, children, folded, measured, reset, stack


@pytest.fixture
def system(system: Stack) -> Stack:
    system.start_worker()
    return system


def resident_bytes(web: Process) -> int:
    """Returns the resident memory of the process that serves requests, in bytes."""
    (child,) = children(web.pid)
    pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def raw_request(person: Person, job_id: str) -> bytes:
    """Returns the bytes of a request, for clients that behave as no HTTP library does."""
    lines = [f"GET {JOBS}/{job_id} HTTP/1.1", "Host: x", f"Authorization: {person.http.headers['authorization']}"]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("seed", range(3))
def test_viewers_that_disconnect_at_random_end_in_the_same_state_as_one_that_does_not(
    system: Stack, alice: Person, seed: int
) -> None:
    choice = random.Random(seed)

    def drops() -> Iterator[int]:
        while True:
            yield choice.choice((1, -1)) * choice.randint(1, 12)

    pages = [f"dropping {seed} {number}" for number in range(3)]
    jobs = [alice.ask(page) for page in pages]
    steady = [Watcher(system, job_id) for job_id in jobs]
    leaving = [Watcher(system, job_id, drops=drops()) for job_id in jobs for _ in range(4)]
    expected = {watcher.job_id: watcher.join() for watcher in steady}
    for watcher in leaving:
        job = watcher.join()
        assert job == expected[watcher.job_id]
    assert sum(len(watcher.connections) for watcher in leaving) > len(leaving)
    for page in pages:
        turns = [len(request["body"]["messages"]) for request in system.requests_for(page)]
        assert len(turns) == len(set(turns)), "the model was called twice for a turn"


def test_streams_end_in_a_deploy_spread_over_time_and_viewers_carry_on(system: Stack, alice: Person) -> None:
    port = free_port()
    old = system.start_web(port)
    job_id = alice.ask("deployed, slow")
    watchers = [Watcher(system, job_id, port=port) for _ in range(20)]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    old.send(signal.SIGTERM)
    wait_until(lambda: any(len(watcher.connections) > 1 for watcher in watchers))
    # The streams end within 2.5 s; without the spread they would end within some milliseconds.
    assert measured(lambda: wait_until(lambda: all(len(watcher.connections) > 1 for watcher in watchers))) > 0.5
    assert measured(lambda: old.wait(40)) < 25
    system.start_web(port)
    wait_until(lambda: all(len(watcher.connections) > 1 and watcher.connections[-1] for watcher in watchers))
    first = [list(watcher.connections[0]) for watcher in watchers]
    alice.cancel(job_id)
    jobs = [watcher.join() for watcher in watchers]
    assert all(job == jobs[0] for job in jobs)
    assert all(not any(event.is_final for event in events) for events in first)
    assert old.popen.returncode == 0
    assert not old.has_said("Traceback")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_every_signal_that_stops_a_web_process_ends_its_streams_properly(
    system: Stack, alice: Person, number: signal.Signals
) -> None:
    port = free_port()
    web = system.start_web(port)
    job_id = alice.ask("stopped in every way, slow")
    # A stream that is cut raises an error here; one that ends properly does not.
    with Person(system, port=port).stream(job_id) as events:
        assert next(events).name == "connected"
        web.send(number)
        assert not any(event.is_final for event in events)
    assert web.wait(20) == 0
    assert not web.has_said("Traceback")
    alice.cancel(job_id)


def test_a_web_process_that_has_reached_max_requests_ends_its_streams_properly(system: Stack, alice: Person) -> None:
    port = free_port()
    web = system.start_web(port, GUNICORN_CMD_ARGS="--max-requests 20")
    [first] = children(web.pid)
    job_id = alice.ask("of a process that is replaced, slow")
    viewer = Person(system, port=port)
    with viewer.stream(job_id) as events:
        assert next(events).name == "connected"
        for _ in range(20):
            viewer.http.get("/healthz")
        assert not any(event.is_final for event in events)
    wait_until(lambda: first not in children(web.pid))
    with viewer.stream(job_id) as events:
        assert next(events).name == "connected"
    assert not web.has_said("Traceback")
    alice.cancel(job_id)


def test_an_event_source_reconnects_by_itself_after_a_restart_and_stops_at_the_end(
    system: Stack, alice: Person
) -> None:
    port = free_port()
    old = system.start_web(port)
    page = "for an EventSource"
    job_id = alice.ask(page)
    package = ROOT / "api/web/node_modules/eventsource/dist/index.js"
    url = f"http://127.0.0.1:{port}{JOBS}/{job_id}"
    script = str(ROOT / "tests/chaos/event_source.mjs")
    client = system.start(
        "node", [str(ROOT / ".venv/bin/node"), script, str(package), url, alice.http.headers["authorization"]]
    )
    wait_until(lambda: client.has_said('"delta"'))
    old.stop()
    system.start_web(port)
    assert client.wait(30) == 0
    lines = [json.loads(line) for line in client.lines]
    assert lines[-1] == {"closed": True}
    assert sum("open" in line for line in lines) >= 2
    events = [Event(**line) for line in lines if "id" in line]
    assert len({event.id for event in events}) == len(events)
    assert folded(events) == folded(alice.watch(job_id))
    assert events[-1].name == "complete"


def test_a_viewer_that_vanishes_gives_its_slot_back_at_once(tmp_path: Path) -> None:
    with stack(tmp_path, STREAMS_PER_USER="2") as system:
        system.start_web()
        alice = Person(system)
        job_id = alice.ask("waiting")
        request = raw_request(alice, job_id)
        slots = lambda: system.redis.zcard(keys.streams("alice"))  # noqa: E731
        for hang_up in (socket.socket.close, reset):
            socks = [socket.create_connection(("127.0.0.1", system.web_port)) for _ in range(2)]
            for sock in socks:
                sock.sendall(request)
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert alice.http.get(f"{JOBS}/{job_id}").status_code == 429
            for sock in socks:
                hang_up(sock)
            wait_until(lambda: slots() == 0, seconds=10)  # far less than the lease of 45 s
        alice.close()


def test_stuck_viewers_neither_delay_the_others_nor_use_up_memory(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox(chars=200, interval_ms=5)
        web = system.start_web()
        system.start_worker(DELTA_INTERVAL_MS="5")
        alice = Person(system)
        job_id = alice.ask("long")
        request = raw_request(alice, job_id)
        stuck = []
        before = resident_bytes(web)
        for _ in range(200):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect(("127.0.0.1", system.web_port))
            sock.sendall(request)
            stuck.append(sock)
        joined_ms = time.time() * 1000
        late_ms: list[float] = []
        with alice.stream(job_id) as events:
            for event in events:
                if event.data["timestamp"] > joined_ms:
                    late_ms.append(time.time() * 1000 - event.data["timestamp"])
        job = Watcher(system, job_id).join()
        assert job.status == "completed"
        # Viewers that read are not delayed by those that do not.
        assert statistics.median(late_ms) < 5000  # far less than the time after which a stuck viewer is disconnected
        assert resident_bytes(web) - before < 60_000_000
        # A viewer that joins again without a cursor gets everything.
        assert Watcher(system, job_id).join() == job
        for sock in stuck:
            sock.close()
        alice.close()


def test_a_killed_web_process_does_not_hold_its_users_stream_slots(tmp_path: Path) -> None:
    """Expects the slots back long before their leases of 45 s expire."""
    with stack(tmp_path, STREAMS_PER_USER="2") as system:
        web = system.start_web(WEB_CONCURRENCY="1")
        alice = Person(system)
        job_id = alice.ask("waiting")
        request = raw_request(alice, job_id)
        for _ in range(2):
            socks = [socket.create_connection(("127.0.0.1", system.web_port)) for _ in range(2)]
            for sock in socks:
                sock.sendall(request)
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
            before = heartbeats(system.redis)
            # This takes longer than a heartbeat counts, so the slots are held because the process is still alive.
            wait_until(lambda: heartbeats(system.redis) >= before + 3, seconds=60)  # noqa: B023
            assert alice.http.get(f"{JOBS}/{job_id}").status_code == 429
            (child,) = children(web.pid)
            os.kill(child, signal.SIGKILL)
            wait_until(lambda: answers_stream(alice, job_id), seconds=20)
            for sock in socks:
                sock.close()
        alice.close()


def heartbeats(redis: Redis) -> int:
    """Returns how many heartbeats the web process has sent so far."""
    stats: Any = redis.info("commandstats")
    return int(stats.get("cmdstat_set", {}).get("calls", 0))


def answers_stream(person: Person, job_id: str) -> bool:
    try:
        with person.http.stream("GET", f"{JOBS}/{job_id}") as answer:
            return answer.status_code == 200
    except httpx.TransportError:
        return False


def test_a_viewer_whose_process_is_cut_off_as_the_job_ends_still_gets_an_answer_that_is_not_retained(
    tmp_path: Path,
) -> None:
    """Has another process, which has no viewers left, delete the job."""
    relay = Relay(0)
    try:
        with stack(tmp_path, COMPLETED_RETENTION_SECONDS="0") as system:
            relay.point_to(system.redis_server.port)
            system.start_sandbox(chars=8, interval_ms=10)
            cut_off = free_port()
            system.start_web()
            system.start_web(cut_off, REDIS_URL=f"redis://127.0.0.1:{relay.port}/0")
            system.start_worker()
            alice = Person(system)
            here = Watcher(system, alice.ask("kept for nothing"))
            there = Watcher(system, here.job_id, port=cut_off)
            wait_until(lambda: here.saw("delta") and there.saw("delta"))
            relay.point_to(free_port())
            relay.cut()
            assert here.join().status == "completed"
            relay.point_to(system.redis_server.port)
            assert there.join() == here.join()
            wait_until(lambda: not system.redis.exists(keys.record(here.job_id)))
            alice.close()
    finally:
        relay.close()


def test_a_keep_alive_is_sent_when_nothing_happens(tmp_path: Path) -> None:
    with stack(tmp_path, KEEPALIVE_SECONDS="1") as system:
        system.start_web()
        alice = Person(system)
        job_id = alice.ask("quiet")
        with alice.http.stream("GET", f"{JOBS}/{job_id}") as answer:
            assert any(line == ": keep-alive" for line in answer.iter_lines())
        alice.close()


def test_a_viewer_that_joins_at_the_instant_of_the_final_event_gets_it(system: Stack, alice: Person) -> None:
    job_id = alice.ask("fast")
    finals: list[str] = []

    def join() -> None:
        person = Person(system)
        finals.append(person.watch(job_id)[-1].name)
        person.close()

    threads = []
    while alice.read(job_id)["status"] != "completed":
        threads.append(threading.Thread(target=join))
        threads[-1].start()
    threads.append(threading.Thread(target=join))
    threads[-1].start()
    for thread in threads:
        thread.join()
    assert finals == ["complete"] * len(threads)

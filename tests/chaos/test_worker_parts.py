"""Tests that no job hangs and a worker stops in time when a part of it breaks or Redis goes away."""

import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import clean_environment, free_port, wait_until
from tests.forks import FORKS
from tests.relay import Relay
from tests.stack import JOBS, Person, Process, Stack, Watcher, own_events, stack

LEASE_LAPSE_SECONDS = 20


def with_a_change(system: Stack, change: str, **settings: str) -> Process:
    return system.fork("worker", "tests.chaos.changed_worker", change, **settings)


HELD_UP = """
import time
from pathlib import Path
from worker import process
loaded_parts = process._loaded_parts
def held_up():
    print("Redis has answered", flush=True)
    while not Path({file!r}).exists():
        time.sleep(0.01)
    return loaded_parts()
process._loaded_parts = held_up
"""
"""Makes a worker that has reached Redis wait until `file` exists before it builds its parts."""


def test_a_redis_that_goes_away_while_a_worker_starts_is_waited_for(
    system: Stack, alice: Person, tmp_path: Path
) -> None:
    file, relay = tmp_path / "gone", Relay(system.redis_server.port)
    try:
        url = f"redis://127.0.0.1:{relay.port}/0"
        worker = with_a_change(system, HELD_UP.format(file=str(file)), REDIS_URL=url)
        wait_until(lambda: worker.has_said("Redis has answered"))
        relay.point_to(free_port())
        relay.cut()
        file.touch()
        wait_until(lambda: worker.has_said("Redis is away") or worker.popen.poll() is not None)
        relay.point_to(system.redis_server.port)
        wait_until(lambda: worker.has_said("ready") or worker.popen.poll() is not None)
        assert worker.popen.poll() is None, worker.lines
        assert Watcher(system, alice.ask("after a late Redis fast")).join().status == "completed"
        (found,) = (system.redis.hget(key, "ip_address") for key in system.redis.smembers("rq:workers"))
        assert found and found != b"unknown"
    finally:
        relay.close()


def test_a_stop_that_comes_while_redis_is_silent_at_the_start_ends_the_worker_at_its_next_step(
    system: Stack, tmp_path: Path
) -> None:
    file, relay = tmp_path / "silent", Relay(system.redis_server.port)
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{relay.port}/0"
            worker = with_a_change(system, HELD_UP.format(file=str(file)), REDIS_URL=url)
            wait_until(lambda: worker.has_said("Redis has answered"))
            relay.point_to(silent.getsockname()[1])
            relay.cut()
            worker.send(signal.SIGTERM)
            file.touch()
            assert worker.wait(60) == 0
        wait_until(lambda: worker.has_said("stopped"))
        # Each of these steps would have waited 5 s for Redis, so none of them may have begun.
        assert not any(worker.has_said(text) for text in ("ready", "registering", "opening connections")), worker.lines
    finally:
        relay.close()


def job(alice: Person, job_id: str) -> dict[str, Any]:
    answer = alice.http.get(f"{JOBS}/{job_id}", headers={"Accept": "application/json"})
    return dict(answer.json())


DEATHS = {
    "log writer": "from worker.publishing.log_writer import LogWriter as part; name = '_write_until_stopped'",
    "heartbeat": "from worker.jobs.heartbeat import Heartbeat as part; name = '_run'",
    "event loop": "from worker.jobs.heartbeat import Heartbeat as part; name = '_renew'",
}


@pytest.mark.parametrize("part", DEATHS)
def test_a_worker_process_ends_when_one_of_its_parts_dies_and_another_worker_runs_jobs(
    system: Stack, alice: Person, part: str
) -> None:
    ends = "loop.close" if part == "event loop" else ""
    body = (
        "self._loop._loop.call_soon_threadsafe(self._loop._loop.stop)"
        if ends
        else "raise SystemExit('a part that dies')"
        if part == "heartbeat"
        else "raise RuntimeError('a part that dies')"
    )
    kind = "async def" if part == "log writer" else "def"
    dying = with_a_change(system, f"{DEATHS[part]}\n{kind} die(self):\n    {body}\nsetattr(part, name, die)")
    assert dying.wait(30) == 1
    wait_until(lambda: dying.has_said(f"the {part} has ended unexpectedly"))
    system.start_worker()
    assert Watcher(system, alice.ask("after a death fast")).join().status == "completed"


@pytest.mark.parametrize("type_of_log", ["string", "list"])
def test_a_job_whose_events_redis_refuses_fails_alone(system: Stack, alice: Person, type_of_log: str) -> None:
    worker = system.start_worker()
    refused, other = (Watcher(system, alice.ask(page)) for page in ("refused slow", "beside it slow"))
    wait_until(lambda: refused.saw("delta") and other.saw("delta"))
    log = f"suggestion:{refused.job_id}:events"
    system.redis.delete(log)
    if type_of_log == "string":
        system.redis.set(log, "x")
    else:
        system.redis.lpush(log, "x")
    wait_until(lambda: job(alice, refused.job_id)["status"] == "failed", seconds=20)
    assert job(alice, refused.job_id)["error"]["code"] == "INTERNAL"
    assert refused.join().status == "failed"
    assert not other.saw("error") and other.saw("delta")
    alice.http.delete(f"{JOBS}/{other.job_id}")
    assert other.join().status == "cancelled"
    assert Watcher(system, alice.ask("after it fast")).join().status == "completed"
    assert worker.stop() == 0


def test_a_worker_that_takes_its_own_lost_job_again_completes_it(system: Stack, alice: Person) -> None:
    worker = system.start_worker()
    watcher = Watcher(system, alice.ask("taken back, stall once"))
    wait_until(lambda: watcher.saw("delta"))
    worker.send(signal.SIGSTOP)
    record = f"suggestion:{watcher.job_id}"
    wait_until(lambda: not system.redis.hget(record, "holder"), seconds=LEASE_LAPSE_SECONDS)
    worker.send(signal.SIGCONT)
    assert watcher.join().status == "completed"
    assert watcher.saw("started", attempt=2, cause="worker_lost") and not watcher.saw("started", attempt=3)
    ids = [event.id for event in own_events(watcher.kept) if event.id.startswith("2-")]
    assert ids == [f"2-{number}" for number in range(1, len(ids) + 1)]
    assert worker.stop() == 0


def test_a_worker_that_alone_was_cut_off_from_redis_completes_the_job_it_takes_again(
    system: Stack, alice: Person
) -> None:
    relay = Relay(system.redis_server.port)
    try:
        worker = system.start_worker(REDIS_URL=f"redis://127.0.0.1:{relay.port}")
        watcher = Watcher(system, alice.ask("severed, stall once"))
        wait_until(lambda: watcher.saw("delta"))
        relay.point_to(free_port())
        relay.cut()
        record = f"suggestion:{watcher.job_id}"
        wait_until(lambda: not system.redis.hget(record, "holder"), seconds=LEASE_LAPSE_SECONDS)
        relay.point_to(system.redis_server.port)
        watcher.join()
        assert watcher.final is not None and watcher.final.name == "complete", watcher.final
        assert watcher.saw("started", attempt=2)
        assert worker.stop() == 0
    finally:
        relay.close()


def test_a_stop_while_redis_is_away_ends_the_process_in_time(alice: Person, tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox()
        system.start_web()
        worker = system.start_worker(DRAIN_SECONDS="1")
        person = Person(system)
        page = "ends while Redis is away"
        person.ask(page)
        wait_until(lambda: bool(system.requests_for(page)))
        system.redis_server.process.kill()
        wait_until(lambda: system.requests_for(page)[-1]["outcome"] == "completed")
        before = len(worker.lines)
        worker.send(signal.SIGTERM)
        worker.wait(60)
        assert len(worker.lines) - before < 30
        person.close()


def test_a_worker_that_waits_for_redis_at_its_start_stops_when_asked(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        url = f"redis://127.0.0.1:{free_port()}"
        signals = (signal.SIGTERM, signal.SIGINT)
        workers = [system.fork("worker", "worker", REDIS_URL=url) for _ in signals]
        wait_until(lambda: all(worker.has_said("waiting for Redis") for worker in workers))
        for worker, number in zip(workers, signals, strict=True):
            worker.send(number)
            assert worker.wait(15) == 0


def alive(system: Stack, **settings: str) -> tuple[int, str]:
    """Returns the exit code and the output of `python -m worker --alive`."""
    process = FORKS.start("worker", "--alive", env=clean_environment(**{**system.settings, **settings}))
    with process.stdout:
        said = process.stdout.read()
    return process.wait(60), said


def test_the_probes_distinguish_a_worker_that_works_from_one_whose_event_loop_is_blocked(system: Stack) -> None:
    port = free_port()
    stall = (
        "from worker.jobs.heartbeat import Heartbeat\nimport time\nbefore = Heartbeat._renew\n"
        "def renew(self):\n    self._loop.call(lambda: time.sleep(3600))\n    before(self)\nHeartbeat._renew = renew"
    )
    url = f"http://127.0.0.1:{port}"
    worker = system.start_worker(METRICS_PORT=str(port))
    assert httpx.get(f"{url}/healthz").json()["status"] == httpx.get(f"{url}/readyz").json()["status"] == "ok"
    assert "planner_slots_free" in httpx.get(f"{url}/metrics").text
    assert [httpx.get(f"{url}/{path}").status_code for path in ("", "health", "metrics/")] == [404, 404, 404]
    assert alive(system, METRICS_PORT=str(port)) == alive(system) == (0, "")
    assert worker.stop() == 0
    code, said = alive(system, METRICS_PORT=str(port))
    assert code == 1 and f"METRICS_PORT {port}" in said
    still = with_a_change(system, stall, METRICS_PORT=str(port))
    wait_until(lambda: still.has_said("stands still"), seconds=30)
    answer = httpx.get(f"{url}/healthz")
    assert answer.status_code == 503 and answer.json()["problems"] == ["the event loop stands still"]
    assert alive(system, METRICS_PORT=str(port))[0] == 1
    still.popen.kill()


def test_a_redis_that_is_away_is_no_reason_to_restart_a_worker(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        port = free_port()
        system.start_worker(METRICS_PORT=str(port))
        assert alive(system)[0] == 0
        system.redis_server.process.kill()
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503, seconds=30)
        assert httpx.get(f"{url}/readyz").json()["problems"] == ["Redis is away"]
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert alive(system)[0] == alive(system, METRICS_PORT=str(port))[0] == 0

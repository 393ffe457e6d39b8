"""Tests that creates are refused as a whole while Redis's memory is full, and all jobs complete once there is room."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from redis import Redis

from shared.state import keys
from tests.conftest import free_port, wait_until
from tests.stack import BODY, JOBS, Person, Stack, Watcher

ASKED_ONCE = {"Idempotency-Key": "asked-while-memory-was-full"}


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """Makes Redis refuse every command that needs memory, as it does at its limit."""
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def is_renewed(system: Stack, job_id: str, since: float) -> bool:
    """Returns whether the lease now ends later than `since`, in ms since the epoch."""
    return (system.redis.zscore(keys.LEASES, job_id) or 0.0) > since


def stored(redis: Redis) -> set[bytes | str]:
    """Returns the keys and queue entries that creating a job would add to."""
    return (
        set(redis.keys("suggestion:*")) | set(redis.keys("rq:job:*")) | set(redis.lrange("rq:queue:suggestions", 0, -1))
    )


def metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics").text


def refuses_creates_whole(system: Stack, alice: Person, metrics_port: int) -> None:
    """Checks that new jobs are refused and leave nothing behind, and that probes and metrics say why."""
    before = stored(system.redis)
    for headers in (None, ASKED_ONCE):
        refused = alice.http.post(JOBS, json=BODY, headers=headers)
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
        assert "no memory" in refused.json()["detail"]
    assert stored(system.redis) == before
    ready = alice.http.get("/readyz")
    assert ready.status_code == 200
    assert (ready.json()["status"], ready.json()["redis"], ready.json()["workers"]) == ("degraded", "full", 1)
    for at in (system.web_port, metrics_port):
        assert "planner_redis_full 1.0" in metrics(at) and "planner_redis_up 1.0" in metrics(at)


def test_without_memory_creates_are_refused_and_running_jobs_complete_once_there_is_memory(
    system: Stack, alice: Person
) -> None:
    port = free_port()
    worker = system.start_worker(METRICS_PORT=str(port), WORKER_CONCURRENCY="3")
    running = [Watcher(system, alice.ask(f"full memory {number}")) for number in range(2)]
    cancelled = Watcher(system, alice.ask("full memory slow"))
    wait_until(lambda: all(watcher.saw("started") for watcher in (*running, cancelled)))
    waiting = [Watcher(system, alice.ask(f"full memory, waiting fast {number}")) for number in range(2)]
    wait_until(lambda: all(watcher.saw("queued") for watcher in waiting))
    wait_until(lambda: all(watcher.saw("delta") for watcher in running))
    assert not any(watcher.final for watcher in running)
    with full(system.redis):
        leases = system.redis.zscore(keys.LEASES, cancelled.job_id) or 0.0
        refuses_creates_whole(system, alice, port)
        # A new viewer still sees what is stored. A cancel ends a waiting job at once and stops a running one.
        late = Watcher(system, running[0].job_id)
        wait_until(lambda: late.saw("started"))
        assert alice.cancel(waiting[0].job_id).status_code == 200
        assert waiting[0].join().status == "cancelled"
        assert alice.cancel(cancelled.job_id).status_code == 202
        wait_until(lambda: system.requests_for("full memory slow")[-1]["outcome"] == "closed")
        wait_until(lambda: is_renewed(system, cancelled.job_id, leases + 4000))
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").json()["problems"] == ["Redis is full"])
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert float(metrics(port).partition("\nplanner_unwritten_seconds ")[2].partition("\n")[0]) > 1
    assert [watcher.join().status for watcher in (*running, late)] == ["completed"] * 3
    assert cancelled.join().status == "cancelled" and waiting[1].join().status == "completed"
    for number, watcher in enumerate(running):
        assert not watcher.saw("started", attempt=2)
        assert len(system.requests_for(f"full memory {number}")) == 1
    assert late.join() == running[0].join()
    after = alice.http.post(JOBS, json=BODY, headers=ASKED_ONCE).raise_for_status()
    assert Watcher(system, after.json()["jobId"]).join().status == "completed"
    assert alice.http.get("/readyz").json()["status"] == "ok" and "planner_redis_full 0.0" in metrics(port)
    wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
    assert worker.stop() == 0
    for process in (worker, system.processes[1]):
        assert not process.has_said("Traceback")
    assert sum("Redis is" in line for line in worker.lines) <= 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_while_memory_is_full_leaves_its_job_to_the_next_worker(
    system: Stack, alice: Person, how: signal.Signals
) -> None:
    worker = system.start_worker(DRAIN_SECONDS="1")
    watcher = Watcher(system, alice.ask("full memory, stall once"))
    wait_until(lambda: watcher.saw("delta"))
    with full(system.redis):
        worker.send(how)
        assert worker.wait(30) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        new = system.start_worker(until="Redis is full")
        wait_until(lambda: not system.redis.exists(keys.LEASES) or how is signal.SIGKILL)
    assert watcher.join().status == "completed"
    cause = "drain" if how is signal.SIGTERM else "worker_lost"
    assert watcher.saw("started", attempt=2, cause=cause) and not watcher.saw("started", attempt=3)
    assert new.stop() == 0

"""Tests cut connections to Redis, and a Redis that freezes or comes back empty."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from rq.command import send_command

from shared.state import keys
from shared.state.event_log import EventId
from tests.conftest import start_redis, wait_until
from tests.stack import BODY, JOBS, Person, Process, Stack, Watcher, check_lengths, measured, own_events, stack


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack"), KEEPALIVE_SECONDS="2") as it:
        it.start_sandbox(chars=8, interval_ms=10)
        it.start_web()
        yield it


@pytest.fixture
def worker(system: Stack) -> Process:
    return system.start_worker()


def whole(watcher: Watcher) -> bool:
    """Returns whether the viewer saw every event of one attempt in order, except those merged when it joined."""
    events = own_events(watcher.kept)
    joined = next(place for place, event in enumerate(events) if event.name == "delta")
    first = EventId.parse(events[joined].id)
    assert first is not None
    return [event.id for event in events[joined:]] == [
        f"1-{number}" for number in range(first.sequence, first.sequence + len(events) - joined)
    ]


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
@pytest.mark.usefixtures("worker")
def test_cut_connections_lose_nothing(system: Stack, alice: Person, kind: str) -> None:
    page = f"cut {kind}"
    watchers = [Watcher(system, job_id) for job_id in [alice.ask(page) for _ in range(3)]]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    stopping = threading.Event()

    def cut() -> None:
        while not stopping.wait(0.3):
            with Redis(port=system.redis_server.port) as redis:
                redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    cutting = threading.Thread(target=cut)
    cutting.start()
    jobs = [watcher.join() for watcher in watchers]
    stopping.set()
    cutting.join()
    assert [job.status for job in jobs] == ["completed"] * 3
    assert all(job.text == jobs[0].text for job in jobs)
    assert len(system.requests_for(page)) == 3
    for watcher in watchers:
        # Missed deltas are sent merged into one, so ids may be skipped, but no text.
        check_lengths(watcher.kept)


@pytest.mark.usefixtures("worker")
def test_a_worker_receives_stop_commands_again_after_a_cut(system: Stack, alice: Person) -> None:
    job_id = alice.ask("stall fast")
    with Redis(port=system.redis_server.port) as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(lambda: bool(redis.hget(keys.record(job_id), "holder")))
        worker = redis.hget(keys.record(job_id), "holder")
        assert worker
        channel = f"rq:pubsub:{worker.decode()}"
        wait_until(lambda: dict(redis.pubsub_numsub(channel))[channel.encode()] == 1)
        # Only the command is sent, since a cancel would also be noticed at the next renewal of the lease.
        send_command(redis, worker.decode(), "stop-job", job_id=job_id)
    assert Watcher(system, job_id).join().status == "cancelled"


@pytest.mark.parametrize("lost", ["a delta", "the final event"])
def test_an_event_whose_publish_is_lost_arrives_with_the_next_keep_alive(
    system: Stack, alice: Person, lost: str
) -> None:
    """Appends to the log without a publish, so that the viewer gets the event with the next keep-alive."""
    job_id = alice.ask("by hand")
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("queued"))
    redis, log = system.redis, keys.log(job_id)
    redis.hset(keys.record(job_id), mapping={"status": "in_progress", "attempt": 1, "holder": "test"})
    redis.zadd(keys.LEASES, {job_id: 99999999999999})
    redis.xadd(
        log,
        {"e": "started", "d": '{"timestamp":1,"attempt":1,"model":"m","agent":"a","cause":null,"turnsKept":0}'},
        "1-1",
    )
    if lost == "a delta":
        wait_until(lambda: watcher.saw("started"), seconds=20)
    redis.xadd(log, {"e": "delta", "d": '{"timestamp":1,"text":"x","totalLength":1}'}, "1-2")
    usage = '{"inputTokens":0,"outputTokens":0,"cacheReadTokens":0,"cacheCreationTokens":0,"totalTokens":0}'
    redis.xadd(log, {"e": "cancelled", "d": f'{{"timestamp":1,"tokenUsage":{usage}}}'}, "1-3")
    redis.hset(keys.record(job_id), "status", "cancelled")
    job = watcher.join(8)
    assert (job.status, job.text) == ("cancelled", "x")
    assert whole(watcher)


def test_an_event_whose_publish_is_lost_arrives_with_the_next_publish(alice: Person, tmp_path: Path) -> None:
    """Expects the missed event with the next publish, not with the keep-alive, which is a minute away."""
    with stack(tmp_path, KEEPALIVE_SECONDS="60") as system:
        system.start_web()
        person = Person(system)
        job_id = person.ask("by hand")
        watcher = Watcher(system, job_id)
        wait_until(lambda: watcher.saw("queued"))
        system.redis.hset(keys.record(job_id), mapping={"status": "in_progress", "attempt": 1, "holder": "test"})
        system.redis.zadd(keys.LEASES, {job_id: 99999999999999})
        usage = '{"inputTokens":0,"outputTokens":0,"cacheReadTokens":0,"cacheCreationTokens":0,"totalTokens":0}'
        events = [
            ("started", '{"timestamp":1,"attempt":1,"model":"m","agent":"a","cause":null,"turnsKept":0}'),
            ("delta", '{"timestamp":1,"text":"x","totalLength":1}'),
            ("cancelled", f'{{"timestamp":1,"tokenUsage":{usage}}}'),
        ]
        for sequence, (name, data) in enumerate(events, 1):
            system.redis.xadd(keys.log(job_id), {"e": name, "d": data}, f"1-{sequence}")
            if name != "delta":
                system.redis.publish(keys.channel(job_id), f"1-{sequence} {name} {data}")
            if name == "started":
                wait_until(lambda: watcher.saw("started"))
        job = watcher.join(10)
        assert (job.status, job.text) == ("cancelled", "x") and whole(watcher)
        assert "planner_holes_filled_total 1.0" in person.http.get("/metrics").text
        person.close()


@pytest.mark.usefixtures("worker")
def test_a_frozen_redis_causes_a_503_within_seconds_and_everything_resumes_when_it_thaws(
    system: Stack, alice: Person
) -> None:
    page = "frozen redis"
    watcher = Watcher(system, alice.ask(page))
    wait_until(lambda: watcher.saw("delta"))
    server = system.redis_server.process
    server.send_signal(signal.SIGSTOP)
    answers: list[httpx.Response] = []
    assert measured(lambda: answers.append(alice.http.post(JOBS, json=BODY))) < 15
    assert answers[0].status_code == 503
    assert answers[0].headers["retry-after"]
    assert alice.http.get("/healthz").status_code == 200
    assert alice.http.get("/readyz").status_code == 503
    server.send_signal(signal.SIGCONT)
    wait_until(lambda: alice.http.get("/readyz").status_code == 200)
    job = watcher.join()
    assert job.status == "completed"
    assert not watcher.saw("started", attempt=2)
    assert len(system.requests_for(page)) == 1


@pytest.mark.usefixtures("worker")
def test_a_freeze_of_redis_longer_than_a_lease_restarts_no_job_whose_worker_is_alive(
    system: Stack, alice: Person
) -> None:
    watcher = Watcher(system, alice.ask("long freeze, slow"))
    wait_until(lambda: watcher.saw("started"))
    server = system.redis_server.process
    server.send_signal(signal.SIGSTOP)
    # The test has to outlast a lease, which is 8 s; there is no other condition to wait for.
    threading.Event().wait(12)
    server.send_signal(signal.SIGCONT)
    sweeps = lambda: int(system.redis.zscore(keys.LEASES, watcher.job_id) or 0)  # noqa: E731
    before = sweeps()
    wait_until(lambda: sweeps() > before)
    threading.Event().wait(6)  # long enough for two sweeps
    assert not watcher.saw("started", attempt=2)
    alice.cancel(watcher.job_id)
    assert watcher.join().status == "cancelled"


@pytest.mark.usefixtures("worker")
def test_a_redis_that_comes_back_empty_ends_the_running_jobs_and_nothing_needs_a_restart(
    system: Stack, alice: Person, tmp_path: Path
) -> None:
    page = "lost, slow"
    job_id = alice.ask(page)
    gone: list[str] = []

    def watch() -> None:
        with alice.stream(job_id) as events:
            gone.extend(f"{event.name} {event.data.get('code')}" for event in events)

    watching = threading.Thread(target=watch)
    watching.start()
    wait_until(lambda: len(system.requests_for(page)) > 0)
    server = system.redis_server
    server.process.kill()
    server.process.wait()
    person = Person(system, "bob")
    assert person.http.post(JOBS, json=BODY).status_code == 503
    system.redis_server = start_redis(server.port, tmp_path)
    watching.join(20)
    assert gone[-1] == "error EXPIRED"
    wait_until(lambda: {r["outcome"] for r in system.requests_for(page)} <= {"closed", "completed"}, seconds=15)
    wait_until(lambda: person.http.get("/readyz").json()["workers"] == 1)
    assert Watcher(system, person.ask("fast"), name="bob").join().status == "completed"
    person.close()

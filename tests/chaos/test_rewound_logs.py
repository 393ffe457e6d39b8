"""Tests that no viewer hangs or shows two attempts mixed up after Redis has lost its last writes."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from shared.state import keys
from shared.state.event_log import EventId
from tests.conftest import free_port, start_redis, wait_until
from tests.relay import Relay
from tests.stack import JOBS, Person, Stack, Watcher, own_events, stack

FURTHER = 6
"""A test loses at least this many events."""


class OlderData:
    """Represents a Redis behind one address, which restarts with the data that it had at the last `keep`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._relay = Relay(0)
        self.url = f"redis://127.0.0.1:{self._relay.port}/0"
        self.system: Stack

    def begin(self, system: Stack) -> None:
        self.system = system
        self._relay.point_to(system.redis_server.port)

    def keep(self) -> None:
        self.system.redis.save()

    def come_back(self) -> None:
        server = self.system.redis_server
        server.process.kill()
        server.process.wait()
        self.system.redis_server = start_redis(server.port, self._folder)

    def end_lease(self, job_id: str) -> None:
        """Ends the lease of a worker that has lost the job, to save the 8 s until it expires."""

        def has_ended() -> bool:
            try:
                with Redis.from_url(self.url) as redis:
                    return bool(redis.zadd(keys.LEASES, {job_id: 1}, xx=True, ch=True))
            except RedisError:
                return False

        wait_until(has_ended)

    def close(self) -> None:
        self._relay.close()


class LaggingReplica(OlderData):
    """Represents a replica that has fallen behind, and is promoted when the primary dies."""

    def begin(self, system: Stack) -> None:
        super().begin(system)
        self._replica = start_redis(free_port(), self._folder, "--dbfilename", "replica.rdb")
        self._client = Redis(port=self._replica.port)
        self._client.replicaof("127.0.0.1", system.redis_server.port)
        wait_until(lambda: self._client.info("replication")["master_link_status"] == "up")

    def keep(self) -> None:
        self.system.redis.wait(1, 5000)
        self._client.config_set("masterauth", "wrong")
        # Nothing listens on that port, so the replica gets no more data.
        self._client.execute_command("REPLICAOF", "127.0.0.1", free_port())

    def come_back(self) -> None:
        self.system.redis_server.process.kill()
        self._client.replicaof("NO", "ONE")
        self._relay.point_to(self._replica.port)
        self._relay.cut()

    def close(self) -> None:
        super().close()
        self._client.close()
        self._replica.process.kill()
        self._replica.process.wait()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OlderData]:
    folder = tmp_path_factory.mktemp("stack")
    yield from begun(OlderData(folder), folder)


@pytest.fixture
def restarted(lasting: OlderData) -> Iterator[OlderData]:
    """Provides the module's system with no data in it. Each test starts its own workers."""
    system = lasting.system
    kept = list(system.processes)
    yield lasting
    for process in reversed(system.processes[len(kept) :]):
        process.cleanup()
    system.processes[:] = kept
    system.redis.flushall()


@pytest.fixture(params=["an older file", "a replica that lagged"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OlderData]:
    if request.param == "an older file":
        yield request.getfixturevalue("restarted")
    else:
        yield from begun(LaggingReplica(tmp_path), tmp_path)


def begun(older: OlderData, folder: Path) -> Iterator[OlderData]:
    with stack(folder, REDIS_URL=older.url, KEEPALIVE_SECONDS="2") as system:
        older.begin(system)
        try:
            system.start_sandbox(chars=8, interval_ms=10)
            system.start_web()
            yield older
        finally:
            older.close()


@pytest.fixture
def alice(request: pytest.FixtureRequest) -> Iterator[Person]:
    name = "older" if "older" in request.fixturenames else "restarted"
    person = Person(request.getfixturevalue(name).system)
    yield person
    person.close()


def seen(watcher: Watcher) -> EventId:
    return EventId.parse(watcher.last_id) or EventId(0, 0)


def wait_for_more(watchers: list[Watcher]) -> None:
    """Waits until all viewers have seen some events that are new since the call."""
    before = [seen(watcher) for watcher in watchers]
    wait_until(
        lambda: all(
            seen(w) >= EventId(max(1, b.attempt), b.sequence + FURTHER) for w, b in zip(watchers, before, strict=True)
        )
    )


def shows_what_the_job_is(watcher: Watcher, alice: Person, status: str) -> bool:
    """Asserts that the viewer ended with the job's own status, text and last id, and nothing that Redis has lost."""
    shown, job = watcher.join(), alice.read(watcher.job_id)
    assert (shown.status, job["status"]) == (status, status)
    assert shown.text == job["text"] and shown.last_event_id == job["lastEventId"]
    return True


def test_viewers_who_saw_more_than_the_log_contains_get_the_current_state_of_the_job(
    older: OlderData, alice: Person
) -> None:
    system = older.system
    system.start_worker()
    job_id = alice.ask("a log that ends too soon")
    watchers = [Watcher(system, job_id) for _ in range(3)]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    older.keep()
    wait_for_more(watchers)
    before = [len(watcher.connections) for watcher in watchers]
    older.come_back()
    older.end_lease(job_id)
    assert all(shows_what_the_job_is(watcher, alice, "completed") for watcher in watchers)
    assert all(len(watcher.connections) > count for watcher, count in zip(watchers, before, strict=True))


def test_viewers_of_an_attempt_whose_start_was_lost_see_only_the_next_attempt(
    restarted: OlderData, alice: Person
) -> None:
    system = restarted.system
    job_id = alice.ask("a start that was lost")
    restarted.keep()
    system.start_worker()
    watchers = [Watcher(system, job_id) for _ in range(3)]
    wait_for_more(watchers)
    restarted.come_back()
    assert all(shows_what_the_job_is(watcher, alice, "completed") for watcher in watchers)


def test_a_cancel_after_events_were_lost_reaches_the_viewers_who_saw_them(restarted: OlderData, alice: Person) -> None:
    system = restarted.system
    worker = system.start_worker()
    job_id = alice.ask("a cancel after a loss, slow")
    watchers = [Watcher(system, job_id) for _ in range(3)]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    restarted.keep()
    wait_for_more(watchers)
    worker.stop(signal.SIGKILL)
    restarted.come_back()
    restarted.end_lease(job_id)
    wait_until(lambda: alice.http.delete(f"{JOBS}/{job_id}").status_code in (200, 202))
    for watcher in watchers:
        shown, job = watcher.join(), alice.read(job_id)
        # The final event has an id that no viewer has seen, and belongs to no attempt, so the job has no text.
        assert (shown.status, shown.last_event_id) == ("cancelled", job["lastEventId"])


def test_viewers_of_a_job_that_was_lost_entirely_get_expired(restarted: OlderData, alice: Person) -> None:
    system = restarted.system
    system.start_worker()
    restarted.keep()
    watcher = Watcher(system, alice.ask("a job that was lost, slow"))
    wait_for_more([watcher])
    restarted.come_back()
    watcher.join(20)
    assert watcher.final is not None and watcher.final.data["code"] == "EXPIRED"
    assert alice.http.get(f"{JOBS}/{watcher.job_id}").status_code == 404


def test_viewers_of_a_log_that_survived_a_restart_are_not_disturbed(restarted: OlderData, alice: Person) -> None:
    system = restarted.system
    system.start_worker()
    job_id = alice.ask("stall once, and nothing lost")
    watchers = [Watcher(system, job_id) for _ in range(3)]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    wait_until(lambda: stands_still(watchers))
    restarted.keep()
    restarted.come_back()
    # The log is read once after the reconnect, and once with each keep-alive.
    wait_until(lambda: alice.http.get("/readyz").status_code == 200)
    calls = lambda: int(system.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))  # noqa: E731
    before = calls()
    wait_until(lambda: calls() > before + 5)
    assert [len(watcher.connections) for watcher in watchers] == [1, 1, 1]
    alice.cancel(job_id)
    assert all(shows_what_the_job_is(watcher, alice, "cancelled") for watcher in watchers)
    assert [len(watcher.connections) for watcher in watchers] == [1, 1, 1]


def stands_still(watchers: list[Watcher], looks: int = 5) -> bool:
    """Returns whether no viewer receives an event for `looks` tenths of a second."""
    before = [watcher.last_id for watcher in watchers]
    watchers[0]._stopping.wait(0.1 * looks)
    return before == [watcher.last_id for watcher in watchers]


def delete_log(redis: Redis, job_id: str) -> None:
    redis.delete(keys.log(job_id))


def flush(redis: Redis, job_id: str) -> None:
    redis.flushdb()


def delete_job(redis: Redis, job_id: str) -> None:
    redis.delete(keys.record(job_id), keys.log(job_id))


def test_a_log_that_is_deleted_while_it_is_watched_is_written_anew(restarted: OlderData, alice: Person) -> None:
    system = restarted.system
    system.start_worker()
    watcher = Watcher(system, alice.ask("a deleted log"))
    wait_for_more([watcher])
    delete_log(system.redis, watcher.job_id)
    restarted.end_lease(watcher.job_id)
    assert shows_what_the_job_is(watcher, alice, "completed")


@pytest.mark.parametrize("lose", [flush, delete_job])
def test_viewers_of_data_that_was_deleted_get_expired(
    restarted: OlderData, alice: Person, lose: Callable[[Redis, str], None]
) -> None:
    system = restarted.system
    system.start_worker()
    watcher = Watcher(system, alice.ask("deleted data, slow"))
    wait_for_more([watcher])
    lose(system.redis, watcher.job_id)
    watcher.join(20)
    assert watcher.final is not None and watcher.final.data["code"] == "EXPIRED"


def test_a_viewer_that_joins_a_completed_job_whose_log_was_deleted_gets_expired_at_once(
    restarted: OlderData, alice: Person
) -> None:
    system = restarted.system
    system.start_worker()
    job_id = alice.ask("an answer that was deleted, fast")
    last = own_events(alice.watch(job_id))[-1]
    delete_log(system.redis, job_id)
    for cursor in ("", last.id):
        final = alice.watch(job_id, cursor)[-1]
        assert (final.name, final.data["code"]) == ("error", "EXPIRED")

"""Tests a Redis that is back at older data: running attempts are fenced off, and no two events get the same id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from shared.state import keys
from shared.state.event_log import EventId
from shared.state.job_store import JobStore
from shared.state.outcomes import CancelOutcome
from tests.conftest import ApiSettingsFactory, RedisServer, free_port, start_redis
from tests.shared.state.builders import append, execute, field, lapse, log_of, new_job, requeue_lapsed, started, take

CLOCK = 10_000_000
"""Attempt numbers that are taken from the clock are larger than this, and counted ones are smaller."""


class OlderData:
    """Runs a Redis server that can be killed and started again with the data that it last saved."""

    def __init__(self, folder: Path, api_settings: ApiSettingsFactory) -> None:
        self._folder = folder
        self._server: RedisServer = start_redis(free_port(), folder)
        self._redis = Redis(port=self._server.port)
        self.store = JobStore(self._redis, api_settings())

    def save(self) -> None:
        self._redis.save()

    def come_back(self) -> None:
        self.stop()
        self._server = start_redis(self._server.port, self._folder)

    def stop(self) -> None:
        self._server.process.kill()
        self._server.process.wait()
        self._redis.close()


@pytest.fixture
def older(tmp_path: Path, api_settings: ApiSettingsFactory) -> Iterator[OlderData]:
    older = OlderData(tmp_path, api_settings)
    yield older
    older.stop()


def run_of(store: JobStore, job_id: str) -> str:
    seen = store.head(job_id)
    assert seen is not None
    return seen.run


def begin(store: JobStore, job_id: str, holder: str, events: int) -> tuple[int, str]:
    """Starts an attempt, writes that many events, and returns the number and the run of the attempt."""
    attempt = started(store, job_id, holder, execute(store, job_id, holder))
    for sequence in range(1, events + 1):
        assert append(store, job_id, sequence, attempt=attempt.number, run=attempt.run) == "ok"
    return attempt.number, attempt.run


def test_a_cancel_after_events_were_lost_gets_an_id_that_no_viewer_has_seen(older: OlderData) -> None:
    store = older.store
    job_id = new_job(store)
    take(store)
    number, run = begin(store, job_id, "w1", 7)
    older.save()
    for sequence in range(8, 18):
        append(store, job_id, sequence, run=run)
    older.come_back()
    assert append(store, job_id, 18, run=run) == "lost"
    lapse(store, job_id)
    requeue_lapsed(store, job_id)
    assert store.cancel(job_id, "alice") is CancelOutcome.CANCELLED
    (last, name) = log_of(store, job_id)[-1]
    end = EventId.parse(last)
    assert name == "cancelled" and end is not None and end.sequence == 1 and end.attempt > CLOCK and number == 1
    seen = store.read(job_id, EventId(1, 17))
    assert seen is not None and [entry.name for entry in seen.entries] == ["cancelled"]


def test_an_attempt_whose_start_was_lost_is_not_numbered_twice_and_can_write_no_more(older: OlderData) -> None:
    store = older.store
    job_id = new_job(store)
    older.save()
    take(store)
    first, first_run = begin(store, job_id, "w1", 3)
    older.come_back()
    take(store)
    second, second_run = begin(store, job_id, "w2", 3)
    assert first == 1 and second > CLOCK and first_run != second_run == run_of(store, job_id)
    assert append(store, job_id, 4, attempt=first, run=first_run) == "lost"
    lapse(store, job_id)
    requeue_lapsed(store, job_id)
    assert started(store, job_id, "w3").number == second + 1


def test_attempts_are_numbered_by_counting_where_nothing_was_lost(older: OlderData) -> None:
    store = older.store
    job_id = new_job(store)
    take(store)
    begin(store, job_id, "w1", 1)
    lapse(store, job_id)
    requeue_lapsed(store, job_id)
    assert started(store, job_id, "w2").number == 2


def test_the_limit_on_attempts_counts_them_whatever_their_numbers(older: OlderData) -> None:
    store = older.store
    job_id = new_job(store)
    older.save()
    older.come_back()
    attempt = started(store, job_id, "w", f"{job_id}:0")
    for _ in range(9):
        assert store.release(attempt, "w").value == "released"
        attempt = started(store, job_id, "w", f"{job_id}:{_ + 1}")
    assert field(store, job_id, "starts") == "10" and attempt.number > CLOCK
    store.release(attempt, "w")
    assert store.start(job_id, "w", f"{job_id}:last") == "failed"


def put_back(redis: Redis, kept: dict[str, Any]) -> None:
    """Replaces keys of a server that keeps running by older values, or deletes those without one."""
    for key, data in kept.items():
        redis.delete(key)
        if data is not None:
            redis.restore(key, 600_000, data)


def test_a_run_whose_attempt_number_was_given_to_another_can_write_no_more(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    take(store)
    kept = {key: redis.dump(key) for key in (keys.record(job_id), keys.log(job_id), store.queue.rq_key(job_id))}
    _, first_run = begin(store, job_id, "w1", 5)
    put_back(redis, kept)
    second, second_run = begin(store, job_id, "w2", 5)
    assert second == 1
    assert append(store, job_id, 6, run=first_run) == "lost"
    assert append(store, job_id, 6, run=second_run) == "ok"


def test_a_cursor_from_a_lost_log_gets_the_whole_current_attempt(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    take(store)
    kept = {key: redis.dump(key) for key in (keys.record(job_id), keys.log(job_id), store.queue.rq_key(job_id))}
    begin(store, job_id, "w1", 5)
    put_back(redis, kept)
    begin(store, job_id, "w2", 7)
    assert store.note_rewind(job_id, EventId(1, 5)) and not store.note_rewind(job_id, EventId(1, 4))

    def read(cursor: EventId) -> list[EventId]:
        seen = store.read(job_id, cursor)
        assert seen is not None
        return [entry.id for entry in seen.entries]

    assert read(EventId(1, 5)) == [EventId(1, number) for number in range(1, 8)]
    assert read(EventId(1, 6)) == [EventId(1, 7)]
    lapse(store, job_id)
    requeue_lapsed(store, job_id)
    assert started(store, job_id, "w3").number > CLOCK
    assert not store.note_rewind("00000000-0000-4000-8000-000000000000", EventId(1, 1))

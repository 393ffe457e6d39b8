"""Tests that events are appended in order, once each, only by the current attempt, and never after the end."""

from collections.abc import Callable
from functools import partial

import pytest
from redis import Redis

from shared.contract.schemas import TokenUsage
from shared.contract.values import JobStatus
from shared.state import job_store, keys
from shared.state.job_store import JobStore
from shared.state.outcomes import CancelAsked, CancelOutcome
from tests.conftest import ApiSettingsFactory
from tests.shared.state.builders import (
    COMPLETED_MS,
    FAILED_MS,
    FINALS,
    ROUNDS,
    TTL_MS,
    about,
    append,
    at_once,
    attempt_of,
    everything,
    field,
    lease_of,
    log_of,
    requeue_lapsed,
    running_job,
    started,
    status_of,
)


def test_an_event_is_logged_and_published_in_one_step_and_extends_the_life_of_the_job(
    store: JobStore, redis: Redis
) -> None:
    job_id = running_job(store)
    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(keys.channel(job_id))
        assert listener.get_message(timeout=1) is None
        redis.pexpire(keys.record(job_id), 1000)
        assert append(store, job_id, 1, data='{"a": "ü b"}'.encode()) == "ok"
        message = listener.get_message(timeout=1)
        assert message and message["data"] == '1-1 delta {"a": "ü b"}'.encode()
        assert append(store, job_id, 1, data='{"a": "ü b"}'.encode()) == "ok"  # the worker sends it again
        assert listener.get_message(timeout=0.05) is None
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS) and redis.pttl(keys.log(job_id)) == about(TTL_MS)
    seen = store.read(job_id)
    assert seen and [entry.data for entry in seen.entries] == ['{"a": "ü b"}'.encode()]


def test_an_event_after_a_hole_or_with_a_used_id_is_answered_by_lost(store: JobStore) -> None:
    job_id = running_job(store)
    assert append(store, job_id, 2) == "lost"
    assert append(store, job_id, 1) == "ok"
    assert append(store, job_id, 3) == "lost"
    assert append(store, job_id, 1, data=b"{}") == append(store, job_id, 1, name="tool") == "lost"
    assert append(store, job_id, 2) == append(store, job_id, 2) == append(store, job_id, 1) == "ok"
    assert log_of(store, job_id) == [("1-1", "delta"), ("1-2", "delta")]


def test_a_worker_that_was_replaced_cannot_write_a_byte(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    assert requeue_lapsed(store, job_id) == "requeued"
    started(store, job_id, "w2")
    before = everything(redis)
    assert append(store, job_id, 2) == append(store, job_id, 2, name="complete", usage="{}") == "lost"
    assert append(store, job_id, 1) == append(store, job_id, 1, attempt=3) == append(store, job_id, 1, attempt=0)
    assert store.release(attempt_of(job_id), "w1") == "lost" and store.renew("w1", [attempt_of(job_id)]) == ["lost"]
    redis.delete(keys.WORKERS)
    assert everything(redis) == before
    assert append(store, job_id, 1, attempt=2) == "ok"
    assert append(store, job_id, 2) == "lost"


def test_nothing_is_written_after_the_end_and_the_end_can_be_sent_again(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    usage = TokenUsage(output_tokens=9, total_tokens=9).model_dump_json()
    assert append(store, job_id, 1, name="complete", usage=usage) == "ok"
    assert (status_of(store, job_id), lease_of(store, job_id)) == (JobStatus.COMPLETED, "")
    assert (field(store, job_id, "holder"), field(store, job_id, "usage")) == ("", usage)
    before = everything(redis)
    assert append(store, job_id, 1, name="complete", usage=usage) == "ok"
    assert append(store, job_id, 2) == append(store, job_id, 2, name="error") == "lost"
    assert everything(redis) == before


def test_a_job_that_has_expired_is_not_revived(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    redis.delete(keys.record(job_id))
    redis.delete(keys.log(job_id))
    attempt = attempt_of(job_id)
    assert append(store, job_id, 2) == append(store, job_id, 1) == append(store, job_id, 2, name="complete") == "lost"
    assert store.release(attempt, "w1") == "over" and store.start_again(attempt, "w1") == "lost"
    assert store.cancel(job_id, "alice") == "gone" and store.start(job_id, "w1", "x:y") == "gone"
    assert store.renew("w1", [attempt]) == ["lost"]
    assert list(redis.scan_iter("suggestion:*")) == []


def test_only_one_of_two_different_final_events_is_written(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        answers = at_once(
            partial(append, store, job_id, 1, name="complete"), partial(append, store, job_id, 1, name="error")
        )
        assert sorted(answers) == ["lost", "ok"]
        [(_, name)] = log_of(store, job_id)
        assert name == ("complete" if answers[0] == "ok" else "error")
        assert status_of(store, job_id).value == FINALS[name]


def test_a_concurrent_cancel_and_completion_leave_one_final_event(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        calls: list[Callable[[], object]] = [
            partial(append, store, job_id, 1, name="complete"),
            partial(store.cancel, job_id, "alice"),
        ]
        answer, asked = at_once(*calls)
        assert log_of(store, job_id) == [("1-1", "complete")] and status_of(store, job_id) is JobStatus.COMPLETED
        assert (answer, asked) in [("ok", CancelOutcome.OVER), ("cancel", CancelAsked("w1"))]


def test_the_same_event_sent_twice_at_once_is_written_once(store: JobStore) -> None:
    job_id = running_job(store)
    for sequence in range(1, ROUNDS):
        assert at_once(*[partial(append, store, job_id, sequence)] * 4) == ["ok"] * 4
    assert len(log_of(store, job_id)) == ROUNDS - 1


@pytest.mark.parametrize(
    ("name", "retention_seconds", "life_ms"),
    [
        ("complete", 500, COMPLETED_MS),
        ("cancelled", 500, COMPLETED_MS),
        ("error", 500, FAILED_MS),
        ("complete", 0, job_store.UNWATCHED_RETENTION_MS),
        ("cancelled", 0, job_store.UNWATCHED_RETENTION_MS),
    ],
)
def test_an_ended_job_is_kept_as_long_as_the_contract_says(
    redis: Redis, api_settings: ApiSettingsFactory, name: str, retention_seconds: int, life_ms: int
) -> None:
    store = JobStore(redis, api_settings(completed_retention_seconds=retention_seconds))
    job_id = running_job(store)
    append(store, job_id, 1)
    append(store, job_id, 2, name=name)
    assert redis.pttl(keys.record(job_id)) == about(life_ms) and redis.pttl(keys.log(job_id)) == about(life_ms)

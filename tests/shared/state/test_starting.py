"""Tests that attempts start one at a time, each with a lease and a rising number, within the limits."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from redis import Redis

from shared.contract.schemas import TokenUsage
from shared.contract.values import Cause, JobStatus
from shared.state import job_store, keys
from shared.state.job_store import JobStore
from shared.state.outcomes import Attempt, CancelAsked, CancelOutcome, NotStarted
from tests.shared.state.builders import (
    FAILED_MS,
    ROUNDS,
    TTL_MS,
    Make,
    about,
    append,
    at_once,
    attempt_of,
    field,
    final_data,
    lapse,
    lease_of,
    log_of,
    new_job,
    queue_of,
    requeue_lapsed,
    running_job,
    started,
    status_of,
    take,
)


def test_a_start_makes_an_attempt_with_a_lease_and_extends_the_life_of_the_job(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    redis.pexpire(keys.record(job_id), 1000)
    attempt = started(store, job_id)
    assert attempt == attempt_of(job_id)
    assert status_of(store, job_id) is JobStatus.IN_PROGRESS
    seconds, _ = redis.time()
    assert float(lease_of(store, job_id)) == about(seconds * 1000 + job_store.LEASE_MS)
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS)


def test_a_repeated_start_returns_the_same_attempt(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    take(store)
    first = started(store, job_id)
    assert started(store, job_id) == first
    assert requeue_lapsed(store, job_id) == "requeued"
    second = started(store, job_id, "w2")
    assert (second.number, second.cause, second.failures) == (2, Cause.WORKER_LOST, 1)
    assert started(store, job_id, "w2") == second


def test_a_later_start_knows_how_long_the_job_has_run_already(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    first = started(store, job_id)
    assert first.ran_ms == 0
    began = int(redis.hget(keys.record(job_id), "firstStart") or 0)
    redis.hset(keys.record(job_id), "firstStart", began - 60_000)
    store.release(first, "w1")
    assert 60_000 <= started(store, job_id, "w2").ran_ms < 90_000


def test_a_refused_start_says_why(store: JobStore) -> None:
    job_id = running_job(store)
    assert store.start("00000000-0000-4000-8000-000000000000", "w1", "x:y") == "gone"
    assert store.start(job_id, "w2", f"{job_id}:w2") == "taken"
    assert store.start(job_id, "w1", f"{job_id}:another") == "taken"
    append(store, job_id, 1, name="complete")
    assert store.start(job_id, "w2", f"{job_id}:w2") == "ended"
    assert [name for _, name in log_of(store, job_id)] == ["complete"]


def test_only_one_of_many_concurrent_starts_of_a_job_succeeds(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = new_job(store)
        outcomes = at_once(*[partial(store.start, job_id, f"w{w}", f"{job_id}:{w}") for w in range(6)])
        assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["Attempt"] + ["NotStarted"] * 5
        assert {outcome for outcome in outcomes if isinstance(outcome, NotStarted)} == {NotStarted.TAKEN}
        assert field(store, job_id, "attempt") == "1"


def test_a_concurrent_start_and_cancel_have_a_consistent_outcome(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = new_job(store)
        calls: list[Callable[[], object]] = [
            partial(store.start, job_id, "w1", f"{job_id}:1"),
            partial(store.cancel, job_id, "alice"),
        ]
        attempt, asked = at_once(*calls)
        if isinstance(attempt, Attempt):
            assert asked == CancelAsked("w1") and store.renew("w1", [attempt]) == ["cancel"]
            assert status_of(store, job_id) is JobStatus.IN_PROGRESS and log_of(store, job_id) == []
        else:
            assert (attempt, asked) == (NotStarted.ENDED, CancelOutcome.CANCELLED)
            assert status_of(store, job_id) is JobStatus.CANCELLED
            assert log_of(store, job_id) == [("0-1", "cancelled")] and lease_of(store, job_id) == ""


def test_a_lapsed_lease_is_a_failure_and_the_next_attempt_says_so(store: JobStore) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started", usage=TokenUsage(input_tokens=7, total_tokens=7).model_dump_json())
    lapse(store, job_id)
    attempt = started(store, job_id, "w2")
    assert (attempt.number, attempt.cause, attempt.failures) == (2, Cause.WORKER_LOST, 1)
    assert attempt.usage.input_tokens == 7


def _lose_by_start(store: JobStore, job_id: str) -> None:
    lapse(store, job_id)
    store.start(job_id, "next", f"{job_id}:{field(store, job_id, 'attempt')}")


def _lose_by_sweep(store: JobStore, job_id: str) -> None:
    if requeue_lapsed(store, job_id) == "requeued":
        assert take(store) == job_id
        started(store, job_id, "next", f"{job_id}:{field(store, job_id, 'attempt')}")


@pytest.mark.parametrize("lose", [_lose_by_start, _lose_by_sweep])
@pytest.mark.parametrize("most", [1, 3])
def test_a_job_whose_last_attempt_loses_its_worker_fails(
    make: Make, redis: Redis, lose: Callable[[JobStore, str], None], most: int
) -> None:
    store = make(max_attempts=most)
    job_id = running_job(store)
    for number in range(1, most + 1):
        assert (status_of(store, job_id), field(store, job_id, "attempt")) == (JobStatus.IN_PROGRESS, str(number))
        append(store, job_id, 1, attempt=number, name="started")
        lose(store, job_id)
    assert status_of(store, job_id) is JobStatus.FAILED
    assert log_of(store, job_id)[-1] == (f"{most}-2", "error")
    data = final_data(store, job_id)
    assert (data["code"], data["retryable"]) == ("WORKER_LOST", True) and data["message"] and data["timestamp"]
    assert redis.pttl(keys.record(job_id)) == about(FAILED_MS) and redis.pttl(keys.log(job_id)) == about(FAILED_MS)
    assert lease_of(store, job_id) == "" and job_id not in queue_of(store)


def test_drains_are_no_failures_but_there_are_ten_attempts_at_most(make: Make) -> None:
    store = make(max_attempts=1)
    job_id = new_job(store)
    for number in range(1, 11):
        attempt = started(store, job_id, "w", f"{job_id}:{number}")
        assert (attempt.number, attempt.failures) == (number, 0)
        assert attempt.cause is (None if number == 1 else Cause.DRAIN)
        assert store.release(attempt, "w") == "released"
    assert store.start(job_id, "w", f"{job_id}:11") == "failed"
    assert status_of(store, job_id) is JobStatus.FAILED and len(log_of(store, job_id)) == 1


def test_another_attempt_by_the_same_worker_counts_a_failure_and_keeps_the_lease(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    attempt, lease = started(store, job_id), lease_of(store, job_id)
    append(store, job_id, 1, name="started")
    redis.pexpire(keys.record(job_id), 1000)
    redis.pexpire(keys.log(job_id), 1000)
    second = attempt_of(job_id, 2, failures=1, cause=Cause.MODEL_ERROR)
    assert store.start_again(attempt, "w1") == second == store.start_again(attempt, "w1")
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS) and redis.pttl(keys.log(job_id)) == about(TTL_MS)
    assert lease_of(store, job_id) == lease
    assert store.renew("w1", [second]) == ["ok"] and append(store, job_id, 2) == "lost"
    assert append(store, job_id, 1, attempt=2, name="started") == "ok"


def test_another_attempt_by_the_same_worker_is_refused_after_too_many_failures_or_a_takeover(
    make: Make,
) -> None:
    store = make(max_attempts=2)
    job_id = new_job(store)
    first = started(store, job_id)
    assert store.start_again(first, "another") is NotStarted.LOST
    assert store.start_again(replace(first, execution="another"), "w1") is NotStarted.LOST
    second = store.start_again(first, "w1")
    assert isinstance(second, Attempt) and (second.number, second.failures) == (2, 1)
    for _ in range(2):
        assert store.start_again(second, "w1") is NotStarted.USED_UP
    append(store, job_id, 1, attempt=2, name="error")
    assert store.start_again(second, "w1") is NotStarted.LOST


def test_failures_of_all_kinds_are_counted_together(make: Make) -> None:
    store = make(max_attempts=3)
    job_id = new_job(store)
    take(store)
    second = store.start_again(started(store, job_id), "w1")
    assert isinstance(second, Attempt) and (second.number, second.failures) == (2, 1)
    assert requeue_lapsed(store, job_id) == "requeued"
    third = started(store, job_id, "w2")
    assert (third.number, third.cause, third.failures) == (3, Cause.WORKER_LOST, 2)
    assert store.start_again(third, "w2") is NotStarted.USED_UP

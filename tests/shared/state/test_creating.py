"""Tests that a job is created whole or not at all, within the limits, and once for each idempotency key."""

from functools import partial
from typing import Any

import pytest
from redis import Redis

from shared.contract.schemas import JobInput
from shared.contract.values import JobStatus
from shared.state import job_store, keys
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Created, NotCreated, RateLimited, Replayed
from tests.shared.state.builders import (
    INPUT,
    LIMITS,
    OTHER_INPUT,
    ROUNDS,
    TTL_MS,
    about,
    at_once,
    created,
    everything,
    queue_of,
)


def test_a_created_job_is_stored_and_queued(store: JobStore, redis: Redis) -> None:
    outcome = created(store)
    seen = store.head(outcome.job_id)
    assert seen is not None and seen.input == INPUT and seen.user_id == "alice"
    assert (seen.status, seen.attempt, seen.last_id, seen.is_running) == (JobStatus.PENDING, 0, None, False)
    seconds, _ = redis.time()
    assert outcome.created_at == seen.created_at == about(seconds * 1000)
    assert queue_of(store) == [outcome.job_id] and redis.exists(store.queue.rq_key(outcome.job_id))
    assert redis.pttl(keys.record(outcome.job_id)) == about(TTL_MS)


@pytest.mark.parametrize("key", [None, "key"])
def test_a_create_that_is_sent_again_makes_one_job_and_answers_the_same(
    store: JobStore, redis: Redis, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_store, "uuid4", lambda: "11111111-1111-4111-8111-111111111111")
    first = created(store, key=key)
    before = everything(redis)
    again = created(store, key=key)
    assert (again.job_id, again.created_at, again.remaining) == (first.job_id, first.created_at, first.remaining)
    assert everything(redis) == before


@pytest.mark.parametrize(
    ("limits", "key", "job", "expected"),
    [
        (CreateLimits(1, 1000), None, INPUT, RateLimited),
        (CreateLimits(1000, 1), None, INPUT, NotCreated.QUEUE_FULL),
        (LIMITS, "key", OTHER_INPUT, NotCreated.KEY_REUSED),
    ],
)
def test_a_refused_create_leaves_nothing(
    store: JobStore, redis: Redis, limits: CreateLimits, key: str | None, job: JobInput, expected: object
) -> None:
    created(store, key="key")
    before = everything(redis)
    outcome = store.create("alice", job, key, limits)
    assert outcome is expected or type(outcome) is expected
    assert everything(redis) == before


def test_thirty_creates_at_once_make_exactly_as_many_jobs_as_allowed(store: JobStore) -> None:
    limits = CreateLimits(10, 1000)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, None, limits)] * 30)
    made = [outcome for outcome in outcomes if isinstance(outcome, Created)]
    assert len(made) == 10 and sorted(outcome.remaining for outcome in made) == list(range(10))
    assert all(0 < outcome.retry_after_ms <= 60_000 for outcome in outcomes if isinstance(outcome, RateLimited))
    assert len(queue_of(store)) == 10
    assert isinstance(store.create("bob", INPUT, None, limits), Created)


def test_the_rate_limit_is_a_sliding_window(store: JobStore, redis: Redis) -> None:
    limits, creates = CreateLimits(3, 1000), keys.creates("alice")
    for age_ms in (50_000, 30_000, 10_000):
        job_id = created(store, limits=limits).job_id
        redis.zincrby(creates, -age_ms, job_id)
    refused = store.create("alice", INPUT, None, limits)
    assert isinstance(refused, RateLimited) and refused.retry_after_ms == about(10_000)
    oldest: Any = redis.zrange(creates, 0, 0)[0]
    redis.zincrby(creates, -10_000, oldest)
    again = created(store, limits=limits)
    assert again.remaining == 0 and again.reset_ms == about(30_000)
    assert isinstance(store.create("alice", INPUT, None, limits), RateLimited)


def test_the_number_of_waiting_jobs_is_limited(store: JobStore) -> None:
    limits = CreateLimits(1000, 3)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, None, limits)] * 8)
    assert sum(isinstance(outcome, Created) for outcome in outcomes) == len(queue_of(store)) == 3
    assert sum(outcome is NotCreated.QUEUE_FULL for outcome in outcomes) == 5


def test_eight_concurrent_creates_with_one_key_make_one_job(store: JobStore, redis: Redis) -> None:
    limits = CreateLimits(1, 1)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, "key", limits)] * 8)
    assert sum(isinstance(outcome, Created) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Replayed) for outcome in outcomes) == 7
    assert len({outcome.job_id for outcome in outcomes if isinstance(outcome, (Created, Replayed))}) == 1
    assert len(queue_of(store)) == 1 and redis.zcard(keys.creates("alice")) == 1


def test_two_concurrent_creates_with_one_key_and_different_bodies_make_one_job(store: JobStore) -> None:
    for i in range(ROUNDS):
        outcomes = at_once(
            partial(store.create, "alice", INPUT, f"key {i}", LIMITS),
            partial(store.create, "alice", OTHER_INPUT, f"key {i}", LIMITS),
        )
        assert {type(outcome) for outcome in outcomes} == {Created, NotCreated} and NotCreated.KEY_REUSED in outcomes


def test_a_replay_returns_the_status_of_the_job_and_does_not_count_towards_the_limits(
    store: JobStore, redis: Redis
) -> None:
    limits = CreateLimits(1, 1)
    first = created(store, key="key", limits=limits)
    store.cancel(first.job_id, "alice")
    before = everything(redis)
    for _ in range(3):
        outcome = store.create("alice", INPUT, "key", limits)
        assert outcome == Replayed(first.job_id, JobStatus.CANCELLED, first.created_at)
    assert everything(redis) == before


def test_a_key_belongs_to_its_user_and_is_valid_as_long_as_its_job(store: JobStore, redis: Redis) -> None:
    first = created(store, key="key")
    assert created(store, "bob", key="key", job=OTHER_INPUT).job_id != first.job_id
    assert redis.pttl(keys.idempotency("alice", "key")) > 0
    assert redis.pttl(keys.idempotency("alice", "key")) > redis.pttl(keys.record(first.job_id))
    redis.delete(keys.record(first.job_id), keys.log(first.job_id))
    assert created(store, key="key", job=OTHER_INPUT).job_id != first.job_id

"""Tests that leases are renewed and released, and that jobs are requeued once their leases have expired."""

from collections.abc import Callable
from functools import partial

from redis import Redis

from shared.contract.schemas import TokenUsage
from shared.contract.values import Cause, JobStatus
from shared.state import job_store, keys
from shared.state.job_store import JobStore
from shared.state.outcomes import ReleaseOutcome, RequeueOutcome, Suspect
from tests.shared.state.builders import (
    ROUNDS,
    about,
    append,
    at_once,
    attempt_of,
    field,
    lapse,
    lease_of,
    queue_of,
    requeue_lapsed,
    running_job,
    started,
    status_of,
)


def test_a_repeated_release_has_the_same_result_and_is_no_failure(store: JobStore) -> None:
    job_id = running_job(store)
    assert store.release(attempt_of(job_id), "another") is ReleaseOutcome.LOST
    assert store.release(attempt_of(job_id, 2), "w1") is ReleaseOutcome.LOST
    for _ in range(2):
        assert store.release(attempt_of(job_id), "w1") is ReleaseOutcome.RELEASED
    assert lease_of(store, job_id) == "" and status_of(store, job_id) is JobStatus.IN_PROGRESS
    attempt = started(store, job_id, "w2")
    assert (attempt.number, attempt.cause, attempt.failures) == (2, Cause.DRAIN, 0)
    assert store.release(attempt_of(job_id), "w1") is ReleaseOutcome.LOST
    assert field(store, job_id, "holder") == "w2"


def test_a_released_job_keeps_what_it_has_spent(store: JobStore) -> None:
    job_id = running_job(store)
    spent = TokenUsage(input_tokens=7, total_tokens=7)
    assert store.release(attempt_of(job_id), "w1", usage=spent) is ReleaseOutcome.RELEASED
    attempt = started(store, job_id, "w2")
    assert attempt.usage == spent
    assert store.release(attempt, "w2") is ReleaseOutcome.RELEASED  # of a job that the worker cannot read
    assert started(store, job_id, "w3").usage == spent


def test_a_renewal_answers_for_each_job(store: JobStore, redis: Redis) -> None:
    mine, cancelled, taken, ended = (running_job(store) for _ in range(4))
    store.cancel(cancelled, "alice")
    requeue_lapsed(store, taken)
    started(store, taken, "w2")
    append(store, ended, 1, name="complete")
    lapse(store, mine)
    answers = store.renew("w1", [attempt_of(job_id) for job_id in (mine, cancelled, taken, ended, "gone")])
    assert answers == ["ok", "cancel", "lost", "lost", "lost"]
    seconds, _ = redis.time()
    assert float(lease_of(store, mine)) == about(seconds * 1000 + job_store.LEASE_MS)
    assert redis.zscore(keys.WORKERS, "w1") == about(seconds * 1000)
    assert store.renew("w1", [attempt_of(mine, 2)]) == ["lost"] and store.renew("w2", []) == []
    assert redis.zcard(keys.WORKERS) == 2


def test_a_concurrent_renewal_and_requeue_do_not_both_succeed(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        lapse(store, job_id)
        lease = lease_of(store, job_id)
        calls: list[Callable[[], object]] = [
            partial(store.renew, "w1", [attempt_of(job_id)]),
            partial(store.requeue, Suspect(job_id, lease, "")),
        ]
        renewed, requeued = at_once(*calls)
        assert (renewed, requeued) in [(["ok"], "alive"), (["lost"], "requeued")]
        assert (job_id in queue_of(store)) is (requeued == "requeued")
        store.redis.delete(store.queue.key)


def test_only_one_of_many_concurrent_requeues_of_a_job_succeeds(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        lapse(store, job_id)
        lease = lease_of(store, job_id)
        outcomes = at_once(*[partial(store.requeue, Suspect(job_id, lease, ""))] * 4)
        assert outcomes.count(RequeueOutcome.REQUEUED) == 1
        assert queue_of(store).count(job_id) == 1 and field(store, job_id, "failures") == "1"
        store.redis.delete(store.queue.key)

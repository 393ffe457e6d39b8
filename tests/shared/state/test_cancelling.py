"""Tests that a job is cancelled at once if no worker runs it, and else by the worker that runs it."""

from functools import partial

import pytest
from redis import Redis

from shared.contract.schemas import TokenUsage
from shared.contract.values import JobStatus
from shared.state import keys
from shared.state.job_store import JobStore
from shared.state.outcomes import CancelAsked, CancelOutcome
from tests.shared.state.builders import (
    COMPLETED_MS,
    about,
    append,
    at_once,
    attempt_of,
    everything,
    final_data,
    lapse,
    log_of,
    new_job,
    queue_of,
    requeue_lapsed,
    running_job,
    status_of,
)


def test_a_waiting_job_is_cancelled_at_once_and_leaves_the_queue(store: JobStore, redis: Redis) -> None:
    other, job_id = new_job(store), new_job(store)
    assert store.cancel(job_id, "alice") is CancelOutcome.CANCELLED
    assert store.cancel(job_id, "alice") is CancelOutcome.OVER
    assert log_of(store, job_id) == [("0-1", "cancelled")] and status_of(store, job_id) is JobStatus.CANCELLED
    assert final_data(store, job_id)["tokenUsage"] == TokenUsage().model_dump()
    assert queue_of(store) == [other] and not redis.exists(store.queue.rq_key(job_id))
    assert redis.pttl(keys.record(job_id)) == about(COMPLETED_MS) and redis.pttl(keys.log(job_id)) == about(
        COMPLETED_MS
    )


def test_cancelling_a_foreign_or_unknown_job_says_so_and_changes_nothing(store: JobStore, redis: Redis) -> None:
    running, waiting = running_job(store), new_job(store)
    before = everything(redis)
    for job_id in (waiting, running):
        assert store.cancel(job_id, "bob") is CancelOutcome.FOREIGN
    assert store.cancel("00000000-0000-4000-8000-000000000000", "alice") is CancelOutcome.GONE
    assert everything(redis) == before


def test_a_job_that_completes_first_is_over_and_one_that_waits_is_cancelled_once(store: JobStore) -> None:
    completed, waiting = running_job(store), new_job(store)
    append(store, completed, 1, name="complete")
    assert store.cancel(completed, "alice") is CancelOutcome.OVER
    outcomes = at_once(*[partial(store.cancel, waiting, "alice")] * 4)
    assert outcomes.count(CancelOutcome.CANCELLED) == 1 and outcomes.count(CancelOutcome.OVER) == 3


def test_a_running_job_is_asked_to_stop_until_it_has(store: JobStore) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started")
    assert store.cancel(job_id, "alice") == CancelAsked("w1") == store.cancel(job_id, "alice")
    assert append(store, job_id, 2) == "cancel" and store.renew("w1", [attempt_of(job_id)]) == ["cancel"]
    assert status_of(store, job_id) is JobStatus.IN_PROGRESS
    assert append(store, job_id, 3, name="cancelled") == "cancel"
    assert status_of(store, job_id) is JobStatus.CANCELLED and store.cancel(job_id, "alice") is CancelOutcome.OVER


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_with_its_token_usage(store: JobStore) -> None:
    job_id, usage = running_job(store), TokenUsage(input_tokens=5, total_tokens=5)
    append(store, job_id, 1, name="started")
    append(store, job_id, 2, usage=usage.model_dump_json())
    assert store.release(attempt_of(job_id), "w1") == "released"
    assert store.cancel(job_id, "alice") is CancelOutcome.CANCELLED
    assert log_of(store, job_id)[-1] == ("1-3", "cancelled")
    assert TokenUsage.model_validate(final_data(store, job_id)["tokenUsage"]) == usage


@pytest.mark.parametrize("by", ["start", "sweep", "release"])
def test_a_cancel_whose_worker_is_lost_or_drains_is_carried_out_by_the_next_process(store: JobStore, by: str) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started")
    assert store.cancel(job_id, "alice") == CancelAsked("w1")
    if by == "start":
        lapse(store, job_id)
        assert store.start(job_id, "w2", f"{job_id}:w2") == "cancelled"
    elif by == "sweep":
        assert requeue_lapsed(store, job_id) == "cancelled"
    else:
        assert store.release(attempt_of(job_id), "w1") == "cancelled"
    assert log_of(store, job_id) == [("1-1", "started"), ("1-2", "cancelled")]
    assert status_of(store, job_id) is JobStatus.CANCELLED and queue_of(store) == []

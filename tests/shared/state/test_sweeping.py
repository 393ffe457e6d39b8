"""The sweep: jobs whose worker has gone come back to the queue, and nothing else is touched."""

import pytest
from redis import Redis

from shared.contract.schemas import Cause, JobStatus
from shared.state import keys
from shared.state.job_store import JobStore
from shared.state.sweeper import Sweeper
from tests.shared.state.builders import (
    Make,
    at_once,
    attempt_of,
    everything,
    execute,
    field,
    lapse,
    lease_of,
    new_job,
    queue_of,
    rq_keys,
    running_job,
    started,
    status_of,
    take,
)


def test_a_job_is_abandoned_only_when_two_looks_agree(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == []
    store.renew("w1", [attempt_of(job_id)])  # it was Redis that stood still
    sweeper.sweep()
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == [] and field(store, job_id, "holder") == "w1"
    sweeper.sweep()
    assert queue_of(store) == [job_id]
    assert (field(store, job_id, "holder"), field(store, job_id, "failures")) == ("", "1")


def test_a_running_job_is_left_alone(store: JobStore, redis: Redis) -> None:
    running_job(store)
    before, sweeper = everything(redis), Sweeper(store)
    for _ in range(4):
        sweeper.sweep()
    assert everything(redis) == before


def test_a_requeued_job_goes_to_the_front_and_runs_as_rq_means_it(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    waiting = new_job(store)
    lapse(store, job_id)
    for _ in range(3):
        sweeper.sweep()
    assert queue_of(store) == [job_id, waiting]
    assert take(store) == job_id
    again = started(store, job_id, "w2", execute(store, job_id, "w2"))
    assert (again.number, again.cause) == (2, Cause.WORKER_LOST)


def test_a_job_whose_worker_died_right_after_taking_it_comes_back_without_a_failure(store: JobStore) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    assert take(store) == job_id
    sweeper.sweep()
    assert queue_of(store) == []
    sweeper.sweep()
    assert queue_of(store) == [job_id] and store.redis.llen(store.queue.intermediate_key) == 0
    assert field(store, job_id, "failures") == "0"
    assert started(store, job_id).cause is None


def test_a_job_whose_worker_died_before_its_start_comes_back_and_rq_forgets_the_execution(
    store: JobStore, redis: Redis
) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    take(store)
    execution = execute(store, job_id, "w1")
    for _ in range(2):
        sweeper.sweep()
    assert queue_of(store) == [job_id] and redis.zcard(store.queue.started_key) == 0
    assert not redis.exists(f"rq:execution:{execution}")
    assert started(store, job_id).number == 1


@pytest.mark.parametrize("where", ["queue", "intermediate", "started", "running"])
def test_an_expired_job_is_swept_from_wherever_it_stands(store: JobStore, redis: Redis, where: str) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    if where != "queue":
        take(store)
    if where in ("started", "running"):
        execution = execute(store, job_id, "w1")
        if where == "running":
            started(store, job_id, "w1", execution)
            lapse(store, job_id)
    redis.delete(keys.record(job_id), keys.log(job_id))
    for _ in range(2):
        sweeper.sweep()
    left = {key for key in rq_keys(redis) if not key.startswith("rq:worker:")}
    assert left == set() and lease_of(store, job_id) == ""


@pytest.mark.parametrize("cancel", [False, True])
def test_a_job_that_ends_by_a_sweep_leaves_nothing_in_rq(make: Make, redis: Redis, cancel: bool) -> None:
    store = make(max_attempts=1)
    job_id, sweeper = running_job(store), Sweeper(store)
    if cancel:
        store.cancel(job_id, "alice")
    lapse(store, job_id)
    for _ in range(4):
        sweeper.sweep()
    assert status_of(store, job_id) is (JobStatus.CANCELLED if cancel else JobStatus.FAILED)
    assert {key for key in rq_keys(redis) if not key.startswith("rq:worker:")} == set()


def test_many_sweepers_at_once_bring_each_job_back_once(store: JobStore) -> None:
    jobs = {running_job(store) for _ in range(10)}
    lapse(store, *jobs)
    sweepers = [Sweeper(store) for _ in range(4)]
    for _ in range(3):
        at_once(*[sweeper.sweep for sweeper in sweepers])
    assert sorted(queue_of(store)) == sorted(jobs)
    assert {field(store, job_id, "failures") for job_id in jobs} == {"1"}

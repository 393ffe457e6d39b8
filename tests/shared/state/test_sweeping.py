"""Tests that the sweep requeues jobs that have lost their worker, and changes nothing else."""

import pytest
from redis import Redis

from shared.contract.values import Cause, JobStatus
from shared.state import job_store, keys
from shared.state.job_store import JobStore
from shared.state.sweeper import LEAD_MS, Sweeper
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


def test_a_job_is_requeued_only_when_two_sweeps_agree(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == []
    store.renew("w1", [attempt_of(job_id)])  # the worker is alive: only Redis was suspended
    sweeper.sweep()
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == [] and field(store, job_id, "holder") == "w1"
    sweeper.sweep()
    assert queue_of(store) == [job_id]
    assert (field(store, job_id, "holder"), field(store, job_id, "failures")) == ("", "1")


def test_a_running_job_is_left_alone(store: JobStore, redis: Redis) -> None:
    running_job(store)
    sweeper = Sweeper(store)
    sweeper.sweep()
    before = everything(redis)
    for _ in range(4):
        sweeper.sweep()
    assert everything(redis) == before


def test_a_requeued_job_goes_to_the_front_of_the_queue_and_can_be_run_by_rq(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    waiting = new_job(store)
    lapse(store, job_id)
    for _ in range(3):
        sweeper.sweep()
    assert queue_of(store) == [job_id, waiting]
    assert take(store) == job_id
    again = started(store, job_id, "w2", execute(store, job_id, "w2"))
    assert (again.number, again.cause) == (2, Cause.WORKER_LOST)


def test_a_job_whose_worker_died_right_after_taking_it_is_requeued_without_a_failure(store: JobStore) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    assert take(store) == job_id
    sweeper.sweep()
    assert queue_of(store) == []
    sweeper.sweep()
    assert queue_of(store) == [job_id] and store.redis.llen(store.queue.intermediate_key) == 0
    assert field(store, job_id, "failures") == "0"
    assert started(store, job_id).cause is None


def test_a_job_whose_worker_died_before_its_start_is_requeued_and_rq_forgets_the_execution(
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
def test_an_expired_job_is_removed_from_every_list(store: JobStore, redis: Redis, where: str) -> None:
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


def test_many_concurrent_sweepers_requeue_each_job_once(store: JobStore) -> None:
    jobs = {running_job(store) for _ in range(10)}
    lapse(store, *jobs)
    sweepers = [Sweeper(store) for _ in range(4)]
    for _ in range(3):
        at_once(*[sweeper.sweep for sweeper in sweepers])
    assert sorted(queue_of(store)) == sorted(jobs)
    assert {field(store, job_id, "failures") for job_id in jobs} == {"1"}


def test_one_process_sweeps_at_a_time_and_another_one_when_it_has_not_for_some_seconds(
    store: JobStore, redis: Redis
) -> None:
    job_id, first, second = running_job(store), Sweeper(store, "first"), Sweeper(store, "second")
    lapse(store, job_id)
    first.sweep()
    for _ in range(3):
        second.sweep()
    assert queue_of(store) == []
    assert 0 < redis.pttl(keys.SWEEPER) <= LEAD_MS < job_store.LEASE_MS
    redis.delete(keys.SWEEPER)  # as when the first has not swept for that long
    second.sweep()
    first.sweep()
    assert queue_of(store) == []
    second.sweep()
    assert queue_of(store) == [job_id]


def test_an_execution_that_is_left_over_is_forgotten_while_the_job_runs_on(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    left_over = execute(store, job_id, "gone")
    current = field(store, job_id, "execution")
    swept(store)
    assert redis.zrange(store.queue.started_key, 0, -1) == [current.encode()]
    assert not redis.exists(f"rq:execution:{left_over}") and field(store, job_id, "holder") == "w1"
    assert queue_of(store) == []


def swept(store: JobStore, times: int = 2) -> None:
    sweeper = Sweeper(store)
    for _ in range(times):
        sweeper.sweep()


def test_waiting_jobs_that_the_queue_has_lost_are_requeued_in_their_order(store: JobStore, redis: Redis) -> None:
    waiting = [new_job(store) for _ in range(4)]
    store.queue.queue.empty()  # `rq empty` does this
    assert not redis.exists(store.queue.rq_key(waiting[0]))
    swept(store)
    assert queue_of(store) == waiting
    assert {status_of(store, job_id) for job_id in waiting} == {JobStatus.PENDING}
    for job_id in waiting:
        assert take(store) == job_id
        started(store, job_id, "w1", execute(store, job_id, "w1"))
    swept(store)
    assert queue_of(store) == [] and redis.zcard("planner:waiting") == 0


def test_a_job_that_was_released_is_requeued_too(store: JobStore) -> None:
    job_id = running_job(store)
    store.release(attempt_of(job_id), "w1")
    swept(store)
    assert queue_of(store) == [job_id] and field(store, job_id, "failures") == "0"


def test_a_job_that_has_ended_or_is_gone_is_not_requeued(store: JobStore, redis: Redis) -> None:
    cancelled, gone = new_job(store), new_job(store)
    store.cancel(cancelled, "alice")
    redis.delete(keys.record(gone))
    store.queue.queue.empty()
    swept(store, 3)
    assert queue_of(store) == [] and redis.zcard("planner:waiting") == 0


NAMES = [b"\xff\xfe", b"", b":", b"a:b", b":x:", b"not-a-job", b"x" * 10_000, b"../../etc", "ü".encode()]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
def test_an_entry_that_cannot_be_handled_does_not_stop_the_sweep(
    store: JobStore, redis: Redis, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    abandoned = running_job(store)
    lapse(store, abandoned)
    redis.rpush(store.queue.intermediate_key, name)
    redis.zadd(store.queue.started_key, {name + b":1": 1, name: 2})
    redis.zadd(keys.LEASES, {name: 1})
    swept(store, 8)
    assert queue_of(store) == [abandoned]
    assert len(caplog.records) < 10


@pytest.mark.parametrize("missing", ["failures", "attempt", "status", "holder", "usage"])
def test_a_record_with_a_field_missing_does_not_stop_the_sweep(store: JobStore, redis: Redis, missing: str) -> None:
    broken, abandoned = running_job(store), running_job(store)
    redis.hdel(keys.record(broken), missing)
    lapse(store, broken)
    lapse(store, abandoned)
    swept(store, 3)
    assert abandoned in queue_of(store)


def test_a_record_of_another_type_does_not_stop_the_sweep(store: JobStore, redis: Redis) -> None:
    broken, abandoned = running_job(store), running_job(store)
    redis.delete(keys.record(broken))
    redis.lpush(keys.record(broken), "x")
    lapse(store, broken)
    lapse(store, abandoned)
    swept(store, 3)
    redis.delete(keys.record(broken))
    assert queue_of(store) == [abandoned]

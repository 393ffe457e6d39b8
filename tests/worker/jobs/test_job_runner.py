"""Tests that the runner counts each job that ends without a running attempt, and no other."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from shared.state import keys
from shared.state.agent_store import AgentStore
from shared.state.job_store import MAX_STARTS, JobStore
from shared.state.outcomes import AttemptStatus
from tests.conftest import ApiSettingsFactory
from tests.shared.state.builders import lapse, new_job, running_job, started
from worker.jobs.job_runner import JobRunner
from worker.jobs.slot import Slot


@pytest.fixture
def store(redis: Redis, api_settings: ApiSettingsFactory) -> JobStore:
    return JobStore(redis, api_settings(max_attempts=1))


@pytest.fixture
def run(store: JobStore, redis: Redis) -> Callable[[str], object]:
    """Provides a function that has a job run. None of these jobs comes to its attempt, so most parts are missing."""
    missing = cast(Any, None)
    runner = JobRunner(
        name="w2",
        store=store,
        agents=AgentStore(redis),
        agent=missing,
        gates=missing,
        writer=missing,
        loop=missing,
        models=("sandbox",),
        timeout_seconds=5,
        interval_seconds=0.1,
    )
    return lambda job_id: runner.run(job_id, Slot(runner, f"{job_id}:w2"))


def counted(status: str, code: str = "") -> float:
    return REGISTRY.get_sample_value("planner_jobs_ended_total", {"status": status, "code": code}) or 0.0


def unread_job(store: JobStore) -> str:
    """Returns a waiting job with a value that this version does not know."""
    job_id = new_job(store)
    record: Any = store.redis.hget(keys.record(job_id), "input")
    store.redis.hset(keys.record(job_id), "input", record.replace(b"integration", b"of-tomorrow"))
    return job_id


def test_a_cancelled_job_whose_worker_is_lost_is_counted_by_the_worker_that_takes_it(
    store: JobStore, run: Callable[[str], object]
) -> None:
    job_id, before = running_job(store), counted("cancelled")
    store.cancel(job_id, "alice")
    lapse(store, job_id)
    for _ in range(2):
        run(job_id)
    assert counted("cancelled") == before + 1


def test_a_job_that_is_cancelled_while_it_is_given_back_is_counted(
    store: JobStore, run: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, before = unread_job(store), counted("cancelled")
    monkeypatch.setattr("worker.jobs.job_runner.time.sleep", lambda seconds: store.cancel(job_id, "alice"))
    assert run(job_id) is None
    assert counted("cancelled") == before + 1


def test_a_job_that_has_used_up_its_failures_is_counted(store: JobStore, run: Callable[[str], object]) -> None:
    job_id, before = running_job(store), counted("failed", "WORKER_LOST")
    lapse(store, job_id)
    for _ in range(2):
        run(job_id)
    assert counted("failed", "WORKER_LOST") == before + 1


def test_a_job_that_was_drained_too_often_is_counted(store: JobStore, run: Callable[[str], object]) -> None:
    job_id, before = new_job(store), counted("failed", "WORKER_LOST")
    for number in range(MAX_STARTS):
        store.release(started(store, job_id, "w1", f"{job_id}:{number}"), "w1")
    run(job_id)
    assert counted("failed", "WORKER_LOST") == before + 1


@pytest.mark.parametrize("status", [AttemptStatus.CURRENT, AttemptStatus.LOST])
def test_a_job_that_another_worker_has_by_now_is_not_counted_as_failed(
    store: JobStore, run: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, status: AttemptStatus
) -> None:
    job_id, before = unread_job(store), counted("failed", "INTERNAL")
    store.redis.hset(keys.record(job_id), "createdAt", 1)
    monkeypatch.setattr(store, "fail", lambda attempt, holder, code: status)
    run(job_id)
    assert counted("failed", "INTERNAL") == before + (status is AttemptStatus.CURRENT)

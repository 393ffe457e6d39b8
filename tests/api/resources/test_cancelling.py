"""Tests DELETE of a job: its answers, and which jobs the metrics count as cancelled."""

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from redis import Redis

from shared.contract.values import JobStatus
from shared.state.job_store import JobStore
from shared.state.outcomes import Attempt
from tests.conftest import ApiSettingsFactory, bearer, token
from tests.shared.state.builders import append, started
from tests.stack import BODY, JOBS


@pytest.fixture
def store(redis: Redis, api_settings: ApiSettingsFactory) -> JobStore:
    return JobStore(redis, api_settings())


@pytest.fixture
def job_id(client: FlaskClient) -> str:
    return str(client.post(JOBS, json=BODY).json["jobId"])  # type: ignore[index]


def count_of(status: JobStatus) -> float:
    return REGISTRY.get_sample_value("planner_jobs_ended_total", {"status": status.value, "code": ""}) or 0.0


def answer_of(client: FlaskClient, job_id: str) -> tuple[int, str]:
    answer = client.delete(f"{JOBS}/{job_id}")
    return answer.status_code, str(answer.json["status"])  # type: ignore[index]


def test_two_deletes_of_a_waiting_job_count_once(client: FlaskClient, job_id: str) -> None:
    before = count_of(JobStatus.CANCELLED)
    assert [answer_of(client, job_id) for _ in range(2)] == [(200, "cancelled")] * 2
    assert count_of(JobStatus.CANCELLED) == before + 1


def test_a_running_job_is_202_until_its_worker_has_stopped_and_does_not_count_here(
    client: FlaskClient, store: JobStore, job_id: str
) -> None:
    before = count_of(JobStatus.CANCELLED)
    assert isinstance(started(store, job_id), Attempt)
    assert answer_of(client, job_id) == (202, "in_progress")
    append(store, job_id, 1, name="cancelled")
    assert answer_of(client, job_id) == (200, "cancelled")
    assert count_of(JobStatus.CANCELLED) == before


def test_a_job_that_completed_first_is_not_counted_as_cancelled(
    client: FlaskClient, store: JobStore, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_of(JobStatus.CANCELLED)
    started(store, job_id)
    cancel = JobStore.cancel

    def complete_first(self: JobStore, *args: str) -> object:
        append(store, job_id, 1, name="complete")
        return cancel(self, *args)

    monkeypatch.setattr(JobStore, "cancel", complete_first)
    client.delete(f"{JOBS}/{job_id}")
    assert count_of(JobStatus.CANCELLED) == before


def test_a_delete_says_whether_the_job_is_there_and_whose_it_is(client: FlaskClient, job_id: str) -> None:
    assert client.delete(f"{JOBS}/00000000-0000-4000-8000-000000000000").status_code == 404
    assert client.delete(f"{JOBS}/{job_id}", headers=bearer(token("bob"))).status_code == 403
    assert client.delete(f"{JOBS}/x").status_code == 400
    assert answer_of(client, job_id) == (200, "cancelled")

"""Tests GET of the caller's own jobs."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.contract.values import JobStatus
from shared.state import keys, user_jobs
from shared.state.job_store import JobStore
from tests.conftest import ApiSettingsFactory, bearer, token
from tests.shared.state.builders import append, created, started
from tests.stack import BODY, JOBS


@pytest.fixture
def store(redis: Redis, api_settings: ApiSettingsFactory) -> JobStore:
    return JobStore(redis, api_settings())


def asked(client: FlaskClient, page: str = "Checkout page", user: str = "alice") -> dict[str, Any]:
    body = {**BODY, "pageOrComponent": page}
    return dict(client.post(JOBS, json=body, headers=bearer(token(user))).json or {})


def listed(client: FlaskClient, user: str = "alice") -> list[dict[str, Any]]:
    answer = client.get(JOBS, headers=bearer(token(user)))
    assert answer.status_code == 200 and answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return list((answer.json or {})["jobs"])


def test_a_user_sees_their_own_jobs_the_newest_first(client: FlaskClient) -> None:
    assert listed(client) == []
    first, second = asked(client, "Checkout page"), asked(client, "Search")
    of_bob = asked(client, "Basket", "bob")
    assert listed(client) == [
        {
            "jobId": job["jobId"],
            "status": "pending",
            "createdAt": job["createdAt"],
            "pageOrComponent": page,
            "featureType": "enhancement",
            "priorityLevel": "high",
        }
        for job, page in ((second, "Search"), (first, "Checkout page"))
    ]
    assert [job["jobId"] for job in listed(client, "bob")] == [of_bob["jobId"]]
    assert listed(client, "carol") == []


def test_a_list_is_401_without_a_user_and_503_during_an_outage(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(JOBS, headers={"Authorization": ""}).status_code == 401

    def fail(*_: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(Redis, "evalsha", fail)
    assert client.get(JOBS).status_code == 503


def test_a_list_shows_the_current_status_of_each_job(client: FlaskClient, store: JobStore) -> None:
    waiting, running, over, cancelled = (created(store).job_id for _ in range(4))
    started(store, running)
    started(store, over)
    append(store, over, 1, name="complete")
    client.delete(f"{JOBS}/{cancelled}")
    statuses = {job["jobId"]: job["status"] for job in listed(client)}
    assert statuses == {waiting: "pending", running: "in_progress", over: "completed", cancelled: "cancelled"}


def test_a_list_has_the_newest_fifty_jobs_that_are_still_kept(client: FlaskClient, store: JobStore) -> None:
    job_ids = [created(store).job_id for _ in range(60)]
    assert [job["jobId"] for job in listed(client)] == job_ids[:9:-1]
    # Newer jobs can expire before older ones, because failed jobs are kept for longer.
    store.redis.delete(*(keys.record(job_id) for job_id in job_ids[-20:]))
    assert [job["jobId"] for job in listed(client)] == job_ids[39::-1]
    assert store.redis.zcard(keys.jobs("alice")) == 40, "the ids of expired jobs are still in the list"


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.CANCELLED])
def test_a_job_whose_answer_is_not_kept_disappears_from_the_list(
    client: FlaskClient, redis: Redis, api_settings: ApiSettingsFactory, status: JobStatus
) -> None:
    store = JobStore(redis, api_settings(completed_retention_seconds=0))
    job_id = created(store).job_id
    started(store, job_id)
    append(store, job_id, 1, name={"completed": "complete"}.get(status, status))
    assert [job["status"] for job in listed(client)] == [status]
    assert not store.is_watched(job_id)
    store.forget(job_id)
    assert listed(client) == []


def test_what_redis_keeps_of_a_user_is_bounded_in_number_and_time(
    store: JobStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.state.job_store.MAX_INDEXED", 5)
    job_ids = [created(store).job_id for _ in range(8)]
    assert [job.job_id for job in user_jobs.jobs_of(redis, "alice")] == job_ids[:2:-1]
    assert redis.zcard(keys.jobs("alice")) == 5
    assert redis.pttl(keys.record(job_ids[-1])) < redis.pttl(keys.jobs("alice")) < 12 * 3600 * 1000


def test_a_record_that_cannot_be_read_is_left_out(client: FlaskClient, redis: Redis, store: JobStore) -> None:
    bad, good, stolen = (created(store).job_id for _ in range(3))
    redis.hset(keys.record(bad), "input", "{")
    redis.hset(keys.record(stolen), "user", "bob")
    assert [job["jobId"] for job in listed(client)] == [good]


def test_a_repeated_request_is_listed_once(client: FlaskClient) -> None:
    for _ in range(3):
        client.post(JOBS, json=BODY, headers={"Idempotency-Key": "key"})
    assert len(listed(client)) == 1

"""Tests that this version reads, completes and shows what older versions left in Redis (docs/upgrades.md)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import __version__
from shared.contract.events import decode
from shared.state import keys
from tests.conftest import wait_until
from tests.document import check_event
from tests.stack import JOBS, Person, Stack, Watcher, stack
from tests.system.record_state import USER, fill

RECORDED = sorted((Path(__file__).parent.parent / "recorded").glob("*.json"))


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.stem)
def older(request: pytest.FixtureRequest) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(request.param.read_text())
    return recorded


@pytest.fixture(scope="module")
def upgraded(older: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides this version's web process on an older version's data; tests that need a worker start one."""
    with stack(tmp_path_factory.mktemp("upgraded")) as it:
        fill(it.redis, older["records"])
        it.start_sandbox(interval_ms=1)
        it.start_web()
        yield it


@pytest.fixture(autouse=True)
def events_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks events against the document after newer fields are set to their defaults: the log keeps the old form."""

    def check_filled(event_id: str, name: str, data: str) -> None:
        check_event(event_id, name, decode(name, data).model_dump_json(by_alias=True))

    monkeypatch.setattr("tests.stack.check_event", check_filled)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_job_that_ended_before_the_upgrade_is_shown_as_it_ended(
    upgraded: Stack, older: dict[str, Any], status: str
) -> None:
    person = Person(upgraded, USER)
    job = person.read(older["jobs"][status])
    assert job["status"] == status
    events = person.watch(older["jobs"][status])
    assert events[-1].is_final
    titles = [suggestion["title"] for suggestion in job["suggestions"] or []]
    assert titles == [suggestion["title"] for suggestion in events[-1].data.get("suggestions", [])]
    assert bool(titles) == (status == "completed")
    person.close()


def test_the_agent_that_the_older_version_stored_is_shown(upgraded: Stack, older: dict[str, Any]) -> None:
    person = Person(upgraded, USER)
    agent = person.http.get("/api/feature-planner/suggestion-agent").json()
    assert older["agent"].items() <= agent.items()
    person.close()


def test_a_web_process_shows_a_value_that_only_a_newer_version_knows(upgraded: Stack) -> None:
    person = Person(upgraded, "of-the-next-version")
    job_id = person.ask()
    record = keys.record(job_id)
    asked = json.loads(upgraded.redis.hget(record, "input") or b"")
    newer = {"featureType": "of_the_next_version", "priorityLevel": "urgent"}
    upgraded.redis.hset(record, "input", json.dumps({**asked, **newer}))
    # `Person` checks responses against this version's document, which does not have the value.
    with httpx.Client(base_url=person.http.base_url, headers=person.http.headers) as http:
        job = http.get(f"{JOBS}/{job_id}", headers={"Accept": "application/json"})
        assert job.status_code == 200 and newer.items() <= job.json()["input"].items()
        [listed] = http.get(JOBS).json()["jobs"]
        assert listed["jobId"] == job_id and newer.items() <= listed.items()
        cancelled = http.delete(f"{JOBS}/{job_id}")
        assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled"
    assert [event.name for event in person.watch(job_id)] == ["connected", "cancelled"]
    person.close()


def test_running_and_waiting_jobs_of_the_older_version_complete_for_their_viewers(
    upgraded: Stack, older: dict[str, Any]
) -> None:
    watchers = {name: Watcher(upgraded, older["jobs"][name], name=USER) for name in ("running", "waiting")}
    upgraded.start_worker()
    assert {name: watcher.join(90).status for name, watcher in watchers.items()} == {
        "running": "completed",
        "waiting": "completed",
    }
    assert watchers["running"].saw("started", attempt=2, cause="worker_lost")
    person = Person(upgraded, USER)
    for name in watchers:
        job = person.read(older["jobs"][name])
        assert (job["status"], len(job["suggestions"]) > 0) == ("completed", True)
    person.close()


def test_a_value_that_only_a_newer_version_knows_leaves_the_job_to_a_newer_worker(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox(interval_ms=1)
        system.start_web()
        person = Person(system)
        job_id = person.ask()
        record = keys.record(job_id)
        assert system.redis.hget(record, "version") == __version__.encode()
        asked = system.redis.hget(record, "input") or b""
        newer = {**json.loads(asked), "featureType": "of_the_next_version"}
        system.redis.hset(record, mapping={"input": json.dumps(newer), "version": "9.0.0"})
        watcher = Watcher(system, job_id)
        wait_until(lambda: watcher.saw("queued"))
        worker = system.start_worker(WORKER_CONCURRENCY="4")
        wait_until(lambda: worker.has_said("put back for a newer worker"))
        others = [person.ask(f"page {number}") for number in range(3)]
        assert [Watcher(system, each).join().status for each in others] == ["completed"] * 3
        # The worker tries more often than an attempt may fail, but none of these tries counts as a failure.
        before = int(system.redis.hget(record, "attempt") or 0)
        wait_until(lambda: int(system.redis.hget(record, "attempt") or 0) >= before + 4)
        assert system.redis.hget(record, "failures") == b"0"
        assert int(system.redis.hget(record, "starts") or 0) <= 1
        # From here on this worker stands in for a newer one.
        system.redis.hset(record, "input", asked)
        job = watcher.join()
        assert job.status == "completed" and len(system.requests_for("Checkout page")) == 1
        said = [line for line in worker.lines if "put back for a newer worker" in line]
        assert len(said) == 1 and "written_by=9.0.0" in said[0] and job_id in said[0]
        assert not worker.has_said("Traceback")
        person.close()


def test_a_job_that_no_worker_can_read_fails_when_it_expires(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox(interval_ms=1)
        system.start_web()
        person = Person(system)
        record = keys.record(person.ask())
        asked = json.loads(system.redis.hget(record, "input") or b"")
        system.redis.hset(record, "input", json.dumps({**asked, "priorityLevel": "of_the_next_version"}))
        # The job expires if this time passes between two tries to run it, which must not happen on a busy machine.
        system.start_worker(JOB_TTL_SECONDS="4")
        wait_until(lambda: system.redis.hget(record, "status") == b"failed")
        assert system.redis.hget(record, "failures") == b"0"
        person.close()

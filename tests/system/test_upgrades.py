"""What an older version left in Redis is read, ended and shown by this one: docs/upgrades.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.events import decode
from tests.document import check_event
from tests.stack import Person, Stack, Watcher, stack
from tests.system.record_state import USER, fill

RECORDED = sorted((Path(__file__).parent.parent / "recorded").glob("*.json"))


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.stem)
def older(request: pytest.FixtureRequest) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(request.param.read_text())
    return recorded


@pytest.fixture(scope="module")
def upgraded(older: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides this version's processes on the older one's Redis; its worker is started by the tests that need one."""
    with stack(tmp_path_factory.mktemp("upgraded")) as it:
        fill(it.redis, older["records"])
        it.start_sandbox(interval_ms=1)
        it.start_web()
        yield it


@pytest.fixture(autouse=True)
def events_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events stay as they were written: each is held against the document with what was added since at its default."""

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


def test_the_agent_of_before_is_there(upgraded: Stack, older: dict[str, Any]) -> None:
    person = Person(upgraded, USER)
    agent = person.http.get("/api/feature-planner/suggestion-agent").json()
    assert older["agent"].items() <= agent.items()
    person.close()


def test_what_ran_and_what_waited_is_brought_to_its_end_with_its_viewers_there(
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

"""The front door answers as Flask's view does; only the way is shorter."""

import re
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.conftest import wait_until
from tests.stack import JOBS, Person, Process, Stack, stack

BY_THE_DOOR, BY_THE_VIEW = "text/event-stream", "text/event-stream;q=0.9"
NOBODYS = "00000000-0000-4000-8000-000000000000"
CHANGING = re.compile(r'^\S+|duration_ms=\S+|request_id=\S+|"timestamp":\d+')


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack"), STREAMS_PER_USER="1") as it:
        it.start_sandbox()
        it.start_web()
        it.start_worker()
        yield it


@pytest.fixture(scope="module")
def web(system: Stack) -> Process:
    return next(process for process in system.processes if process.name == "web")


@pytest.fixture(scope="module")
def alice(system: Stack) -> Iterator[Person]:
    person = Person(system)
    yield person
    person.close()


@pytest.fixture(scope="module")
def job_id(alice: Person) -> str:
    """A job that has its answer."""
    job_id = alice.ask()
    alice.watch(job_id)
    return job_id


def got(person: Person, web: Process, job_id: str, accept: str, **headers: str) -> tuple[int, list[str], str, str]:
    """Status, headers, body, and what the log says of it: all but what is never the same."""
    before = len(web.lines)
    answer = person.http.get(f"{JOBS}/{job_id}", headers={"Accept": accept, **headers})
    told = f"request_id={answer.headers['x-request-id']} "
    wait_until(lambda: any(told in line for line in web.lines[before:]))
    [line] = [line for line in web.lines[before:] if told in line]
    same = [f"{name}: {value}" for name, value in answer.headers.items() if name not in ("date", "x-request-id")]
    return answer.status_code, sorted(same), CHANGING.sub("", answer.text), CHANGING.sub("", line)


def test_a_stream_is_the_same_by_the_door_and_by_the_view(alice: Person, web: Process, job_id: str) -> None:
    for headers in ({}, {"Last-Event-ID": "1-2"}, {"Last-Event-ID": "nonsense"}, {"X-Request-ID": "mine"}):
        by_the_door = got(alice, web, job_id, BY_THE_DOOR, **headers)
        assert by_the_door == got(alice, web, job_id.upper(), BY_THE_VIEW, **headers)
        assert by_the_door[0] == 200 and "event: complete" in by_the_door[2]


def test_who_is_refused_is_told_so_by_the_view(alice: Person, web: Process, system: Stack, job_id: str) -> None:
    last_id = alice.read(job_id)["lastEventId"]
    with closing(Person(system)) as nobody, closing(Person(system, "bob")) as bob:
        nobody.http.headers.pop("Authorization")
        asked = [
            (401, nobody, job_id, {}),
            (400, alice, "no-id", {}),
            (404, alice, NOBODYS, {}),
            (403, bob, job_id, {}),
            (204, alice, job_id, {"Last-Event-ID": last_id}),
        ]
        for status, person, job, headers in asked:
            by_the_door = got(person, web, job, BY_THE_DOOR, **headers)
            assert by_the_door == got(person, web, job, BY_THE_VIEW, **headers) and by_the_door[0] == status
    waiting = alice.ask("slow")
    with alice.stream(waiting) as events:
        next(events)
        refused = got(alice, web, waiting, BY_THE_DOOR)
        assert refused == got(alice, web, waiting, BY_THE_VIEW) and refused[0] == 429
    alice.cancel(waiting)


def test_other_methods_are_not_for_the_door(alice: Person, job_id: str) -> None:
    headers = {"Accept": BY_THE_DOOR}
    assert alice.http.delete(f"{JOBS}/{job_id}", headers=headers).json()["status"] == "completed"
    assert alice.http.put(f"{JOBS}/{job_id}", headers=headers).status_code == 405
    assert isinstance(alice.http.options(f"{JOBS}/{job_id}", headers=headers), httpx.Response)

"""Tests that streams, which are served before Flask sees them, are answered like all other requests."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from api.http.negotiation import wants_stream
from tests.conftest import wait_until
from tests.stack import JOBS, Person, Process, Stack, running_stack

STREAM, JSON = "text/event-stream", "application/json"
AXIOS = "application/json, text/plain, */*"
NOBODYS = "00000000-0000-4000-8000-000000000000"
FRIEND = "https://friend.example"
CHANGING = re.compile(r"^\S+|duration_ms=\S+|request_id=\S+")


@pytest.fixture(scope="module", params=["", FRIEND], ids=["same origin", "other origins"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"STREAMS_PER_USER": "1", "CORS_ORIGINS": request.param}
    with running_stack(tmp_path_factory.mktemp("stack"), settings) as it:
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
    """Provides the id of a completed job."""
    job_id = alice.ask()
    alice.watch(job_id)
    return job_id


def got(person: Person, web: Process, job_id: str, accept: str, **headers: str) -> tuple[int, list[str], str, str]:
    """Returns the status, headers, body and log line of an answer, without the parts that differ every time."""
    before = len(web.lines)
    answer = person.http.get(f"{JOBS}/{job_id}", headers={"Accept": accept, **headers})
    field = f"request_id={answer.headers['x-request-id']} "
    wait_until(lambda: any(field in line for line in web.lines[before:]))
    [line] = [line for line in web.lines[before:] if field in line]
    same = [f"{name}: {value}" for name, value in answer.headers.items() if name not in ("date", "x-request-id")]
    return answer.status_code, sorted(same), answer.text, CHANGING.sub("", line)


@pytest.mark.parametrize("origin", [FRIEND, "https://stranger.example"])
def test_a_refused_stream_is_answered_and_logged_like_a_refused_read_of_the_job(
    alice: Person, web: Process, system: Stack, job_id: str, origin: str
) -> None:
    with closing(Person(system)) as nobody, closing(Person(system, "bob")) as bob:
        nobody.http.headers.pop("Authorization")
        refused = [(401, nobody, job_id), (400, alice, "no-id"), (404, alice, NOBODYS), (403, bob, job_id)]
        for status, person, job in refused:
            stream = got(person, web, job, STREAM, Origin=origin)
            assert stream == got(person, web, job, JSON, Origin=origin) and stream[0] == status


def test_a_stream_has_the_headers_of_every_answer_and_one_line_in_the_log(
    alice: Person, web: Process, system: Stack, job_id: str
) -> None:
    as_json = got(alice, web, job_id, JSON, Origin=FRIEND)
    for headers in ({}, {"Last-Event-ID": "1-2"}, {"Last-Event-ID": "nonsense"}):
        status, stream_headers, body, line = got(alice, web, job_id.upper(), STREAM, Origin=FRIEND, **headers)
        own = ("cache-control", "connection", "content-", "transfer-encoding")
        shared = {header for header in as_json[1] if not header.startswith(own)}
        assert status == 200 and shared <= set(stream_headers) and "event: complete" in body
        assert line == as_json[3]
    allowed = f"access-control-allow-origin: {FRIEND}" in stream_headers
    assert allowed is bool(system.settings["CORS_ORIGINS"])


def test_a_client_with_the_final_event_gets_204_and_one_with_too_many_streams_429(
    alice: Person, web: Process, job_id: str
) -> None:
    last_id = alice.read(job_id)["lastEventId"]
    status, _, body, line = got(alice, web, job_id, STREAM, **{"Last-Event-ID": last_id})
    assert (status, body) == (204, "") and "status=204" in line
    waiting = alice.ask("slow")
    with alice.stream(waiting) as events:
        next(events)
        status, headers, body, line = got(alice, web, waiting, STREAM)
        assert status == 429 and "retry-after: 1" in headers and "status=429" in line
        assert "content-type: application/problem+json" in headers and '"status":429' in body
    alice.cancel(waiting)


def test_the_methods_of_a_job_are_the_same_whatever_the_accept_header(alice: Person, job_id: str) -> None:
    for accept in (STREAM, JSON):
        headers = {"Accept": accept}
        assert alice.http.delete(f"{JOBS}/{job_id}", headers=headers).json()["status"] == "completed"
        assert alice.http.put(f"{JOBS}/{job_id}", headers=headers).status_code == 405
        assert alice.http.options(f"{JOBS}/{job_id}", headers=headers).headers["allow"].count("DELETE") == 1


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        (None, True),
        ("", True),
        (STREAM, True),
        ("*/*", True),
        ("text/*", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/*", True),
        (JSON, False),
        (AXIOS, False),
        ("APPLICATION/JSON", False),
        ("application/json; charset=utf-8", False),
        (f"{JSON};q=0.1, */*", False),
        (f"*/*, {JSON};q=0.1", False),
        (f"{JSON}, {STREAM}", True),
        (f"{STREAM}, {JSON}", True),
        (f"{STREAM};q=0.5, {JSON}", False),
        (f"{STREAM}, {JSON};q=0.5", True),
        (f"{STREAM};q=0.9, {JSON};q=0.9", True),
        (f"{STREAM};q=0", False),
        (f"{STREAM};q=0, */*", False),
        (f"{STREAM};q=0, {JSON}", False),
        (f"{JSON};q=0", True),
        (f"{JSON};q=0, {STREAM};q=0.1", True),
        (f"{STREAM};charset=utf-8", True),
        ("application/problem+json", True),
        (f"{JSON};q=nonsense", True),
        (";;,,=", True),
    ],
)
def test_a_named_type_takes_precedence_over_one_that_only_a_wildcard_covers(
    accept: str | None, is_stream: bool
) -> None:
    assert wants_stream(accept) is is_stream


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [(AXIOS, False), ("*/*", True), (f"{STREAM};q=0.5, {JSON}", False), (f"{JSON}, {STREAM}", True)],
)
def test_the_accept_header_of_each_kind_of_client_decides_what_it_gets(
    alice: Person, job_id: str, accept: str, is_stream: bool
) -> None:
    answer = alice.http.get(f"{JOBS}/{job_id}", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(STREAM if is_stream else JSON)
    assert ("event: complete" in answer.text) is is_stream

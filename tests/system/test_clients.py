"""Tests which form of a job each kind of client gets for its exact request, and how its connection ends."""

import socket

import pytest

from tests.conftest import wait_until
from tests.stack import JOBS, Person, Stack

STREAM, JSON = "text/event-stream; charset=utf-8", "application/json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
CLIENTS = {
    "EventSource": ("1.1", ["Accept: text/event-stream", "Cache-Control: no-cache"], STREAM),
    "curl": ("1.1", ["User-Agent: curl/8.14.1", "Accept: */*"], STREAM),
    "curl --http1.0": ("1.0", ["User-Agent: curl/8.14.1", "Accept: */*"], STREAM),
    "nginx before us, as it is by default": ("1.0", ["Connection: close", "Accept: text/event-stream"], STREAM),
    "an HTTP/1.0 client that would like to stay": ("1.0", ["Connection: keep-alive"], STREAM),
    "a client without Accept": ("1.1", [], STREAM),
    "fetch": ("1.1", ["accept: */*", "accept-encoding: gzip, deflate, br, zstd"], STREAM),
    "a browser's address bar": ("1.1", [f"Accept: {BROWSER}"], STREAM),
    "axios": ("1.1", ["Accept: application/json, text/plain, */*"], JSON),
    "axios over HTTP/1.0": ("1.0", ["Accept: application/json, text/plain, */*"], JSON),
    "a client that knows both": ("1.1", ["Accept: application/json, text/event-stream"], STREAM),
    "a client that knows both, in two headers": (
        "1.1",
        ["Accept: application/json", "Accept: text/event-stream"],
        STREAM,
    ),
    "a client that likes JSON better": ("1.1", ["Accept: text/event-stream;q=0.5, application/json;q=0.8"], JSON),
    "a client that likes the stream better": (
        "1.1",
        ["Accept: application/json;q=0.5, text/event-stream;q=0.8"],
        STREAM,
    ),
    "a client that likes anything better": ("1.1", ["Accept: application/json;q=0.1, */*"], JSON),
    "a client that wants no stream": ("1.1", ["Accept: text/event-stream;q=0, */*"], JSON),
}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"STREAMS_PER_USER": "2"}


def request(alice: Person, job_id: str, version: str, headers: list[str]) -> bytes:
    credential = f"Authorization: {alice.http.headers['authorization']}"
    lines = [f"GET {JOBS}/{job_id} HTTP/{version}", "Host: example.com", credential, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def connect(system: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", system.web_port), timeout=40)


def header_of(answer: bytes, name: str) -> str | None:
    head = answer.partition(b"\r\n\r\n")[0].decode()
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    return fields.get(name)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gets_the_media_type_that_it_accepts_over_its_http_version(
    system: Stack, alice: Person, client: str
) -> None:
    version, headers, media_type = CLIENTS[client]
    job_id = alice.ask("fast")
    alice.watch(job_id)
    with connect(system) as sock:
        sock.sendall(request(alice, job_id, version, headers))
        # After JSON over HTTP/1.1 the connection stays open, so the end of the body has to be recognized.
        sock.settimeout(5 if media_type == JSON and version == "1.1" else 40)
        answer = b""
        while not (media_type == JSON and answer.endswith(b"}")) and (piece := sock.recv(65_536)):
            answer += piece
    assert answer.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert header_of(answer, "content-type") == media_type
    is_chunked = header_of(answer, "transfer-encoding") == "chunked"
    assert is_chunked is (media_type == STREAM and version == "1.1")
    body = answer.partition(b"\r\n\r\n")[2]
    assert (b"event: complete\n" in body) is (media_type == STREAM)
    assert body.endswith(b"0\r\n\r\n" if is_chunked else b"\n\n" if media_type == STREAM else b"}")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_events_reach_a_client_as_they_happen_over_each_http_version(
    system: Stack, alice: Person, version: str
) -> None:
    job_id = alice.ask("stall once")
    with connect(system) as sock:
        sock.sendall(request(alice, job_id, version, ["Accept: */*"]))
        answer = b""
        while b"event: delta\n" not in answer:
            piece = sock.recv(65_536)
            assert piece, "the stream ended before a delta"
            answer += piece
        assert alice.cancel(job_id).status_code in (200, 202)
        answer += b"".join(iter(lambda: sock.recv(65_536), b""))
    assert b"event: cancelled\n" in answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_repeated_reloads_never_exceed_the_limit_of_streams(system: Stack, alice: Person, version: str) -> None:
    job_id = alice.ask("stall once")
    for _ in range(10):
        with connect(system) as sock:
            sock.sendall(request(alice, job_id, version, ["Accept: */*"]))
            answer = sock.recv(65_536)
            assert answer.startswith(f"HTTP/{version} 200 OK\r\n".encode()), answer
            while b"retry: " not in answer:
                answer += sock.recv(65_536)
    assert alice.cancel(job_id).status_code in (200, 202)
    wait_until(lambda: alice.read(job_id)["status"] == "cancelled")


def test_a_cursor_may_come_in_the_query_and_the_header_takes_precedence(alice: Person) -> None:
    job_id = alice.ask("fast")
    ids = [event.id for event in alice.watch(job_id) if event.id]
    resumed, header = ids[2], {"Last-Event-ID": ids[4]}
    by_query = alice.http.get(f"{JOBS}/{job_id}?lastEventId={resumed}").text
    by_both = alice.http.get(f"{JOBS}/{job_id}?lastEventId={resumed}", headers=header).text
    assert f"id: {resumed}\n" not in by_query and f"id: {ids[-1]}\n" in by_query and "event: started" not in by_query
    assert by_both.count("\nid: ") < by_query.count("\nid: ")
    assert alice.http.get(f"{JOBS}/{job_id}?lastEventId={ids[-1]}").status_code == 204


def test_no_line_of_a_stream_contains_a_character_that_some_parsers_take_for_a_line_end(alice: Person) -> None:
    odd = "a\u2028b\u2029c\u0085d"
    job_id = alice.ask(f"Page {odd} fast")
    live = alice.http.get(f"{JOBS}/{job_id}")
    replayed = alice.http.get(f"{JOBS}/{job_id}")
    for answer in (live, replayed):
        raw = answer.content.decode()
        assert raw.splitlines() == raw.removesuffix("\n").split("\n")  # splitlines knows more line ends than any client
        assert "\\u2028" in raw and "\\u2029" in raw and "\\u0085" in raw
    assert odd in alice.read(job_id)["text"]

"""Tests that independent readers read back the events from the bytes of a stream."""

import http.client
import io
import json
import socket
from collections.abc import Iterator
from typing import cast

import httpx
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st

from api.delivery import sse
from shared.contract.events import Connected, Event, Queued, decode
from shared.contract.values import JobStatus
from shared.state.event_log import EventId
from tests import strategies

Log = list[tuple[EventId, Event]]
one_run = strategies.attempts(most=1).map(lambda runs: runs[-1])


def read(pieces: list[bytes]) -> list[ServerSentEvent]:
    """Returns the events that httpx-sse reads from a response that arrives in these pieces."""

    def arriving() -> Iterator[bytes]:
        yield from pieces

    response = httpx.Response(200, headers={"content-type": sse.MEDIA_TYPE}, content=arriving())
    return list(EventSource(response).iter_sse())


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    """Cuts the bytes into pieces at any place, also within lines and within characters."""
    admission = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    return [whole[start:end] for start, end in zip([0, *admission], [*admission, len(whole)], strict=True)]


def unchunked(chunks: bytes) -> bytes:
    """Returns the body as the standard library's HTTP client reads it from the chunks."""
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks

    class Wire:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(raw)

    response = http.client.HTTPResponse(cast(socket.socket, Wire()))
    response.begin()
    return response.read()


@given(st.data(), one_run)
def test_every_event_reads_back_with_its_id_name_and_data(data: st.DataObject, run: Log) -> None:
    entries = strategies.entries(run)
    seen = read(cut(data, sse.retry(1000) + sse.replay(entries)))
    with_data = [event for event in seen if event.data]
    assert [(event.id, event.event, event.data.encode()) for event in with_data] == [
        (str(entry.id), entry.name, entry.data) for entry in entries
    ]
    assert [decode(event.event, event.data) for event in with_data] == [event for _, event in run]
    assert seen[0].retry == 1000


@given(st.data(), one_run)
def test_a_finished_chunk_carries_the_plain_bytes(data: st.DataObject, run: Log) -> None:
    frames = [sse.chunk(sse.replay([entry])) for entry in strategies.entries(run)] + [sse.KEEP_ALIVE]
    body = unchunked(b"".join(frames) + b"0\r\n\r\n")
    assert body == b"".join(sse.unchunk(chunk) for chunk in frames)


@given(st.data(), strategies.text, st.integers(1, 1000))
def test_events_of_the_connection_bear_no_id(data: st.DataObject, job_id: str, position: int) -> None:
    events: list[Event] = [
        Connected(job_id=job_id, status=JobStatus.PENDING, timestamp=1),
        Queued(position=position, workers=0, timestamp=2),
    ]
    raw = b"".join(map(sse.encode_event, events))
    assert not any(line.startswith(b"id") for line in raw.split(b"\n"))
    assert [decode(event.event, event.data) for event in read(cut(data, raw))] == events


def test_a_keep_alive_is_a_comment_and_an_empty_replay_is_nothing() -> None:
    assert sse.unchunk(sse.KEEP_ALIVE) == b": keep-alive\n\n"
    assert read([sse.unchunk(sse.KEEP_ALIVE) * 3]) == []
    assert sse.replay([]) == b""  # an empty chunk would end the response


@given(one_run)
def test_an_entry_and_its_replay_are_the_same_chunk(run: Log) -> None:
    for entry in strategies.entries(run):
        event_id, name, data = entry.message.split(b" ", 2)
        assert sse.entry_chunk(event_id, name, data) == sse.chunk(sse.replay([entry]))


@given(one_run)
def test_no_reader_sees_a_line_end_within_data(run: Log) -> None:
    for entry in strategies.entries(run):
        data = sse.escape_line_ends(entry.data)
        assert len(data.decode().splitlines()) == 1  # Python knows more kinds of line ends than any reader
        assert json.loads(data) == json.loads(entry.data)

"""Tests that the reader returns the same events however the response body is split into pieces."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import AttemptFailed
from worker.agent.event_reader import EventReader, JsonObject

EVENTS: list[JsonObject] = [
    {"type": "message_start", "message": {"usage": {}}},
    {"type": "ping"},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Grüße, 漢字 🎉\u2028\u0085\\n"}},
    {"type": "message_stop"},
]


def body(end: str) -> bytes:
    frames = (f"event: {event['type']}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}" for event in EVENTS)
    return f": a comment{end}{end}{''.join(frames)}".encode()


def read(*pieces: bytes) -> list[JsonObject]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.read(piece)]


@given(end=st.sampled_from(["\n", "\r\n"]), cuts=st.lists(st.integers(0, len(body("\r\n"))), max_size=20))
def test_events_come_out_however_the_body_is_cut(end: str, cuts: list[int]) -> None:
    whole = body(end)
    edges = [0, *sorted(cuts), len(whole)]
    assert read(*(whole[a:b] for a, b in pairwise(edges))) == EVENTS


def test_an_event_is_returned_as_soon_as_its_line_is_complete() -> None:
    assert read(b'data: {"type":"ping"}') == []
    assert read(b'data: {"type":"ping"}', b"\n") == [{"type": "ping"}]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_frames_as_gateways_write_them_take_their_type_from_the_event_line(end: bytes) -> None:
    lines = [
        b": PROCESSING",
        b"event: ping",
        b"data: {}",
        b"",
        b"event: message_stop",
        b'data: {"x":1}',
        b"",
        b"event: error",
        b'data: {"error":{"message":"no"}}',
        b"",
        b'data: {"error":{"message":"no name either"}}',
        b"",
        b"event: metrics",
        b"data: all is well",
        b"",
        b"data:",
        b"",
        b"data: [DONE]",
        b"",
        b"",
    ]
    assert [(event["type"], len(event)) for event in read(end.join(lines))] == [
        ("ping", 1),
        ("message_stop", 2),
        ("error", 2),
        ("error", 2),
    ]


@pytest.mark.parametrize("line", [b"data: nonsense\n", b"data: [1]\n", b'data: {"type":\n', b'data: "\xff"\n'])
def test_a_line_that_is_no_valid_event_is_worth_another_attempt(line: bytes) -> None:
    with pytest.raises(AttemptFailed) as failed:
        read(line)
    assert failed.value.worth_retrying

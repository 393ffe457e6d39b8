"""Tests which texts are ids of events, and which only look like one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.state.event_log import EventId, parse_message


@given(st.integers(0, 10**9 - 1), st.integers(1, 10**9 - 1))
def test_every_id_is_parsed_as_it_was_written(attempt: int, sequence: int) -> None:
    assert EventId.parse(str(EventId(attempt, sequence))) == (attempt, sequence)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "1", "1-", "-1", "--", "1--1", "1-1-1", "1_1", "1.1", "1:1", "a-b", "null", "undefined", "0", "$"),
        *("0-0", "1-0", "-1-1", "1--1", "+1-1", "1-+1", "01-1", "1-01", "00-1", "0x1-1", "1e3-1", "1_0-1"),
        *(" 1-1", "1-1 ", "1-1\n", "\n1-1", "1 -1", "1-1\0", "1-1, 1-2", "1-1\r\n"),
        *("1-9999999999", "99999999999999999999-1", "1-18446744073709551616", "9" * 5000 + "-1"),
        *(
            "\u0661-\u0661",
            "1-1\u0663",
            "\u0967-\u0967",
            "\uff11-\uff11",
            "1-1\u0661",
            "²-1",
            "1-²",
            "1\u20131",
            "1\u22121",
            "①-①",
        ),
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_a_text_that_is_no_id_is_parsed_as_none(text: str) -> None:
    assert EventId.parse(text) is None


@given(st.text())
def test_only_the_canonical_form_of_an_id_is_parsed(text: str) -> None:
    parsed = EventId.parse(text)
    assert parsed is None or str(parsed) == text


def test_ids_are_ordered_by_attempt_and_then_by_sequence() -> None:
    ids = [EventId(0, 1), EventId(1, 1), EventId(1, 2), EventId(1, 10), EventId(2, 1), EventId(10, 1)]
    assert all(before < after for before, after in pairwise(ids))


@given(st.binary(), st.integers(0, 99), st.integers(1, 10**6))
def test_a_published_message_is_parsed_whatever_its_data(data: bytes, attempt: int, sequence: int) -> None:
    entry = parse_message(b"%d-%d delta %b" % (attempt, sequence, data))
    assert entry == (EventId(attempt, sequence), "delta", data)

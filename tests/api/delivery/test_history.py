"""Tests that an attempt is replayed from any cursor as it is in the log, with consecutive deltas merged."""

from itertools import pairwise

import httpx
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from api.delivery import sse
from api.delivery.history import History
from shared.contract.events import Delta, Event, decode
from shared.state.event_log import Entry, EventId
from tests import strategies

Log = list[tuple[EventId, Event]]
one_run = strategies.attempts(most=1).map(lambda runs: runs[-1])


def history(entries: list[Entry]) -> History:
    it = History(entries[0].id.attempt)
    for entry in entries:
        it.add(entry.name.encode(), entry.data)
    return it


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def decoded(entries: list[Entry]) -> list[Event]:
    return [decode(entry.name, entry.data) for entry in entries]


@given(one_run)
def test_a_replay_is_the_log_with_neighbouring_deltas_made_one(run: Log) -> None:
    entries = strategies.entries(run)
    for seen in range(len(entries) + 1):
        left, replayed = entries[seen:], history(entries).after(entries[seen - 1].id if seen else None)
        names = [entry.name for entry in replayed]
        assert (Delta.event, Delta.event) not in pairwise(names)
        assert [e for e in replayed if e.name != Delta.event] == [e for e in left if e.name != Delta.event]
        assert text(decoded(replayed)) == text(decoded(left))
        assert [e.id for e in replayed[-1:]] == [e.id for e in left[-1:]]


@given(one_run)
def test_a_merged_delta_is_the_last_of_its_run_with_the_text_of_all(run: Log) -> None:
    entries = strategies.entries(run)
    before = 0
    for entry in history(entries).after(None):
        if entry.name == Delta.event:
            run_of = decoded([e for e in entries if before < e.id.sequence <= entry.id.sequence])
            whole, last = decode(entry.name, entry.data), run_of[-1]
            assert isinstance(whole, Delta) and isinstance(last, Delta)
            assert whole == last.model_copy(update={"text": text(run_of)})
        before = entry.id.sequence


@given(one_run)
def test_a_client_reads_from_a_replay_the_entries_that_were_sent(run: Log) -> None:
    replayed = history(strategies.entries(run)).after(None)
    response = httpx.Response(200, headers={"content-type": sse.MEDIA_TYPE}, content=sse.replay(replayed))
    seen = [(event.id, event.event, event.data.encode()) for event in EventSource(response).iter_sse()]
    assert seen == [(str(entry.id), entry.name, entry.data) for entry in replayed]


@given(one_run, st.integers(0, 12), st.integers(1, 10**9))
def test_a_cursor_that_is_not_in_the_log_gets_all_of_it(run: Log, attempt: int, sequence: int) -> None:
    it, cursor = history(strategies.entries(run)), EventId(attempt, sequence)
    is_known = cursor in [event_id for event_id, _ in run]
    assert it.has(cursor) is is_known
    if not is_known:
        assert it.after(cursor) == it.after(None)


def test_the_only_event_of_a_job_that_never_ran_is_0_1() -> None:
    only = Entry(EventId(0, 1), "cancelled", b"{}")
    it = history([only])
    assert it.after(EventId(0, 1)) == []
    assert it.after(EventId(1, 1)) == it.after(EventId(0, 2)) == [only]


def test_an_empty_history_has_nothing_to_replay() -> None:
    assert History().after(EventId(1, 1)) == [] and not History().has(None)


def test_a_delta_with_its_fields_in_another_order_is_merged_too() -> None:
    odd = Entry(EventId(1, 2), "delta", b'{"text":"b\\"","timestamp":1,"totalLength":3}')
    sound = [Entry(EventId(1, n), "delta", b'{"timestamp":1,"text":"a","totalLength":1}') for n in (1, 3)]
    (merged,) = history([sound[0], odd, sound[1]]).after(None)
    assert merged.id == EventId(1, 3) and text(decoded([merged])) == 'ab"a'


@given(st.integers(1, 300))
def test_a_long_run_is_joined_from_any_cursor(length: int) -> None:
    texts = [f"{number} " for number in range(length)]
    entries = [
        Entry(EventId(1, number + 1), "delta", Delta(text=each, total_length=0, timestamp=1).encode())
        for number, each in enumerate(texts)
    ]
    it = history(entries)
    for seen in {0, 1, length // 2, length - 1}:
        assert text(decoded(it.after(EventId(1, seen)))) == "".join(texts[seen:] if seen else texts)


def test_a_malformed_delta_is_left_out_and_the_others_are_merged() -> None:
    entries = [Entry(EventId(1, n), "delta", b'{"timestamp":1,"text":"a","totalLength":1}') for n in range(1, 101)]
    entries[49] = Entry(EventId(1, 50), "delta", b'{"timestamp":1}')
    (merged,) = history(entries).after(None)
    assert merged.id == EventId(1, 100) and text(decoded([merged])) == "a" * 99

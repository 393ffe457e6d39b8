"""Tests how a job and its log are read."""

import pytest

from shared.state.event_log import EventId
from shared.state.job_store import JobStore
from tests.shared.state.builders import append, requeue_lapsed, running_job, started


def test_a_reader_gets_what_follows_its_cursor_in_the_current_attempt_else_all_of_it(store: JobStore) -> None:
    job_id = running_job(store)
    for sequence in (1, 2, 3):
        append(store, job_id, sequence)
    requeue_lapsed(store, job_id)
    started(store, job_id, "w2")
    for sequence in (1, 2):
        append(store, job_id, sequence, attempt=2)

    def read(cursor: EventId | None) -> list[str]:
        seen = store.read(job_id, cursor)
        assert seen is not None and seen.last_id == EventId(2, 2)
        return [str(entry.id) for entry in seen.entries]

    assert read(EventId(2, 1)) == ["2-2"] and read(EventId(2, 2)) == []
    for cursor in (None, EventId(1, 1), EventId(1, 3), EventId(2, 3), EventId(3, 1), EventId(999_999_999, 999_999_999)):
        assert read(cursor) == ["2-1", "2-2"]
    head = store.head(job_id)
    assert head is not None and head.entries == [] and head.last_id == EventId(2, 2)


def test_a_job_that_does_not_exist_has_no_head(store: JobStore) -> None:
    assert store.head("00000000-0000-4000-8000-000000000000") is None


@pytest.mark.parametrize("length", [199, 200, 201, 202, 450])
def test_a_long_log_is_read_whole_too(store: JobStore, length: int) -> None:
    job_id = running_job(store)
    for sequence in range(1, length + 1):
        append(store, job_id, sequence)
    for cursor in (None, EventId(1, 1), EventId(1, length - 1), EventId(1, length), EventId(1, length + 1)):
        seen = store.read(job_id, cursor)
        is_known = cursor is not None and cursor.sequence <= length
        first = cursor.sequence + 1 if cursor is not None and is_known else 1
        assert seen and [e.id for e in seen.entries] == [EventId(1, n) for n in range(first, length + 1)]
        assert {e.name for e in seen.entries} <= {"delta"} and seen.last_id == EventId(1, length)

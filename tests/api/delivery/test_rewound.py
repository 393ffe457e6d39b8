"""Tests that a job's streams end where its log has lost or changed events, so that viewers start again."""

from dataclasses import replace

import gevent
import pytest
from redis.exceptions import ConnectionError

from api.delivery import sse
from api.delivery.feed import Feed
from api.delivery.hub import Hub
from shared.contract.values import JobStatus
from shared.state.event_log import Entry, EventId, Snapshot
from tests.api.delivery.builders import Recorder, SilentChannel, a_hub, entry, snapshot


class RewoundStore:
    """Represents a log that can be replaced by another one, and the loss that is noted in its record."""

    redis = None
    keeps_no_answers = False

    def __init__(self, *log: Entry) -> None:
        self.log = list(log)
        self.status = JobStatus.IN_PROGRESS
        self.lost_up_to: EventId | None = None
        self.is_away = False

    def read(self, job_id: str, cursor: EventId | None = None, *, head_only: bool = False) -> Snapshot:
        last = self.log[-1].id if self.log else None
        entries = [e for e in self.log if cursor is None or e.id > cursor]
        seen = snapshot([] if head_only else entries, status=self.status, last_id=last)
        return replace(seen, lost_up_to=self.lost_up_to)

    def note_rewind(self, job_id: str, seen: EventId) -> bool:
        if self.is_away:
            raise ConnectionError
        self.lost_up_to = seen
        return True


class Process:
    """Represents a web process: a hub, its store and its channel."""

    def __init__(self, *log: Entry) -> None:
        self.store, self.channel = RewoundStore(*log), SilentChannel()
        self.hub: Hub = a_hub(self.store, self.channel)

    def join(self, cursor: EventId | None = None) -> tuple[Feed, Recorder]:
        feed, _ = self.hub.open("job", lambda head_only: self.store.read("job", head_only=head_only))
        viewer = Recorder()
        feed.join(viewer, cursor)
        return feed, viewer

    def reconnect(self, feed: Feed) -> None:
        self.channel.resubscribe(feed)
        gevent.sleep(0.01)


def at_time(entry: Entry, at: int) -> Entry:
    """Returns the same event with another timestamp."""
    return entry._replace(data=entry.data.replace(b'"timestamp":0', b'"timestamp":%d' % at))


def test_a_log_that_ends_before_the_last_sent_event_ends_its_streams() -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    process.store.log[2:] = []
    process.reconnect(feed)
    assert viewer.ends == 1 and process.store.lost_up_to == EventId(1, 5)
    assert sse.chunk(sse.FORGET_CURSOR) in viewer.frames and b"retry: " in viewer.frames[-1]
    again = process.join(EventId(1, 5))[1]
    assert again.ids == ["1-1", "1-2"] and not again.ends


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_log_with_other_events_than_were_sent_ends_its_streams(at: int) -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    process.store.log = [at_time(entry(1, number), at) for number in range(1, 8)]
    process.reconnect(feed)
    assert viewer.ends == 1 and process.join(EventId(1, 5))[1].ids == [f"1-{number}" for number in range(1, 8)]


def test_a_cursor_from_before_the_loss_gets_all_of_the_attempt_and_one_from_after_it_goes_on() -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    process.reconnect(process.join()[0])
    process.store.log = [at_time(entry(1, number), 1) for number in range(1, 9)]
    process.reconnect(process.join()[0])
    assert process.join(EventId(1, 3))[1].ids == [f"1-{number}" for number in range(1, 9)]
    assert process.join(EventId(1, 5))[1].ids == [f"1-{number}" for number in range(1, 9)]
    assert process.join(EventId(1, 6))[1].ids == ["1-7", "1-8"]


@pytest.mark.parametrize("is_loaded", [False, True])
def test_another_process_takes_account_of_the_loss_that_is_noted_in_the_record(is_loaded: bool) -> None:
    process = Process(*(entry(1, number) for number in range(1, 9)))
    if is_loaded:
        assert process.join(EventId(1, 4))[1].ids[0] == "1-5"
    process.store.lost_up_to = EventId(1, 5)
    assert process.join(EventId(1, 4))[1].ids[0] == "1-1"
    assert process.join(EventId(1, 6))[1].ids == ["1-7", "1-8"]


def test_an_unchanged_log_ends_no_stream() -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    for _ in range(3):
        process.reconnect(feed)
    process.store.log.append(entry(1, 6))
    process.reconnect(feed)
    assert not viewer.ends and viewer.ids[-1] == "1-6" and process.store.lost_up_to is None


def test_a_newer_attempt_ends_no_stream() -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    process.store.log[2:] = [entry(28_000_000, 1), entry(28_000_000, 2)]
    process.reconnect(feed)
    assert not viewer.ends and viewer.ids[-2:] == ["28000000-1", "28000000-2"]


@pytest.mark.parametrize("message", [entry(1, 3, "cancelled"), at_time(entry(1, 1), 1)])
def test_a_published_event_may_reveal_a_loss_before_the_log_is_read(message: Entry) -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    process.store.log = [entry(1, 1), entry(1, 2), message] if message.is_final else [message]
    process.channel.deliver(feed, message.message)
    process.channel.deliver(feed, entry(1, 6).message)
    gevent.sleep(0.01)
    assert viewer.ids[-1] == "1-5" and viewer.ends == 1


def test_no_stream_is_ended_before_the_loss_is_noted() -> None:
    process = Process(*(entry(1, number) for number in range(1, 6)))
    feed, viewer = process.join()
    process.store.log[2:] = []
    process.store.is_away = True
    process.reconnect(feed)
    assert feed.viewers == {viewer}
    process.store.is_away = False
    process.reconnect(feed)
    assert viewer.ends == 1


def test_a_final_event_that_was_lost_is_not_sent_to_later_viewers() -> None:
    process = Process(entry(1, 1), entry(1, 2), entry(1, 3, "error"))
    process.store.status = JobStatus.FAILED
    first = process.join()[1]
    assert first.ends == 1
    process.store.log.pop()
    process.store.status = JobStatus.IN_PROGRESS
    second = process.join()[1]  # the first viewer's connection is still open
    assert second.ids == ["1-1", "1-2"] and not second.ends


@pytest.mark.parametrize("log", [[], [entry(1, 1), entry(1, 2)]])
def test_a_job_that_has_ended_only_by_its_record_is_expired_for_every_viewer(log: list[Entry]) -> None:
    process = Process(*log)
    process.store.status = JobStatus.COMPLETED
    for _ in range(2):
        viewer = process.join()[1]
        assert viewer.ends == 1 and b"EXPIRED" in viewer.frames[-1]

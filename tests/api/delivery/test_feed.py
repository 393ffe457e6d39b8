"""Tests that every viewer of a feed sees every event once and in order, whatever the channel loses or repeats."""

import time
from functools import reduce
from itertools import pairwise

import gevent
import pytest
from gevent.event import Event as Signal
from hypothesis import given
from hypothesis import strategies as st

from api.delivery import sse
from api.delivery.feed import Feed, QueuePosition
from shared.contract.events import FINAL, Event, Transcript, fold
from shared.contract.values import JobStatus
from shared.state.event_log import Entry, EventId, Snapshot
from tests import strategies
from tests.api.delivery.builders import (
    PlainStore,
    Recorder,
    SilentChannel,
    TalkativeStore,
    a_hub,
    entry,
    snapshot,
)

Log = list[tuple[EventId, Event]]
Runs = list[Log]


def loaded(*entries: Entry) -> Feed:
    feed = Feed("job")
    feed.catch_up(snapshot(list(entries)))
    return feed


def watched(*entries: Entry) -> tuple[Feed, Recorder]:
    feed, viewer = loaded(*entries), Recorder()
    feed.join(viewer, None)
    return feed, viewer


def test_each_event_is_sent_to_the_viewers_as_it_arrives() -> None:
    feed, viewer = watched()
    for sequence in (1, 2, 3):
        feed.accept(entry(1, sequence).message, 0)
        assert len(viewer.frames) == sequence
    assert viewer.ids == ["1-1", "1-2", "1-3"] and not feed.has_hole


def test_an_event_that_has_been_seen_is_ignored() -> None:
    feed, viewer = watched(entry(1, 1), entry(1, 2))
    for sequence in (1, 2, 2, 1):
        feed.accept(entry(1, sequence).message, 0)
    feed.catch_up(snapshot([entry(1, 1), entry(1, 2)]))
    assert viewer.ids == ["1-1", "1-2"] and not feed.has_hole


def test_events_after_a_hole_are_held_back_until_the_log_is_read() -> None:
    feed, viewer = watched(entry(1, 1))
    feed.accept(entry(1, 3).message, 0)
    assert feed.has_hole and viewer.ids == ["1-1"]
    feed.catch_up(snapshot([entry(1, 2), entry(1, 3)]))
    assert not feed.has_hole and viewer.ids == ["1-1", "1-2", "1-3"]


def test_events_that_arrive_out_of_order_are_sent_in_order() -> None:
    feed, viewer = watched(entry(1, 1))
    for sequence in (4, 3, 2, 3, 4):
        feed.accept(entry(1, sequence).message, 0)
    assert viewer.ids == ["1-1", "1-2", "1-3", "1-4"] and not feed.has_hole


def test_a_new_attempt_replaces_the_previous_one() -> None:
    feed, viewer = watched(entry(1, 1), entry(1, 2))
    feed.accept(entry(2, 1).message, 0)
    feed.accept(entry(1, 3).message, 0)  # a worker that was suspended and has been replaced sends this
    late = Recorder()
    feed.join(late, EventId(1, 2))
    assert viewer.ids == ["1-1", "1-2", "2-1"] and late.ids == ["2-1"]


def test_a_new_attempt_whose_first_event_was_lost_is_a_hole() -> None:
    feed, viewer = watched(entry(1, 1))
    feed.accept(entry(3, 2).message, 0)
    assert feed.has_hole and viewer.ids == ["1-1"]
    feed.catch_up(snapshot([entry(3, 1), entry(3, 2)]))
    assert viewer.ids == ["1-1", "3-1", "3-2"]


@pytest.mark.parametrize("cursor", [None, *(EventId(a, s) for a in range(4) for s in range(1, 7))])
def test_a_viewer_that_joins_late_gets_what_follows_its_cursor(cursor: EventId | None) -> None:
    feed, viewer = loaded(*(entry(2, sequence) for sequence in range(1, 5))), Recorder()
    feed.join(viewer, cursor)
    feed.accept(entry(2, 5).message, 0)
    is_known = cursor is not None and cursor.attempt == 2 and cursor.sequence <= 4
    first = cursor.sequence + 1 if cursor and is_known else 1
    assert viewer.ids == [f"2-{sequence}" for sequence in range(first, 6)]


def test_a_viewer_that_joins_late_gets_past_deltas_merged_and_new_ones_separately() -> None:
    feed, viewer = loaded(entry(1, 1), entry(1, 2, "delta"), entry(1, 3, "delta")), Recorder()
    feed.join(viewer, None)
    feed.accept(entry(1, 4, "delta").message, 0)
    feed.accept(entry(1, 5, "delta").message, 0)
    assert viewer.ids == ["1-1", "1-3", "1-4", "1-5"]


def test_the_final_event_is_sent_once_and_ends_every_stream() -> None:
    feed, viewer = watched(entry(1, 1))
    for _ in range(2):
        feed.accept(entry(1, 2, "error").message, 0)
        feed.catch_up(snapshot([entry(1, 2, "error")], status=JobStatus.FAILED))
    feed.accept(entry(1, 3).message, 0)
    feed.accept(entry(2, 1).message, 0)
    feed.expire()
    feed.wait_at(QueuePosition(1, 1))
    assert viewer.ids == ["1-1", "1-2"] and viewer.ends == 1
    assert feed.is_over and not feed.viewers


def test_a_viewer_that_joins_after_the_end_gets_the_final_event_and_its_stream_ends() -> None:
    feed = loaded(entry(1, 1), entry(1, 2, "error"))
    for cursor, ids in ((None, ["1-1", "1-2"]), (EventId(1, 1), ["1-2"]), (EventId(1, 2), [])):
        viewer = Recorder()
        feed.join(viewer, cursor)
        assert (viewer.ids, viewer.ends) == (ids, 1)
    assert not feed.viewers


def test_a_job_that_is_cancelled_while_it_waits_ends_with_the_id_0_1() -> None:
    feed, viewer = watched()
    feed.accept(entry(0, 1, "cancelled").message, 0)
    assert viewer.ids == ["0-1"] and viewer.ends == 1


def test_an_expired_job_sends_its_viewers_one_error_event_and_ends_their_streams() -> None:
    feed, viewer = watched(entry(1, 1))
    feed.expire()
    feed.expire()
    last = viewer.events[-1]
    assert (last.event, last.json()["code"], last.json()["retryable"]) == ("error", "EXPIRED", True)
    assert b"id:" not in sse.unchunk(viewer.frames[-1])
    assert viewer.ends == 1 and feed.last_id == EventId(1, 1)


def test_a_viewer_that_has_left_gets_no_more_events() -> None:
    feed, viewer = watched(entry(1, 1))
    feed.leave(viewer)
    feed.leave(viewer)
    feed.accept(entry(1, 2, "error").message, 0)
    assert viewer.ids == ["1-1"] and viewer.ends == 0


def test_the_queue_position_is_sent_on_joining_and_on_changes_until_the_job_runs() -> None:
    feed, viewer = watched()
    for queue_position in (
        QueuePosition(2, 0),
        QueuePosition(2, 0),
        QueuePosition(1, 0),
        QueuePosition(1, 3),
        None,
        QueuePosition(1, 3),
    ):
        feed.wait_at(queue_position)
    positions = [(event.json()["position"], event.json()["workers"]) for event in viewer.events]
    assert positions == [(2, 0), (1, 0), (1, 3), (1, 3)]
    late = Recorder()
    feed.join(late, None)
    assert [event.event for event in late.events] == ["queued"]
    feed.accept(entry(1, 1).message, 0)
    later = Recorder()
    feed.join(later, None)
    assert [event.event for event in later.events] == ["started"]


@pytest.mark.parametrize(
    ("is_running", "status", "is_waiting"),
    [
        (False, JobStatus.PENDING, True),
        (True, JobStatus.IN_PROGRESS, False),
        (False, JobStatus.IN_PROGRESS, True),
        (False, JobStatus.FAILED, False),
    ],
)
def test_a_job_waits_while_no_worker_runs_it(is_running: bool, status: JobStatus, is_waiting: bool) -> None:
    feed = Feed("job")
    feed.catch_up(snapshot([], is_running=is_running, status=status))
    assert feed.is_loaded and feed.is_waiting is is_waiting


class World:
    """Simulates a log that grows, a channel that loses, repeats and reorders, and reads that finish late."""

    def __init__(self, log: Log, data: st.DataObject) -> None:
        self.log = log
        self.entries = strategies.entries(log)
        self.data = data
        self.written = 0
        self.feed = Feed("job")
        self.readings: list[Snapshot] = []
        self.viewers: list[tuple[Recorder, EventId | None]] = []
        self.finish_reading(self.reading())

    def reading(self) -> Snapshot:
        """Reads as read.lua does: after the cursor if it belongs to the current attempt, else all of that attempt."""
        there = self.entries[: self.written]
        cursor = self.feed.last_id
        current = [e for e in there if e.id.attempt == there[-1].id.attempt]
        if cursor and current and cursor.attempt == current[-1].id.attempt and cursor <= current[-1].id:
            current = [e for e in current if e.id > cursor]
        is_final = bool(there) and there[-1].is_final
        return snapshot(current, status=JobStatus.FAILED if is_final else JobStatus.IN_PROGRESS)

    def finish_reading(self, seen: Snapshot) -> None:
        """Applies a finished read as the hub does, which reads again while events are missing."""
        self.feed.catch_up(seen)
        while self.feed.has_hole:
            self.feed.catch_up(self.reading())

    def write(self) -> None:
        self.written = min(self.written + 1, len(self.entries))
        if self.data.draw(st.booleans(), "delivered"):
            self.deliver(self.written - 1)

    def deliver(self, queue_position: int) -> None:
        self.feed.accept(self.entries[queue_position].message, 0)
        if self.feed.has_hole:
            # The hub reads soon, but not at once; an earlier read may finish before this one.
            self.readings.append(self.reading())

    def step(self, what: str) -> None:
        draw = self.data.draw
        if what == "write":
            self.write()
        elif what == "repeat" and self.written:
            self.deliver(draw(st.integers(0, self.written - 1), "which"))
        elif what == "begin reading":
            self.readings.append(self.reading())
        elif what == "end reading" and self.readings:
            self.finish_reading(self.readings.pop(draw(st.integers(0, len(self.readings) - 1), "reading")))
        elif what == "join":
            known = [event_id for event_id, _ in self.log]
            self.join(draw(st.none() | st.sampled_from(known) | st.just(EventId(7, 7)), "cursor"))

    def join(self, cursor: EventId | None) -> None:
        viewer = Recorder()
        self.feed.join(viewer, cursor)
        self.viewers.append((viewer, cursor))

    def settle(self) -> None:
        """Writes all remaining entries, and reads the log again as the last keep-alive does."""
        self.written = len(self.entries)
        self.finish_reading(self.reading())


STEPS = st.lists(
    st.sampled_from(["write", "write", "write", "repeat", "begin reading", "end reading", "join"]), max_size=40
)


@given(st.data(), strategies.attempts(most=1), STEPS)
def test_every_viewer_from_the_start_sees_every_id_once_whatever_gets_lost(
    data: st.DataObject, runs: Runs, steps: list[str]
) -> None:
    world = World(runs[-1], data)
    for _ in range(3):
        world.join(None)
    for what in steps:
        world.step(what)
    world.settle()
    for viewer, _ in world.viewers[:3]:
        assert viewer.numbered == world.log


@given(st.data(), strategies.attempts(), STEPS)
def test_every_viewer_ends_with_the_same_job_and_no_id_twice(data: st.DataObject, runs: Runs, steps: list[str]) -> None:
    world = World([item for run in runs for item in run], data)
    for what in steps:
        world.step(what)
    world.settle()
    world.join(None)
    truth = folded(world.log, Transcript())
    for viewer, cursor in world.viewers:
        ids = [event_id for event_id, _ in viewer.numbered]
        assert ids == sorted(set(ids))
        known = [item for item in world.log if cursor and item[0] <= cursor] if cursor in dict(world.log) else []
        assert folded(viewer.numbered, folded(known, Transcript())) == truth
        assert all(is_next(world.log, before, after) for before, after in pairwise(ids))
        is_over = world.log[-1][1].event in FINAL
        assert viewer.ends == is_over


def folded(log: Log, job: Transcript) -> Transcript:
    return reduce(lambda seen, item: fold(seen, item[1], str(item[0])), log, job)


def is_next(log: Log, before: EventId, after: EventId) -> bool:
    """Returns whether only deltas that `after` includes, or the rest of an abandoned attempt, are between the two."""
    if after.attempt != before.attempt:
        return after.sequence == 1
    names = [event.event for event_id, event in log if before < event_id <= after]
    return len(names) == 1 or set(names) == {"delta"}


def test_an_event_published_during_the_first_read_is_sent_before_the_next_keep_alive() -> None:
    store, viewer = TalkativeStore(entry(1, 1)), Recorder()
    hub = a_hub(store)
    store.hub = hub
    try:
        feed, _ = hub.open("job", lambda head_only: store.read("job"))
        feed.join(viewer, None)
        deadline = time.monotonic() + 1
        while not viewer.ends and time.monotonic() < deadline:
            gevent.sleep(0.001)
    finally:
        hub.stop()
    assert viewer.ids == ["1-1", "1-2"] and viewer.ends == 1


def test_the_log_is_read_once_for_viewers_that_join_at_the_same_time() -> None:
    hub, read = a_hub(), []

    def slowly(head_only: bool) -> Snapshot:
        read.append(head_only)
        gevent.sleep(0.01)
        return snapshot([] if head_only else [entry(1, 1)], last_id=EventId(1, 1))

    try:
        opened = [gevent.spawn(hub.open, "job", slowly) for _ in range(5)]
        gevent.joinall(opened, raise_error=True)
    finally:
        hub.stop()
    feeds = {opening.get()[0] for opening in opened}
    assert len(feeds) == 1 and feeds.pop().last_id == EventId(1, 1)
    assert sorted(read) == [False, True, True, True, True]


def test_a_viewer_that_waits_for_the_first_read_of_a_log_continues_even_after_events_that_came_later() -> None:
    store, log_is_read = PlainStore(), Signal()
    hub = a_hub(store)

    def read(head_only: bool) -> Snapshot:
        seen = store.read("job")
        if not head_only:
            log_is_read.wait()
        return seen

    try:
        opened = [gevent.spawn(hub.open, "job", read) for _ in range(2)]
        gevent.sleep(0)
        store.log.append(entry(1, 2))  # its message has not come yet, but the second viewer has seen it elsewhere
        log_is_read.set()
        feed, _ = opened[1].get(timeout=10)
        assert feed.knows(EventId(1, 2))
    finally:
        hub.stop()


def test_a_refused_viewer_leaves_no_feed_open_and_the_next_one_reads_the_log() -> None:
    hub = a_hub()

    def refuse(head_only: bool) -> Snapshot:
        gevent.sleep(0)
        raise PermissionError

    try:
        refused = gevent.spawn(hub.open, "job", refuse)
        opened = gevent.spawn(hub.open, "job", lambda head_only: snapshot([] if head_only else [entry(1, 1)]))
        gevent.joinall([refused, opened])
        assert isinstance(refused.exception, PermissionError)
        feed, _ = opened.get()
        assert feed.last_id == EventId(1, 1) and feed.users == 1
        hub.close(feed)
        with pytest.raises(PermissionError):
            hub.open("job", refuse)
        assert hub._feeds == {}
    finally:
        hub.stop()


def test_a_feed_that_lags_behind_the_log_catches_up_when_a_viewer_joins() -> None:
    store = PlainStore()
    hub = a_hub(store)
    try:
        feed, _ = hub.open("job", lambda head_only: store.read("job"))
        store.log.append(entry(1, 2))
        hub.open("job", lambda head_only: snapshot([], last_id=store.log[-1].id))
        assert feed.last_id == EventId(1, 2)
    finally:
        hub.stop()


def test_an_event_published_while_the_channel_reconnects_during_the_first_read_is_not_lost() -> None:
    store, channel = PlainStore(), SilentChannel()
    hub = a_hub(store, channel)

    def read_across_a_cut(head_only: bool) -> Snapshot:
        seen = store.read("job")
        store.log.append(entry(1, 2))
        channel.connects += 1
        return seen

    try:
        feed, _ = hub.open("job", read_across_a_cut)
        assert feed.last_id == EventId(1, 2)
    finally:
        hub.stop()

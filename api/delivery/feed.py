"""Defines the feed: a process's live copy of one job's log, with the viewers it is sent to."""

import time
from dataclasses import dataclass

from api.delivery import sse
from api.delivery.history import History
from api.delivery.viewer import Viewer
from shared.clock import now_ms
from shared.contract.events import FINAL, Failed, Queued
from shared.contract.values import ErrorCode
from shared.state.event_log import EventId, Snapshot

_FINAL = frozenset(name.encode() for name in FINAL)
_NO_ID = b""


@dataclass(frozen=True)
class QueuePosition:
    """Holds the position of a job in the queue, and the number of live workers."""

    position: int
    workers: int


class Feed:
    """Holds the events of the current attempt and passes each on as it comes. It never waits.

    It accepts an event only if it is the next one. `has_hole` then says that events are missing before one that was
    seen, so that the log has to be read. `is_rewound` says that the log contradicts what the feed has passed on: Redis
    has lost its last writes. The feed then accepts nothing until it has started over.
    """

    __slots__ = (
        "_has_expired",
        "_newest_seen",
        "_next_id",
        "_targets",
        "history",
        "is_loaded",
        "is_over",
        "is_rewound",
        "is_waiting",
        "job_id",
        "last_event_at",
        "last_sent_at",
        "lost_up_to",
        "queue_position",
        "users",
        "viewers",
    )

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.history = History()
        self.viewers: set[Viewer] = set()
        self._targets: tuple[Viewer, ...] | None = ()
        """The viewers as a tuple, to pass events to; None after they have changed."""
        self.users = 0
        self.is_loaded = False
        self.is_waiting = False
        self.is_over = False
        self.is_rewound = False
        self.lost_up_to: EventId | None = None
        """Cursors up to this id may refer to an event that Redis has lost, and whose id another event may have now."""
        self._has_expired = False
        """Whether the job has expired without a final event."""
        self._newest_seen: EventId | None = None
        self._next_id = _NO_ID
        """The id of the event that continues the current attempt."""
        self.queue_position: QueuePosition | None = None
        self.last_event_at = self.last_sent_at = time.monotonic()

    @property
    def last_id(self) -> EventId | None:
        """Returns the id of the last event that was accepted; None where there is none."""
        return self.history.last_id

    @property
    def has_hole(self) -> bool:
        """Returns whether an event could not be accepted because one before it is missing."""
        return self._newest_seen is not None

    def knows(self, cursor: EventId | None) -> bool:
        """Returns whether the cursor is the id of one of these events, so that its client can continue from there."""
        return cursor is not None and self.history.has(cursor) and not self._is_ambiguous(cursor)

    def _is_ambiguous(self, cursor: EventId) -> bool:
        lost = self.lost_up_to
        return lost is not None and cursor.attempt == lost.attempt and cursor <= lost

    def join(self, viewer: Viewer, cursor: EventId | None) -> None:
        """Sends what the viewer has missed, and adds it to the viewers. No event can come in between."""
        if missed := sse.replay(self.history.after(cursor if self.knows(cursor) else None)):
            viewer.send(sse.chunk(missed))
        if self.is_over:
            if self._has_expired:
                viewer.send(_expired())
            viewer.end()
            return
        if self.queue_position:
            viewer.send(sse.chunk(sse.encode_event(_queued(self.queue_position))))
        self.viewers.add(viewer)
        self._targets = None

    def leave(self, viewer: Viewer) -> None:
        """Removes a viewer."""
        self.viewers.discard(viewer)
        self._targets = None

    def accept(self, message: bytes, now: float) -> None:
        """Passes an event on if it is the next one, and ignores it otherwise.

        `message` is `<id> <name> <JSON>`, as it is published; `now` is in seconds of the monotonic clock.
        """
        event_id, name, data = message.split(b" ", 2)
        if event_id != self._next_id and not self._begins_attempt(event_id, name, data):
            return
        data = sse.escape_line_ends(data)
        history = self.history
        history.add(name, data)
        self._next_id = b"%d-%d" % (history.attempt, history.last + 1)
        self.last_event_at = now
        self.queue_position = None
        if self._newest_seen is not None and self._newest_seen <= (history.attempt, history.last):
            self._newest_seen = None
        if self.viewers:
            self._broadcast(sse.entry_chunk(event_id, name, data), now)
        if name in _FINAL:
            self.end()

    def _begins_attempt(self, event_id: bytes, name: bytes, data: bytes) -> bool:
        """Returns whether an event that does not continue the current attempt is the first of a newer one."""
        seen, last = EventId.from_bytes(event_id), self.last_id
        if self.is_over or self.is_rewound:
            return False
        if last is not None and seen <= last:
            # A log ends with its final event, and an attempt begins once, so this is not the log that was passed on.
            is_other_start = seen == (last.attempt, 1) and sse.escape_line_ends(data) != self.history.first_data
            if name in _FINAL or is_other_start:
                self.mark_rewound()
            return False
        if seen.sequence != 1:
            self._newest_seen = max(self._newest_seen or seen, seen)
            return False
        self.history = History(seen.attempt)
        return True

    def catch_up(self, snapshot: Snapshot) -> None:
        """Accepts the events of a log that was read."""
        self.is_loaded = True
        self.is_waiting = not snapshot.is_running and not snapshot.status.is_final
        self.lost_up_to = snapshot.lost_up_to
        now = time.monotonic()
        for entry in snapshot.entries:
            self.accept(entry.message, now)
        if snapshot.status.is_final and not self.is_over and not self.is_rewound:
            # The record says that the job has ended, so a final event missing in its log will never come.
            self.expire()

    def mark_rewound(self) -> None:
        """Marks the feed as rewound: the log contradicts what was passed on. It accepts nothing until `start_over`."""
        self.is_rewound = True
        self._next_id = _NO_ID

    def start_over(self) -> list[Viewer]:
        """Discards the log that Redis has lost. Returns the viewers that have seen it."""
        viewers = list(self.viewers)
        self.viewers, self._targets = set(), ()
        self.lost_up_to = self.last_id or self.lost_up_to
        self.history = History()
        self.is_loaded = self.is_over = self.is_rewound = self._has_expired = False
        self._newest_seen, self._next_id, self.queue_position = None, _NO_ID, None
        return viewers

    def expire(self) -> None:
        """Sends the viewers an error event with the code EXPIRED, which is stored nowhere."""
        if not self.is_over:
            self._has_expired = True
            self._broadcast(_expired(), time.monotonic())
            self.end()

    def wait_at(self, queue_position: QueuePosition | None) -> None:
        """Sends the viewers the job's position in the queue, if it has changed."""
        if queue_position is None or self.is_over:
            self.queue_position = None
        elif queue_position != self.queue_position:
            self.queue_position = queue_position
            self._broadcast(sse.chunk(sse.encode_event(_queued(queue_position))), time.monotonic())

    def keep_alive(self) -> None:
        """Sends the viewers a comment, so that proxies and clients see that the stream is alive."""
        self._broadcast(sse.KEEP_ALIVE, time.monotonic())

    def end(self) -> None:
        """Ends the streams of all viewers."""
        self.is_over = True
        self._next_id = _NO_ID
        viewers, self.viewers, self._targets = self.viewers, set(), ()
        for viewer in viewers:
            viewer.end()

    def _broadcast(self, chunk: bytes, now: float) -> None:
        self.last_sent_at = now
        if self._targets is None:
            self._targets = tuple(self.viewers)
        for viewer in self._targets:
            viewer.send(chunk)


def _queued(queue_position: QueuePosition) -> Queued:
    return Queued(position=queue_position.position, workers=queue_position.workers, timestamp=now_ms())


def _expired() -> bytes:
    return sse.chunk(sse.encode_event(Failed.of(ErrorCode.EXPIRED, now_ms())))

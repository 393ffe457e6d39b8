"""A feed: a process's live copy of one job's log, and the viewers it goes to."""

from dataclasses import dataclass

from api.delivery import sse
from api.delivery.history import History
from api.delivery.viewer import Viewer
from shared.contract.events import Failed, Queued
from shared.contract.schemas import ErrorCode
from shared.state.event_log import Entry, EventId, Snapshot, parse_message

_DELTA = b" delta "
_NOTHING = b"\0"
"""No message begins so."""


@dataclass(frozen=True)
class QueuePosition:
    """Where a job waits, and how many workers are there."""

    position: int
    workers: int


class Feed:
    """Holds what was said in the current attempt and passes each on as it comes. Never waits.

    It accepts an entry only if it is the next one; `has_hole` then says that something is missing and the log has to
    be read.
    """

    __slots__ = (
        "_newest_seen",
        "_next_delta",
        "_targets",
        "history",
        "is_loaded",
        "is_over",
        "is_waiting",
        "job_id",
        "last_event_at",
        "last_sent_at",
        "queue_position",
        "users",
        "viewers",
    )

    def __init__(self, job_id: str, now: float) -> None:
        self.job_id = job_id
        self.history = History()
        self.viewers: set[Viewer] = set()
        self._targets: tuple[Viewer, ...] | None = ()
        """The viewers as they are passed events; None when there are others now."""
        self.users = 0
        self.is_loaded = False
        self.is_waiting = False
        self.is_over = False
        self._newest_seen: EventId | None = None
        self._next_delta = _NOTHING
        """How a message begins that continues a run of deltas."""
        self.queue_position: QueuePosition | None = None
        self.last_event_at = now
        self.last_sent_at = now

    @property
    def last_id(self) -> EventId | None:
        return self.history.last_id

    @property
    def has_hole(self) -> bool:
        """Whether something was seen that could not be taken, because what comes before it is missing."""
        return self._newest_seen is not None

    def join(self, viewer: Viewer, cursor: EventId | None, now: float) -> None:
        """Sends what the viewer has missed; from here on it gets what comes. Nothing can slip in between."""
        if missed := sse.replay(self.history.after(cursor)):
            viewer.send(sse.chunk(missed))
        if self.is_over:
            viewer.end()
            return
        if self.queue_position:
            viewer.send(sse.chunk(sse.encode_event(self._queued(self.queue_position, now))))
        self.viewers.add(viewer)
        self._targets = None

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        self._targets = None

    def take(self, payload: bytes, now: float) -> None:
        """Takes what came over the channel."""
        expected = self._next_delta
        if not payload.startswith(expected):
            self.accept(parse_message(payload), now)
            return
        # What `accept` would do, for what comes nearly always: the next delta of a run.
        data = payload[len(expected) :]
        self.history.add_delta(data)
        self._expect_next()
        self.last_event_at = now
        self.queue_position = None
        if self.viewers:
            self._broadcast(sse.delta_chunk(expected[: -len(_DELTA)], data), now)

    def accept(self, entry: Entry, now: float) -> None:
        """Takes an entry from the channel or the log: the next one is passed on, an old one dropped."""
        last = self.last_id
        if self.is_over or (last and entry.id <= last):
            return
        attempt, sequence = entry.id
        is_new_attempt = last is None or attempt != last.attempt
        if sequence != (1 if is_new_attempt or last is None else last.sequence + 1):
            self._newest_seen = max(self._newest_seen or entry.id, entry.id)
            return
        if is_new_attempt:
            self.history = History()
        self.history.add(entry)
        self._expect_next()
        self.last_event_at = now
        self.queue_position = None
        if self.viewers:
            self._broadcast(sse.chunk(sse.encode_entry(entry)), now)
        if entry.is_final:
            self.end()

    def _expect_next(self) -> None:
        history = self.history
        self._next_delta = b"%d-%d delta " % (history.attempt, history.last + 1) if history.ends_in_delta else _NOTHING
        if self._newest_seen is not None and self._newest_seen <= (history.attempt, history.last):
            self._newest_seen = None

    def catch_up(self, snapshot: Snapshot, now: float) -> None:
        """Takes what a reading of the log brought."""
        self.is_loaded = True
        self.is_waiting = not snapshot.is_running and not snapshot.status.is_final
        for entry in snapshot.entries:
            self.accept(entry, now)

    def expire(self, now: float) -> None:
        """The job's life ran out: those who watch are told, and it is kept nowhere."""
        if not self.is_over:
            event = Failed.of(ErrorCode.EXPIRED, int(now * 1000))
            self._broadcast(sse.chunk(sse.encode_event(event)), now)
            self.end()

    def wait_at(self, queue_position: QueuePosition | None, now: float) -> None:
        """Tells the viewers where the job waits, when that has changed."""
        if queue_position is None or self.is_over:
            self.queue_position = None
        elif queue_position != self.queue_position:
            self.queue_position = queue_position
            self._broadcast(sse.chunk(sse.encode_event(self._queued(queue_position, now))), now)

    def keep_alive(self, now: float) -> None:
        self._broadcast(sse.KEEP_ALIVE, now)

    def end(self) -> None:
        self.is_over = True
        self._next_delta = _NOTHING
        viewers, self.viewers, self._targets = self.viewers, set(), ()
        for viewer in viewers:
            viewer.end()

    def _broadcast(self, chunk: bytes, now: float) -> None:
        self.last_sent_at = now
        if self._targets is None:
            self._targets = tuple(self.viewers)
        for viewer in self._targets:
            viewer.send(chunk)

    @staticmethod
    def _queued(queue_position: QueuePosition, now: float) -> Queued:
        return Queued(position=queue_position.position, workers=queue_position.workers, timestamp=int(now * 1000))

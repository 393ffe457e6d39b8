"""Defines the hub, which keeps the feeds of a process up to date over one pub/sub connection.

Order is what makes it exact. To join: subscribe and wait for Redis's acknowledgement, read the log, then go live and
ignore what was seen already. Late joins, reconnects, holes in the sequence and idle feeds are served by the same steps.
"""

import logging
import random
import time
from collections.abc import Callable

import gevent
from gevent.lock import BoundedSemaphore
from redis.exceptions import RedisError, TimeoutError

from api.delivery import sse
from api.delivery.channel import Channel
from api.delivery.feed import Feed, QueuePosition
from api.delivery.periodic import every
from api.delivery.viewer import Viewer
from shared.state import keys
from shared.state.event_log import Entry, EventId, Snapshot, parse_message
from shared.state.job_store import JobStore
from shared.state.outages import log_failure
from shared.state.queue_view import poll_queue
from shared.telemetry.metrics import api_metrics

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT_SECONDS = 3.0
POLL_SECONDS = 1.0
RECONNECT_MS = (500, 3000)
UNWATCHED_SECONDS, FORGET_PAUSE_SECONDS = 3.0, 0.5
"""A job that is not to be kept is deleted once it has had no viewers for this long: a client or a process whose
connection breaks just when the job ends comes back within that time."""
FORGET_ATTEMPTS = 40
QUIET_SECONDS = 2.0
"""A job without events for this long may be waiting in the queue for another attempt."""
READS_AT_ONCE = 16
OBSERVE_SECONDS = 0.1
"""Of events closer together only one is measured. To parse one and to write a histogram, which is in a file that
processes share, takes longer than to pass several on: a hundred a second took a quarter of the time of 1,000 events."""


NO_EVENT = EventId(0, 0)
"""An id that comes before every event."""


class Hub:
    """Keeps the feeds of all jobs that are watched over this process."""

    def __init__(self, store: JobStore, channel: Channel[Feed], keepalive_seconds: float) -> None:
        self._store = store
        self._keepalive_seconds = keepalive_seconds
        self._feeds: dict[str, Feed] = {}
        self._channel = channel
        self._loading: dict[str, BoundedSemaphore] = {}
        self._reading = BoundedSemaphore(READS_AT_ONCE)
        self._being_read: set[Feed] = set()
        self._timers: list[gevent.Greenlet[..., None]] = []
        self._observed_at = 0.0
        self.is_draining = False

    def start_draining(self) -> list[Viewer]:
        """Returns the viewers whose streams have to end. Streams that are opened from now on end at once."""
        self.is_draining = True
        return [viewer for feed in self._feeds.values() for viewer in feed.viewers]

    @staticmethod
    def end_stream(viewer: Viewer) -> None:
        """Ends a stream whose job goes on. The client reconnects with its cursor, to another process."""
        viewer.send(sse.chunk(sse.retry(random.randint(*RECONNECT_MS)) + b"\n"))  # noqa: S311
        viewer.end()

    def stop(self) -> None:
        """Stops the background work of the hub."""
        gevent.killall(self._timers)
        self._timers = []
        self._channel.stop()

    def open(self, job_id: str, read: Callable[[bool], Snapshot]) -> tuple[Feed, Snapshot]:
        """Returns the job's feed, up to date and live, and the job as it was read. `close` must be called later.

        `read` reads the job with its whole log or, if its argument is True, without. If it raises, no feed is open.
        Raises redis.RedisError when Redis is away.
        """
        self._start()
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = Feed(job_id)
            self._channel.subscribe(keys.channel(job_id), feed)
        feed.users += 1
        try:
            if not self._channel.wait_subscribed(keys.channel(job_id), SUBSCRIBE_TIMEOUT_SECONDS):
                raise TimeoutError("Redis did not acknowledge the subscription")
            return feed, self._refresh_if_behind(feed, read) if feed.is_loaded else self._load(feed, read)
        except BaseException:
            self.close(feed)
            raise

    def close(self, feed: Feed) -> None:
        """Releases the feed. When its last user has done so, it is removed."""
        feed.users -= 1
        if feed.users == 0:
            del self._feeds[feed.job_id]
            self._loading.pop(feed.job_id, None)
            self._channel.unsubscribe(keys.channel(feed.job_id))
            if feed.is_over and self._store.keeps_no_answers:
                gevent.spawn(self._forget, feed.job_id)

    def _forget(self, job_id: str) -> None:
        """Deletes the job once all processes have closed their feeds. If they do not in time, the job expires."""
        try:
            unwatched_seconds = 0.0
            for _ in range(FORGET_ATTEMPTS):
                gevent.sleep(FORGET_PAUSE_SECONDS)
                is_watched = self._store.is_watched(job_id)
                unwatched_seconds = 0.0 if is_watched else unwatched_seconds + FORGET_PAUSE_SECONDS
                if unwatched_seconds >= UNWATCHED_SECONDS:
                    self._store.forget(job_id)
                    return
        except RedisError as error:
            # The job is left to expire.
            log_failure(f"deleting the finished job {job_id}", error, "so it is kept until it expires")

    def _start(self) -> None:
        if not self._timers:
            self._channel.start(self._on_message, self._on_subscribed)
            self._timers = [
                every(POLL_SECONDS, self._poll_all, "reading the positions of waiting jobs"),
                every(min(1.0, self._keepalive_seconds / 4), self._keep_alive, "sending keep-alives to viewers"),
            ]

    def _refresh_if_behind(self, feed: Feed, read: Callable[[bool], Snapshot]) -> Snapshot:
        """Returns the head of a job that has a feed, after updating the feed if it is behind.

        A client that comes from another process may have seen more than this process has.
        """
        before, was_over = feed.last_id or NO_EVENT, feed.is_over
        head = read(True)
        feed.lost_up_to = head.lost_up_to  # another process may have recorded it
        last = head.last_id or NO_EVENT
        if last < before or (was_over and not head.status.is_final):
            feed.mark_rewound()
        if feed.is_rewound or (not feed.is_over and last > (feed.last_id or NO_EVENT)):
            self._read(feed)
        return head

    def _load(self, feed: Feed, read: Callable[[bool], Snapshot]) -> Snapshot:
        # Of the viewers that join at the same time only one reads the log, which may be long.
        with self._loading.setdefault(feed.job_id, BoundedSemaphore()):
            if not feed.is_loaded:
                connects = self._channel.connects
                snapshot = read(False)
                feed.catch_up(snapshot)
                # Messages that came while the log was read may have left a hole, or may have been lost.
                if feed.has_hole or self._channel.connects != connects:
                    self._read(feed)
                if feed.is_waiting:
                    self._poll_queue([feed])
                return snapshot
        return self._refresh_if_behind(feed, read)

    def _on_message(self, feed: Feed, payload: bytes) -> None:
        now = time.monotonic()
        feed.accept(payload, now)
        if now - self._observed_at > OBSERVE_SECONDS:
            self._observed_at = now
            self._observe(parse_message(payload))
        # While the log is read for the first time, that reader fills the hole.
        if feed.is_rewound or (feed.has_hole and feed.is_loaded):
            self._read_soon(feed)

    @staticmethod
    def _observe(entry: Entry) -> None:
        if (happened_at := entry.timestamp_ms) is not None:
            # Clocks of two hosts may differ, so the difference may be negative; it counts as 0.
            api_metrics().publish_seconds.observe(max(0.0, time.time() - happened_at / 1000))

    def _on_subscribed(self, feed: Feed) -> None:
        # The first time, the viewer that joins reads the log; after a reconnect it is read here.
        if feed.is_loaded:
            self._read_soon(feed)

    def _read_soon(self, feed: Feed) -> None:
        if feed not in self._being_read:
            self._being_read.add(feed)
            # Pool.spawn waits if the pool is full, but the reader of the channel must never wait.
            gevent.spawn(self._read_in_turn, feed)

    def _read_in_turn(self, feed: Feed) -> None:
        with self._reading:
            self._being_read.discard(feed)
            try:
                self._read(feed)
            except RedisError as error:
                # The next keep-alive tries again.
                log_failure(f"reading the log of job {feed.job_id}", error, "and is tried again in some seconds")

    def _read(self, feed: Feed) -> None:
        """Reads what the feed has missed, until nothing is missing."""
        while True:
            was_hole, before, history = feed.has_hole, feed.last_id, feed.history
            latest = history.latest if before else None
            snapshot = self._store.read(feed.job_id, _before(before))
            if snapshot is None:
                feed.is_loaded = True
                feed.expire()
                return
            if feed.history is not history:
                continue  # another attempt has begun in the meantime
            if feed.is_rewound or (before and latest and not _continues(snapshot, before, latest)):
                self._start_over(feed)
                continue
            feed.catch_up(snapshot)
            is_further = feed.last_id != before
            if was_hole and is_further:
                api_metrics().holes_filled.inc()
            # Messages that came while the log was read may have left another hole.
            if not (feed.has_hole and is_further):
                return

    def _start_over(self, feed: Feed) -> None:
        """Ends the streams of a job of whose log Redis has lost a part: clients may show events that no longer exist.

        Raises redis.RedisError, in which case nothing has changed.
        """
        history = feed.history
        if history.last_id:
            # This comes first: a client that reconnects, to any process, must not continue from an event that was lost.
            self._store.note_rewind(feed.job_id, history.last_id)
        if feed.history is not history:
            return  # another attempt has begun meanwhile, of which clients show nothing yet
        viewers = feed.start_over()
        fields = {"job_id": feed.job_id, "viewers": len(viewers)}
        log.warning("Redis has lost events of a job; its viewers have to reconnect and start over", extra=fields)
        for viewer in viewers:
            viewer.send(sse.chunk(sse.FORGET_CURSOR))
            self.end_stream(viewer)

    def _poll_all(self) -> None:
        """Reads the positions of all jobs that may be waiting in the queue."""
        # The gauge is a file, so it is set here and not with every stream that opens or closes.
        api_metrics().open_streams.set(sum(feed.users for feed in self._feeds.values()))
        quiet_since = time.monotonic() - QUIET_SECONDS
        self._poll_queue(
            [
                feed
                for feed in self._feeds.values()
                if feed.is_loaded and not feed.is_over and (not feed.last_id or feed.last_event_at < quiet_since)
            ]
        )

    def _poll_queue(self, feeds: list[Feed]) -> None:
        """Sends the viewers of waiting jobs their position, and those of expired jobs an error event."""
        waiting = {feed.job_id: feed for feed in feeds if not feed.is_over}
        if not waiting:
            return
        seen = poll_queue(self._store.redis, self._store.queue.key, waiting)
        for job_id, feed in waiting.items():
            position = seen.positions.get(job_id)
            if job_id not in seen.existing:
                feed.expire()
            else:
                feed.wait_at(QueuePosition(position, seen.workers) if position else None)

    def _keep_alive(self) -> None:
        due = time.monotonic() - self._keepalive_seconds
        for feed in list(self._feeds.values()):
            if feed.is_loaded and not feed.is_over and feed.last_sent_at <= due:
                feed.keep_alive()
                # If a PUBLISH was lost, even that of the final event, viewers get the event after this time.
                self._read_soon(feed)


def _before(event_id: EventId | None) -> EventId | None:
    """Returns the cursor from which reading begins with this event."""
    return EventId(event_id.attempt, event_id.sequence - 1) if event_id and event_id.sequence > 1 else None


def _continues(snapshot: Snapshot, last: EventId, latest: tuple[str, bytes]) -> bool:
    """Returns whether the log continues the one that was passed on, whose last event had this name and data."""
    if snapshot.last_id is None or snapshot.last_id < last:
        return False
    if snapshot.attempt > last.attempt:
        return True
    same = next((entry for entry in snapshot.entries if entry.id == last), None)
    return same is not None and (same.name, sse.escape_line_ends(same.data)) == latest

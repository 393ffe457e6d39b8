"""The hub: the feeds of a process, over one pub/sub connection for all their viewers.

Order is what makes it exact. Joining: subscribe and wait for Redis's acknowledgement, read the log, then go live,
dropping what has been seen. The same reading serves a late join, a reconnect, a hole in the sequence and an idle feed.
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
from api.delivery.viewer import Viewer
from shared.state import keys
from shared.state.event_log import Entry, Snapshot, parse_message
from shared.state.job_store import JobStore
from shared.state.queue_view import poll_queue
from shared.telemetry.metrics import api_metrics

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT_SECONDS = 3.0
POLL_SECONDS = 1.0
COME_BACK_MS = (500, 3000)
FORGET_ATTEMPTS, FORGET_SECONDS = 20, 0.1
"""Our own unsubscription travels on another connection, and may arrive after we ask who is subscribed."""
QUIET_SECONDS = 2.0
"""A job that has said nothing for this long may be waiting for another attempt."""
READS_AT_ONCE = 16
OBSERVE_SECONDS = 0.01
"""Metrics are files shared by processes, and dear: of the events that come closer together one is looked at."""


class Hub:
    def __init__(self, store: JobStore, redis_url: str, keepalive_seconds: float) -> None:
        self._store = store
        self._keepalive_seconds = keepalive_seconds
        self._feeds: dict[str, Feed] = {}
        self._channel: Channel[Feed] = Channel(redis_url, self._on_message, self._on_subscribed)
        self._loading: dict[str, BoundedSemaphore] = {}
        self._reading = BoundedSemaphore(READS_AT_ONCE)
        self._being_read: set[Feed] = set()
        self._timers: list[gevent.Greenlet[..., None]] = []
        self._observed_at = 0.0
        self.is_draining = False
        self.holes_filled = 0

    def start_draining(self) -> list[Viewer]:
        """Who has to be sent away; who joins from now on is so at once."""
        self.is_draining = True
        return [viewer for feed in self._feeds.values() for viewer in feed.viewers]

    @staticmethod
    def send_away(viewer: Viewer) -> None:
        """Ends a stream whose job goes on; the client comes back, elsewhere, with its cursor."""
        viewer.send(sse.chunk(sse.retry(random.randint(*COME_BACK_MS)) + b"\n"))  # noqa: S311
        viewer.end()

    def stop(self) -> None:
        gevent.killall(self._timers)
        self._timers = []
        self._channel.stop()

    def open(self, job_id: str, read: Callable[[bool], Snapshot]) -> tuple[Feed, Snapshot]:
        """The job's feed, up to date and live, and the job as it was read; `close` must follow.

        `read` reads the job: with its whole log, or given True, the head alone. Where it raises, nothing is open.
        Raises redis.RedisError when Redis is away.
        """
        self._start()
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = Feed(job_id, time.time())
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
        """One user less; with the last one the feed goes."""
        feed.users -= 1
        if feed.users == 0:
            del self._feeds[feed.job_id]
            self._loading.pop(feed.job_id, None)
            self._channel.unsubscribe(keys.channel(feed.job_id))
            if feed.is_over and self._store.keeps_no_answers:
                gevent.spawn(self._forget, feed.job_id)

    def _forget(self, job_id: str) -> None:
        """Deletes the job when the last process has let go of it: that one comes by here last."""
        try:
            for _ in range(FORGET_ATTEMPTS):
                if self._store.forget_if_unwatched(job_id):
                    return
                gevent.sleep(FORGET_SECONDS)
        except RedisError as error:
            log.warning("a finished job is left to expire: %s", type(error).__name__)

    def _start(self) -> None:
        if not self._timers:
            self._channel.start()
            self._timers = [gevent.spawn(self._poll_queue_continually), gevent.spawn(self._keep_alive_for_ever)]

    def _refresh_if_behind(self, feed: Feed, read: Callable[[bool], Snapshot]) -> Snapshot:
        """The head of a job whose feed is there. Whoever comes from another process may know more than this one."""
        head = read(True)
        if head.last_id is not None and not feed.is_over and (feed.last_id is None or head.last_id > feed.last_id):
            self._read(feed)
        return head

    def _load(self, feed: Feed, read: Callable[[bool], Snapshot]) -> Snapshot:
        # Of those who come together one reads the log; it may be long.
        with self._loading.setdefault(feed.job_id, BoundedSemaphore()):
            connects = self._channel.connects
            snapshot = read(feed.is_loaded)
            if not feed.is_loaded:
                feed.catch_up(snapshot, time.time())
                # What came over the channel while the log was read may have left a hole, or been lost with it.
                if feed.has_hole or self._channel.connects != connects:
                    self._read(feed)
                if feed.is_waiting:
                    self._poll_queue([feed])
            return snapshot

    def _on_message(self, feed: Feed, payload: bytes) -> None:
        now = time.time()
        feed.take(payload, now)
        if now - self._observed_at > OBSERVE_SECONDS:
            self._observe(parse_message(payload), now)
        # While it is first read, whoever reads it sees to the hole.
        if feed.has_hole and feed.is_loaded:
            self._read_soon(feed)

    def _observe(self, entry: Entry, now: float) -> None:
        self._observed_at = now
        if (happened_at := entry.timestamp_ms) is not None:
            # Clocks of two hosts may differ: nothing arrives before it was sent.
            api_metrics().publish_seconds.observe(max(0.0, time.time() - happened_at / 1000))

    def _on_subscribed(self, feed: Feed) -> None:
        # The first time the joiner reads; after a reconnect nobody else would.
        if feed.is_loaded:
            self._read_soon(feed)

    def _read_soon(self, feed: Feed) -> None:
        if feed not in self._being_read:
            self._being_read.add(feed)
            # Not Pool.spawn: that waits for a place, and the reader of the channel must never wait.
            gevent.spawn(self._read_in_turn, feed)

    def _read_in_turn(self, feed: Feed) -> None:
        with self._reading:
            self._being_read.discard(feed)
            try:
                self._read(feed)
            except RedisError as error:
                log.warning("reading the log failed, the next keep-alive tries again: %s", type(error).__name__)

    def _read(self, feed: Feed) -> None:
        """Reads what the feed has missed, until nothing is missing."""
        while True:
            was_hole, before = feed.has_hole, feed.last_id
            snapshot = self._store.read(feed.job_id, before)
            if snapshot is None:
                feed.is_loaded = True
                feed.expire(time.time())
                return
            feed.catch_up(snapshot, time.time())
            is_further = feed.last_id != before
            if was_hole and is_further:
                self.holes_filled += 1
                api_metrics().holes_filled.inc()
            # What came over the channel while the log was read may have left another hole.
            if not (feed.has_hole and is_further):
                return

    def _poll_queue_continually(self) -> None:
        while True:
            gevent.sleep(POLL_SECONDS)
            quiet_since = time.time() - QUIET_SECONDS
            feeds = [
                feed
                for feed in self._feeds.values()
                if feed.is_loaded and not feed.is_over and (not feed.last_id or feed.last_event_at < quiet_since)
            ]
            try:
                # Not with every stream that comes and goes: the gauge is a file.
                api_metrics().open_streams.set(sum(feed.users for feed in self._feeds.values()))
                self._poll_queue(feeds)
            except RedisError as error:
                log.warning("looking at the queue failed: %s", type(error).__name__)
            except Exception:
                log.exception("looking at the queue failed")

    def _poll_queue(self, feeds: list[Feed]) -> None:
        """Tells the viewers of waiting jobs where they wait, and those of expired ones that it is over."""
        waiting = {feed.job_id: feed for feed in feeds if not feed.is_over}
        if not waiting:
            return
        seen = poll_queue(self._store.redis, self._store.queue.key, waiting)
        now = time.time()
        for job_id, feed in waiting.items():
            position = seen.positions.get(job_id)
            if job_id not in seen.existing:
                feed.expire(now)
            else:
                feed.wait_at(QueuePosition(position, seen.workers) if position else None, now)

    def _keep_alive_for_ever(self) -> None:
        while True:
            gevent.sleep(min(1.0, self._keepalive_seconds / 4))
            due = time.time() - self._keepalive_seconds
            for feed in list(self._feeds.values()):
                if feed.is_loaded and not feed.is_over and feed.last_sent_at <= due:
                    feed.keep_alive(time.time())
                    # A PUBLISH that got lost, the final one included, costs this long and no more.
                    self._read_soon(feed)

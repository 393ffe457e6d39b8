"""The process's one pub/sub connection, which tells when it was cut.

redis-py's PubSub resubscribes silently; we have to know, because what was published meanwhile is only in the log.
redis-py makes the connection; what comes over it is read from the socket in one piece and parsed by hiredis, at a
fraction of the cost of asking redis-py for each message.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
import hiredis
from gevent.event import Event as Signal
from gevent.lock import RLock
from redis.connection import Connection, parse_url
from redis.exceptions import ConnectionError, RedisError

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 9.0
SILENCE_SECONDS = 8.0
"""Silence for this long means that the connection is dead: a PING goes out more than twice as often."""
PING_SECONDS = 3.0
READ_BYTES = 65_536
RECONNECT_SECONDS = 0.5


class _Subscription(Generic[T]):
    __slots__ = ("is_there", "listener")

    def __init__(self, listener: T) -> None:
        self.listener = listener
        self.is_there = Signal()


class Channel(Generic[T]):
    """Subscriptions over one connection that comes back by itself, each for one listener.

    `on_message(listener, payload)` and `on_subscribed(listener)` are called from the reader and must not wait.
    `on_subscribed` comes for every subscription after every reconnect.
    """

    def __init__(self, url: str, on_message: Callable[[T, bytes], None], on_subscribed: Callable[[T], None]) -> None:
        self._url = url
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._wanted: dict[bytes, _Subscription[T]] = {}
        self._connection: Any = None
        self._heard_at = 0.0
        self._sending = RLock()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        if not self._greenlets:
            self._greenlets = [gevent.spawn(self._read_for_ever), gevent.spawn(self._ping_for_ever)]

    def stop(self) -> None:
        gevent.killall(self._greenlets)
        self._greenlets = []
        self._disconnect()

    def subscribe(self, name: str, listener: T) -> None:
        self._wanted[name.encode()] = _Subscription(listener)
        self._send("SUBSCRIBE", name)

    def wait_subscribed(self, name: str, timeout_seconds: float) -> bool:
        """Waits for Redis's acknowledgement; False when it does not come."""
        return bool(self._wanted[name.encode()].is_there.wait(timeout_seconds))

    def unsubscribe(self, name: str) -> None:
        if self._wanted.pop(name.encode(), None):
            self._send("UNSUBSCRIBE", name)

    def _send(self, *command: str | bytes) -> None:
        with self._sending:
            if self._connection is not None:
                try:
                    self._connection.send_command(*command, check_health=False)
                except (RedisError, OSError):
                    # The reader notices, reconnects, and subscribes to all that is wanted.
                    self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _read_for_ever(self) -> None:
        while True:
            try:
                self._read(self._connect())
            except (RedisError, OSError) as error:
                log.warning("the pub/sub connection was lost, reconnecting: %s", type(error).__name__)
            except Exception:
                log.exception("the pub/sub reader failed, reconnecting")
            self._disconnect()
            gevent.sleep(RECONNECT_SECONDS)

    def _connect(self) -> Any:
        """The new connection's socket, with every channel asked for again."""
        options = parse_url(self._url)
        kind = options.pop("connection_class", Connection)
        connection = kind(**options, protocol=2, socket_timeout=CONNECT_TIMEOUT_SECONDS)
        connection.connect()
        sock = connection._get_socket()
        # A time-out of the socket's would be a timer for each read; `_ping_for_ever` notices silence.
        sock.settimeout(None)
        for subscription in self._wanted.values():
            subscription.is_there.clear()
        self._heard_at = time.monotonic()
        self._connection = connection
        if self._wanted:
            self._send("SUBSCRIBE", *self._wanted)
        return sock

    def _read(self, sock: Any) -> None:
        """Takes what comes until the connection ends. Raises ConnectionError then, or OSError."""
        replies = hiredis.Reader()
        while received := sock.recv(READ_BYTES):
            self._heard_at = time.monotonic()
            replies.feed(received)
            while (reply := replies.gets()) is not False:
                self._take(reply)
        raise ConnectionError("closed by Redis")

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.HiredisError):
            raise ConnectionError(str(reply))
        subscription = self._wanted.get(reply[1])
        if subscription is None:
            return
        if reply[0] == b"message":
            self._on_message(subscription.listener, reply[2])
        elif reply[0] == b"subscribe":
            subscription.is_there.set()
            self._on_subscribed(subscription.listener)

    def _ping_for_ever(self) -> None:
        while True:
            gevent.sleep(PING_SECONDS)
            if time.monotonic() - self._heard_at > SILENCE_SECONDS:
                self._disconnect()
            if gevent.with_timeout(PING_SECONDS, self._ping, timeout_value=False) is False:
                # Somebody waits for a full socket, and lets go of it when that is closed.
                self._disconnect()

    def _ping(self) -> None:
        self._send("PING")

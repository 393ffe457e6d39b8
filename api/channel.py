"""The process's one pub/sub connection, which tells when it was cut.

redis-py's PubSub resubscribes silently; we have to know, because what was published meanwhile is only in the log.
"""

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event as Signal
from gevent.lock import RLock
from redis.connection import Connection, parse_url
from redis.exceptions import ConnectionError, RedisError

log = logging.getLogger(__name__)

READ_TIMEOUT_SECONDS = 9.0
"""Silence for this long means that the connection is dead: a PING goes out three times as often."""
PING_SECONDS = 3.0
RECONNECT_SECONDS = 0.5


class Channel:
    """Subscriptions over one connection that comes back by itself.

    `on_message(channel, payload)` and `on_subscribed(channel)` are called from the reader and must not wait.
    `on_subscribed` comes for every channel after every reconnect.
    """

    def __init__(
        self, url: str, on_message: Callable[[str, bytes], None], on_subscribed: Callable[[str], None]
    ) -> None:
        self._url = url
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._wanted: dict[str, Signal] = {}
        self._connection: Any = None
        self._sending = RLock()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        if not self._greenlets:
            self._greenlets = [gevent.spawn(self._read_for_ever), gevent.spawn(self._ping_for_ever)]

    def stop(self) -> None:
        gevent.killall(self._greenlets)
        self._greenlets = []
        self._disconnect()

    def subscribe(self, name: str) -> None:
        self._wanted[name] = Signal()
        self._send("SUBSCRIBE", name)

    def wait_subscribed(self, name: str, timeout_seconds: float) -> bool:
        """Waits for Redis's acknowledgement; False when it does not come."""
        return bool(self._wanted[name].wait(timeout_seconds))

    def unsubscribe(self, name: str) -> None:
        if self._wanted.pop(name, None):
            self._send("UNSUBSCRIBE", name)

    def _send(self, *command: str) -> None:
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
                self._connect()
                while True:
                    self._take(self._connection)
            except (RedisError, OSError) as error:
                log.warning("the pub/sub connection was lost, reconnecting: %s", type(error).__name__)
            except Exception:
                log.exception("the pub/sub reader failed, reconnecting")
            self._disconnect()
            gevent.sleep(RECONNECT_SECONDS)

    def _connect(self) -> None:
        options = parse_url(self._url)
        kind = options.pop("connection_class", Connection)
        connection = kind(**options, protocol=2, socket_timeout=READ_TIMEOUT_SECONDS)
        connection.connect()
        for signal in self._wanted.values():
            signal.clear()
        self._connection = connection
        if self._wanted:
            self._send("SUBSCRIBE", *self._wanted)

    def _take(self, connection: Any) -> None:
        if connection is None:
            raise ConnectionError("sending failed")
        match connection.read_response():
            case [b"message", name, payload]:
                self._on_message(name.decode(), payload)
            case [b"subscribe", name, _]:
                channel = name.decode()
                if signal := self._wanted.get(channel):
                    signal.set()
                    self._on_subscribed(channel)

    def _ping_for_ever(self) -> None:
        while True:
            gevent.sleep(PING_SECONDS)
            self._send("PING")

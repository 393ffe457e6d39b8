"""Implements the process's one pub/sub connection, which reports each interruption.

redis-py's PubSub resubscribes silently, but the hub has to know, because messages that were published meanwhile are
only in the log. redis-py opens the connection. Its data is read by the event loop in one piece and parsed by hiredis,
at a fraction of the cost of reading each message with redis-py.
"""

import logging
import time
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from ssl import SSLSocket, SSLWantReadError, SSLWantWriteError
from typing import Any, Generic, TypeVar

import gevent
import hiredis
from gevent.event import Event as Signal
from redis.exceptions import ConnectionError, RedisError

from api.delivery.periodic import every
from api.delivery.watchers import READ, WRITE, close
from shared.state.connections import open_connection
from shared.state.outages import outages

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 9.0
SILENCE_SECONDS = 8.0
"""A connection without data for this long counts as dead. A PING is sent more than twice in this time."""
PING_SECONDS = 3.0
READ_BYTES = 65_536
RECONNECT_SECONDS = 0.5


class _Subscription(Generic[T]):
    """Holds a subscription and whether Redis has acknowledged it."""

    __slots__ = ("is_there", "listener")

    def __init__(self, listener: T) -> None:
        self.listener = listener
        self.is_there = Signal()


class Channel(Generic[T]):
    """Manages subscriptions, each for one listener, over one connection that reconnects by itself.

    Once it is started, `on_message(listener, payload)` is called for each message and `on_subscribed(listener)` for
    each subscription that Redis has acknowledged, again after every reconnect. Both are called from the event loop
    and must not wait.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._on_message: Callable[[T, bytes], None]
        self._on_subscribed: Callable[[T], None]
        self._wanted: dict[bytes, _Subscription[T]] = {}
        self._connection: Any = None
        self._sock: Any = None
        self._readable: Any = None
        self._writable: Any = None
        self._unsent = bytearray()
        self._replies = hiredis.Reader()
        self._to_send: list[tuple[str, str | bytes]] = []
        self._lost = Signal()
        self._last_message_at = 0.0
        self.connects = 0
        """How often the connection has been opened."""
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self, on_message: Callable[[T, bytes], None], on_subscribed: Callable[[T], None]) -> None:
        """Connects, and reconnects until `stop`."""
        if not self._greenlets:
            self._on_message, self._on_subscribed = on_message, on_subscribed
            self._greenlets = [
                every(0, self._stay_connected, "keeping the connection for events"),
                every(PING_SECONDS, self._ping, "pinging Redis on the connection for events"),
            ]

    def stop(self) -> None:
        """Closes the connection for good."""
        gevent.killall(self._greenlets)
        self._greenlets = []
        self._disconnect()

    def subscribe(self, name: str, listener: T) -> None:
        """Subscribes to a channel for the listener, without waiting for Redis."""
        self._wanted[name.encode()] = _Subscription(listener)
        self._send_soon("SUBSCRIBE", name)

    def wait_subscribed(self, name: str, timeout_seconds: float) -> bool:
        """Waits for Redis's acknowledgement. Returns False when it does not come in time."""
        return bool(self._wanted[name.encode()].is_there.wait(timeout_seconds))

    def unsubscribe(self, name: str) -> None:
        """Ends the subscription to a channel."""
        if self._wanted.pop(name.encode(), None):
            self._send_soon("UNSUBSCRIBE", name)

    def _send_soon(self, command: str, name: str) -> None:
        """Sends the commands of one turn of the event loop together."""
        if not self._to_send:
            gevent.get_hub().loop.run_callback(self._send_all)
        self._to_send.append((command, name))

    def _send_all(self) -> None:
        # The order matters: a channel may be unsubscribed and subscribed again.
        to_send, self._to_send = self._to_send, []
        for command, some in groupby(to_send, key=itemgetter(0)):
            self._send(command, *(name for _, name in some))

    def _send(self, *command: str | bytes) -> None:
        if self._sock is not None:
            self._unsent += hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub says one part
            self._flush()

    def _flush(self) -> None:
        """Sends what the socket takes, and the rest later. A Redis that reads nothing is found by its silence."""
        try:
            while self._unsent and (sent := self._sock.send(bytes(self._unsent))):
                del self._unsent[:sent]
        except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
            pass
        except OSError as error:
            self._lose(error)
            return
        if not self._unsent:
            close(self._writable)
            self._writable = None
        elif self._writable is None:
            self._writable = gevent.get_hub().loop.io(self._sock.fileno(), WRITE)
            self._writable.start(self._flush)

    def _stay_connected(self) -> None:
        """Connects, and returns some time after the connection was lost."""
        self._lost.clear()
        try:
            self._connect()
        except (RedisError, OSError) as error:
            self._lose(error)
        except Exception as error:
            log.exception("opening the connection to Redis for events failed and is tried again")
            self._lose(error)
        self._lost.wait()
        gevent.sleep(RECONNECT_SECONDS)

    def _connect(self) -> None:
        connection = open_connection(self._url, timeout_seconds=CONNECT_TIMEOUT_SECONDS)
        self._connection, self._sock = connection, connection._get_socket()
        self._sock.settimeout(0)
        self._replies = hiredis.Reader()
        self._readable = gevent.get_hub().loop.io(self._sock.fileno(), READ)
        self._readable.start(self._on_readable)
        self._last_message_at = time.monotonic()
        self.connects += 1
        outages.over()
        if self._wanted:
            self._send("SUBSCRIBE", *self._wanted)

    def _lose(self, error: Exception) -> None:
        outages.note(error)
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._sock = self._connection, None, None
        close(self._readable, self._writable)
        self._readable = self._writable = None
        self._unsent.clear()
        for subscription in self._wanted.values():
            subscription.is_there.clear()
        if connection is not None:
            connection.disconnect()
        self._lost.set()

    def _on_readable(self) -> None:
        """Reads what has arrived. It runs in the event loop, so no greenlet has to be woken."""
        try:
            while self._sock is not None:
                received = self._sock.recv(READ_BYTES)
                if not received:
                    raise ConnectionError("Redis has closed the connection for events")
                self._last_message_at = time.monotonic()
                self._replies.feed(received)
                while (reply := self._replies.gets()) is not False:
                    self._take(reply)
                # TLS may have buffered data that the watcher does not see.
                if len(received) < READ_BYTES and not isinstance(self._sock, SSLSocket):
                    return
        except (BlockingIOError, SSLWantReadError):
            return
        except (RedisError, OSError) as error:
            self._lose(error)
        except Exception as error:
            log.exception("reading events from Redis failed; the connection is opened again")
            self._lose(error)

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.HiredisError):
            raise ConnectionError(str(reply))
        subscription = self._wanted.get(reply[1])
        if subscription is None:
            return
        if reply[0] == b"message":
            try:
                self._on_message(subscription.listener, reply[2])
            except Exception:
                # One malformed message must not close the connection that all jobs share.
                log.exception(
                    "an event from Redis could not be passed on; its viewers get it when the log is read again"
                )
        elif reply[0] == b"subscribe":
            subscription.is_there.set()
            self._on_subscribed(subscription.listener)

    def _ping(self) -> None:
        if self._sock is not None and time.monotonic() - self._last_message_at > SILENCE_SECONDS:
            self._lose(TimeoutError("Redis is silent"))
        elif self._sock is not None and self._connection.is_outdated:
            self._lose(ConnectionError("the primary was demoted"))
        self._send("PING")

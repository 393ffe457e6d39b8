"""Defines viewers: a viewer is one open stream. There are two ways for its bytes to reach the client."""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

import gevent
from gevent.queue import Queue

from api.delivery import sse
from api.delivery.watchers import READ, WRITE, close

log = logging.getLogger(__name__)

MAX_BACKLOG_BYTES = 2_000_000
"""A client this far behind is disconnected and reconnects with its cursor. It is more than the replay of a log."""
STUCK_SECONDS = 30.0
"""A client that has read nothing of its backlog for this long, or up to twice as long, is disconnected as well."""
LAST_CHUNK = b"0\r\n\r\n"
_WITH_WHAT_FOLLOWS = getattr(socket, "MSG_MORE", 0)
"""Sends the last bytes in one packet with the end of the connection, so that the client knows at once that the
connection serves no more requests."""


class Viewer(Protocol):
    """Receives the chunks of a feed. Its methods never wait."""

    def send(self, chunk: bytes) -> None:
        """Sends a chunk. What the client does not take at once is kept for it."""

    def end(self) -> None:
        """Ends the stream once all bytes are written. No more bytes may be sent."""
        ...


class StreamState(Enum):
    """Lists the states of a stream. The last three are final."""

    OPEN = "open"
    ENDING = "ending"
    """No more bytes will come, but a part of the backlog is still to be written."""
    ENDED = "ended"
    """The client was sent all bytes, including the end of the response."""
    LEFT = "left"
    """The client has disconnected."""
    CUT = "cut"
    """The client was disconnected because it read too slowly."""

    @property
    def is_over(self) -> bool:
        """Returns whether the stream has ended in any way."""
        return self not in (StreamState.OPEN, StreamState.ENDING)


class SocketViewer:
    """Writes directly to the client's socket, after the request that began the stream is over.

    Without a queue and a wake-up for each event this costs half as much as handing each event to a greenlet. Without a
    greenlet, its stack and its request it takes a tenth of the memory.
    """

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_fd",
        "_is_chunked",
        "_readable",
        "_seen_stuck_at",
        "_sock",
        "_stuck",
        "_writable",
        "_written",
        "state",
        "when_over",
    )

    def __init__(self, fd: int, *, is_chunked: bool = True) -> None:
        self._fd = fd
        self._is_chunked = is_chunked
        """Whether the client supports chunked encoding; HTTP/1.0 clients get the plain bytes."""
        self._sock: Any = None
        self._backlog: deque[memoryview] | None = None
        self._backlog_bytes = 0
        self._written = 0
        self._seen_stuck_at = -1
        self._readable: Any = None
        self._writable: Any = None
        self._stuck: Any = None
        self.state = StreamState.OPEN
        self.when_over: list[Callable[[], object]] = []
        """The calls to make in this order, by a greenlet, once the stream has ended for any reason."""

    def start(self, sock: Any) -> None:
        """Takes over the socket from the request that ends now. It is a non-blocking socket of the standard library.

        None means that it is closed already; its descriptor may belong to another connection by now.
        """
        self._sock = sock
        if sock is None:
            self.state = StreamState.LEFT
        if self.state.is_over:
            self._release()
            return
        self._readable = gevent.get_hub().loop.io(self._fd, READ)
        self._readable.start(self._on_readable)
        if self._backlog:
            self._watch_backlog()
        if self.state is StreamState.ENDING:
            self._write_end()

    def send(self, chunk: bytes) -> None:
        if self.state is StreamState.OPEN:
            self._write(chunk if self._is_chunked else sse.unchunk(chunk))

    def end(self) -> None:
        if self.state is StreamState.OPEN:
            self.state = StreamState.ENDING
            # Before `start` the request still owns the socket, and could not close it at once.
            if self._sock is not None:
                self._write_end()

    def _write_end(self) -> None:
        last = LAST_CHUNK if self._is_chunked else b""
        written = 0
        if last and not self._backlog:
            try:
                written = self._sock.send(last, _WITH_WHAT_FOLLOWS)
            except BlockingIOError:
                pass
            except OSError:
                self._finish(StreamState.LEFT)
                return
        if written < len(last):
            self._keep(memoryview(last)[written:])
        elif not self._backlog:
            self._finish(StreamState.ENDED)

    def _write(self, data: bytes) -> None:
        if self._backlog:
            self._keep(memoryview(data))
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self._finish(StreamState.LEFT)
            return
        if written < len(data):
            self._keep(memoryview(data)[written:])

    def _keep(self, data: memoryview) -> None:
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self._finish(StreamState.CUT)
        elif self._sock is not None and self._writable is None:
            self._watch_backlog()

    def _watch_backlog(self) -> None:
        loop = gevent.get_hub().loop
        self._writable = loop.io(self._fd, WRITE)
        self._writable.start(self._on_writable)
        self._stuck = loop.timer(STUCK_SECONDS, STUCK_SECONDS)
        self._stuck.start(self._cut_if_stuck)

    def _on_writable(self) -> None:
        while self._backlog:
            data = self._backlog[0]
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                return
            except OSError:
                self._finish(StreamState.LEFT)
                return
            self._written += written
            self._backlog_bytes -= written
            if written < len(data):
                self._backlog[0] = data[written:]
                return
            self._backlog.popleft()
        close(self._writable, self._stuck)
        self._writable = self._stuck = None
        if self.state is StreamState.ENDING:
            self._finish(StreamState.ENDED)

    def _cut_if_stuck(self) -> None:
        if self._written == self._seen_stuck_at:
            self._finish(StreamState.CUT)
        self._seen_stuck_at = self._written

    def _on_readable(self) -> None:
        try:
            is_gone = not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            is_gone = True
        if is_gone:
            self._finish(StreamState.LEFT)
        else:
            # Otherwise the watcher would call back again and again until the client's data is read.
            self._readable.stop()

    def _finish(self, state: StreamState) -> None:
        self.state = state
        # Before `start` the request still owns the socket; the stream is over when the request releases it.
        if self._sock is not None:
            self._release()

    def _release(self) -> None:
        if self._sock is not None:
            how = socket.SHUT_WR if self.state is StreamState.ENDED else socket.SHUT_RDWR
            with suppress(OSError):
                self._sock.shutdown(how)
        self._fd = -1
        self._backlog = None
        close(self._readable, self._writable, self._stuck)
        self._readable = self._writable = self._stuck = None
        callbacks, self.when_over = self.when_over, []
        if callbacks:
            gevent.spawn(_call_all, callbacks)


def _call_all(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("releasing what an ended stream held failed; its slot expires by itself")


class QueueViewer:
    """Passes bytes to a generator, where the server does not offer the socket: with HTTP/2 or a test client."""

    def __init__(self) -> None:
        self._pieces: Queue[bytes | None] = Queue()
        self._backlog_bytes = 0
        self.state = StreamState.OPEN

    def __iter__(self) -> Iterator[bytes]:
        while self.state is not StreamState.CUT and (data := self._pieces.get()) is not None:
            self._backlog_bytes -= len(data)
            yield data

    def send(self, chunk: bytes) -> None:
        if self.state is not StreamState.OPEN:
            return
        data = sse.unchunk(chunk)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self.state = StreamState.CUT
            self._pieces.put_nowait(None)
        else:
            self._pieces.put_nowait(data)

    def end(self) -> None:
        self.state = StreamState.ENDING
        self._pieces.put_nowait(None)

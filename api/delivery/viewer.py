"""A viewer: one open stream, and the ways its bytes reach the client."""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import gevent
from gevent.queue import Queue

from api.delivery import sse

log = logging.getLogger(__name__)

MAX_BACKLOG_BYTES = 2_000_000
"""A client this far behind is hung up on; it comes back with its cursor. More than the replay of a whole log."""
STUCK_SECONDS = 30.0
"""A client that has taken nothing of its backlog for this long, or twice that at most, is hung up on as well."""
READ, WRITE = 1, 2
LAST_CHUNK = b"0\r\n\r\n"


class Viewer(Protocol):
    """What a feed writes to. None of the methods ever waits."""

    def send(self, chunk: bytes) -> None: ...

    def end(self) -> None:
        """No more will come: let go of the request once all is written."""
        ...

    def cut(self) -> None:
        """Hang up at once."""
        ...


class SocketViewer:
    """Writes finished chunks straight to the client's socket. The request that began the stream is over by then.

    No queue and no wake-up an event: half the cost of handing each event to a greenlet. And no greenlet, with its
    stack and the request it would hold on to: a tenth of the memory.
    """

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_fd",
        "_is_broken",
        "_is_over",
        "_is_released",
        "_readable",
        "_seen_stuck_at",
        "_sock",
        "_stuck",
        "_writable",
        "_written",
        "is_ending",
        "was_cut",
        "when_over",
    )

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sock: Any = None
        self._backlog: deque[memoryview] | None = None
        self._backlog_bytes = 0
        self._written = 0
        self._seen_stuck_at = -1
        self._readable: Any = None
        self._writable: Any = None
        self._stuck: Any = None
        self._is_over = False
        self._is_broken = False
        self._is_released = False
        self.is_ending = False
        """No more will come, and that was our decision."""
        self.was_cut = False
        self.when_over: list[Callable[[], object]] = []
        """What is to be done once the stream has ended, whoever ended it: in this order, by a greenlet."""

    @property
    def is_watching(self) -> bool:
        """Whether the client's going away would still be noticed before the next write."""
        return self._readable is not None and bool(self._readable.active)

    @property
    def is_whole(self) -> bool:
        """Whether the client was sent all there was, the end of the response included: the connection is free."""
        return self._is_over and not self._is_broken

    def start(self, sock: Any) -> None:
        """Takes over the socket, one of the standard library's that does not block, from the request that ends now.

        None: it is closed already, and its number may be another's by now.
        """
        self._sock, self._is_released = sock, True
        if sock is None:
            self._is_over = self._is_broken = True
        if self._is_over:
            self._finish()
            return
        self._readable = gevent.get_hub().loop.io(self._fd, READ)
        self._watch()
        if self._backlog:
            self._watch_backlog()

    def send(self, chunk: bytes) -> None:
        if self._is_over or self.is_ending:
            return
        if self._backlog:
            self._keep(memoryview(chunk))
            return
        try:
            written = os.write(self._fd, chunk)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._hang_up()
                return
            written = 0
        if written < len(chunk):
            self._keep(memoryview(chunk)[written:])

    def end(self) -> None:
        if self.is_ending:
            return
        self.send(LAST_CHUNK)
        self.is_ending = True
        if not self._backlog:
            self._finish()

    def cut(self) -> None:
        self.was_cut = True
        self._hang_up()

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0

    def _keep(self, data: memoryview) -> None:
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self.cut()
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
            written = self._write(data)
            self._written += written
            self._backlog_bytes -= written
            if written < len(data):
                if not self._is_over:
                    self._backlog[0] = data[written:]
                return
            self._backlog.popleft()
        _close(self._writable, self._stuck)
        self._writable = self._stuck = None
        if self.is_ending:
            self._finish()

    def _cut_if_stuck(self) -> None:
        if self._written == self._seen_stuck_at:
            self.cut()
        self._seen_stuck_at = self._written

    def _watch(self) -> None:
        self._readable.start(self._on_readable)

    def _on_readable(self) -> None:
        # Level-triggered: bytes of a pipelined request would wake us for ever, so the first ones end the watch.
        self._readable.stop()
        try:
            is_gone = not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self._watch()
            return
        except OSError:
            is_gone = True
        if is_gone:
            self._hang_up()

    def _hang_up(self) -> None:
        self._is_broken = True
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        self._finish()

    def _finish(self) -> None:
        self._is_over = True
        if not self._is_released:
            return  # the request that is not over yet comes to it
        self._fd = -1
        self._backlog = None
        _close(self._readable, self._writable, self._stuck)
        self._readable = self._writable = self._stuck = None
        callbacks, self.when_over = self.when_over, []
        if callbacks:
            gevent.spawn(_call_all, callbacks)


def _close(*watchers: Any) -> None:
    for watcher in watchers:
        if watcher is not None:
            watcher.stop()
            watcher.close()


def _call_all(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("tidying up after a stream failed")


class QueueViewer:
    """Hands bytes to a generator, where no socket takes our chunks: TLS in process, HTTP/1.0, a test client."""

    def __init__(self) -> None:
        self._pieces: Queue[bytes | None] = Queue()
        self._backlog_bytes = 0
        self.is_ending = False
        self.was_cut = False

    def __iter__(self) -> Iterator[bytes]:
        while not self.was_cut and (data := self._pieces.get()) is not None:
            self._backlog_bytes -= len(data)
            yield data

    def send(self, chunk: bytes) -> None:
        data = sse.unchunk(chunk)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self.cut()
        elif not self.was_cut:
            self._pieces.put_nowait(data)

    def end(self) -> None:
        self.is_ending = True
        self._pieces.put_nowait(None)

    def cut(self) -> None:
        self.was_cut = True
        self._pieces.put_nowait(None)

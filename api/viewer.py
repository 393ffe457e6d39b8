"""A viewer: one open stream, and the ways its bytes reach the client."""

import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import gevent
from gevent.event import Event as Signal
from gevent.queue import Queue

from api import sse

MAX_BACKLOG_BYTES = 2_000_000
"""A client this far behind is hung up on; it comes back with its cursor. More than the replay of a whole log."""
STUCK_SECONDS = 30.0
"""A client that has taken nothing of its backlog for this long, or twice that at most, is hung up on as well."""
READ, WRITE = 1, 2


class Viewer(Protocol):
    """What a feed writes to. None of the methods ever waits."""

    def send(self, frame: bytes) -> None: ...

    def end(self) -> None:
        """No more will come: let go of the request once all is written."""
        ...

    def cut(self) -> None:
        """Hang up at once."""
        ...


class SocketViewer:
    """Writes straight to the client's socket; the request's greenlet is parked meanwhile.

    No queue and no wake-up an event: half the cost of handing each event to the greenlet.
    """

    def __init__(self, sock: socket.socket, *, is_chunked: bool) -> None:
        self._fd = sock.fileno()
        self._sock = sock
        self._is_chunked = is_chunked
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._written = 0
        self._is_watching = False
        self.is_ending = False
        """No more will come, and that was our decision."""
        self._done = Signal()
        self.was_cut = False
        loop = gevent.get_hub().loop
        self._readable = loop.io(self._fd, READ)
        self._writable = loop.io(self._fd, WRITE)

    @property
    def is_watching(self) -> bool:
        """Whether the client's going away would still be noticed before the next write."""
        return self._is_watching

    def wait(self) -> None:
        """Parks until the stream has ended, whoever ended it."""
        timeout = self._sock.gettimeout()
        self._sock.settimeout(0)  # the watchers run in the event loop, where nothing may wait
        self._watch()
        try:
            written = -1
            while not self._done.wait(STUCK_SECONDS):
                if self._backlog and self._written == written:
                    self.cut()
                written = self._written
        finally:
            self._sock.settimeout(timeout)
            for watcher in (self._readable, self._writable):
                watcher.stop()
                watcher.close()
            self._backlog.clear()

    def _watch(self) -> None:
        self._is_watching = True
        self._readable.start(self._on_readable)

    def send(self, frame: bytes) -> None:
        if self._done.is_set():
            return
        data = frame if self._is_chunked else sse.plain(frame)
        if self._backlog:
            self._keep(memoryview(data))
            return
        written = self._write(data)
        if written < len(data) and not self._done.is_set():
            self._keep(memoryview(data)[written:])
            self._writable.start(self._on_writable)

    def end(self) -> None:
        self.is_ending = True
        if not self._backlog:
            self._done.set()

    def cut(self) -> None:
        self.was_cut = True
        self._hang_up()

    def _keep(self, data: memoryview) -> None:
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self.cut()

    def _write(self, data: bytes | memoryview) -> int:
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0
        self._written += written
        return written

    def _on_writable(self) -> None:
        while self._backlog and not self._done.is_set():
            data = self._backlog[0]
            written = self._write(data)
            self._backlog_bytes -= written
            if written < len(data):
                self._backlog[0] = data[written:]
                return
            self._backlog.popleft()
        self._writable.stop()
        if self.is_ending:
            self._done.set()

    def _on_readable(self) -> None:
        # Level-triggered: bytes of a pipelined request would wake us for ever, so the first ones end the watch.
        self._readable.stop()
        self._is_watching = False
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
        # Without this the server would wait for a full socket when it writes the response's end.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._done.set()


class QueueViewer:
    """Hands frames to a generator, where there is no raw socket to write to (TLS in process, a test client)."""

    def __init__(self) -> None:
        self._frames: Queue[bytes | None] = Queue()
        self._backlog_bytes = 0
        self.is_ending = False
        self.was_cut = False

    def __iter__(self) -> Iterator[bytes]:
        while not self.was_cut and (data := self._frames.get()) is not None:
            self._backlog_bytes -= len(data)
            yield data

    def send(self, frame: bytes) -> None:
        plain = sse.plain(frame)
        self._backlog_bytes += len(plain)
        if self._backlog_bytes > MAX_BACKLOG_BYTES:
            self.cut()
        elif not self.was_cut:
            self._frames.put_nowait(plain)

    def end(self) -> None:
        self.is_ending = True
        self._frames.put_nowait(None)

    def cut(self) -> None:
        self.was_cut = True
        self._frames.put_nowait(None)

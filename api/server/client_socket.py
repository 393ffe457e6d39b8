"""Limits the time and the bytes of requests on a client's socket, so that slow clients cannot occupy it.

It is loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import errno
import socket
import time
from contextlib import suppress
from typing import Any

import gevent
import gevent.socket

from api.server.protocols import ServedStream

SEND_SECONDS = 60.0
"""A client has to read an answer in this time. Streams have limits of their own."""
MAX_REQUEST_BYTES = 256 * 1024
"""The most bytes of a request on the wire: the head, a body of 16 KiB and the framing of its chunks."""
QUICK_READS, READ_PAUSE_SECONDS = 16, 0.01
"""After this many reads of a request each further one pauses, so that a client that sends single bytes costs little."""
PEEK_BYTES, PEEK_PAUSE_SECONDS = 32, 0.02
LINGER_SECONDS, LINGER_BYTES = 1.0, 256 * 1024
"""A client that still sends has this long to read why it was refused, and may send this many bytes meanwhile."""


class ClientSocket(gevent.socket.socket):
    """Times a request from its first byte on, and counts its bytes; before that it may be idle."""

    __slots__ = (
        "_deadline",
        "_idle_seconds",
        "_reads",
        "_received",
        "_request_seconds",
        "is_probe",
        "is_too_large",
        "may_still_send",
        "timed_out",
        "viewer",
    )

    def __init__(self, sock: gevent.socket.socket, *, idle_seconds: float, request_seconds: float) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self._deadline: float | None = None
        self._reads = self._received = 0
        self.timed_out = False
        """The request did not arrive in time: the connection cannot be used again."""
        self.is_too_large = False
        """The request has more bytes than are read of any: the connection cannot be used again."""
        self.is_probe = False
        """The connection is beyond the limit and serves one request only, that of a probe."""
        self.may_still_send = False
        """The client has sent more than was read: closing has to wait until it has our answer."""
        self.viewer: ServedStream | None = None
        """The stream that has taken over the connection. What gunicorn would still write is discarded."""
        self.settimeout(SEND_SECONDS)

    def clear_deadline(self) -> None:
        """Resets the limits after an answer, since each request has its own time and bytes."""
        self._deadline = None
        self._reads = self._received = 0

    def recv(self, *args: Any) -> bytes:
        """Returns what has arrived; no bytes, as at the end, when the request's time or bytes are used up."""
        self._yield_to_others()
        seconds = self._idle_seconds if self._deadline is None else self._deadline - time.monotonic()
        if self.timed_out or seconds <= 0:
            return self._time_out()
        self.settimeout(seconds)
        try:
            received: bytes = super().recv(*args)
        except TimeoutError:
            return self._time_out()
        finally:
            self.settimeout(SEND_SECONDS)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._request_seconds
        self._received += len(received)
        if self._received > MAX_REQUEST_BYTES:
            self.is_too_large = True
            return b""
        return received

    def peek(self, seconds: float) -> bytes:
        """Returns the beginning of the request line, which stays to be read; what has come of it when time is up."""
        deadline, begun = time.monotonic() + seconds, b""
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.settimeout(left)
                begun = super().recv(PEEK_BYTES, socket.MSG_PEEK)
                # A client may send the line in pieces.
                if not begun or len(begun) == PEEK_BYTES or begun.count(b" ") > 1 or b"\n" in begun:
                    break
                gevent.sleep(PEEK_PAUSE_SECONDS)
        except OSError:
            return b""
        finally:
            self.settimeout(SEND_SECONDS)
        return begun

    def _yield_to_others(self) -> None:
        """Lets other greenlets run: otherwise a client that sends without a pause would occupy the whole process."""
        self._reads += 1
        if self._reads > 1:
            gevent.sleep(READ_PAUSE_SECONDS if self._reads > QUICK_READS else 0)

    def send(self, data: Any, flags: int = 0, **options: Any) -> int:
        try:
            return super().send(data, flags, **options)
        except TimeoutError:
            # gunicorn takes this for a client that has gone; a time-out it would report as an error.
            raise ConnectionResetError(errno.ECONNRESET, "the client takes nothing") from None

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.viewer is not None:
            return
        try:
            # This nearly always sends all of it. gevent's `sendall` would first ask for the size of the buffer.
            sent = self.send(data, flags)
            if sent < len(data):
                super().sendall(memoryview(data)[sent:], flags)
        except TimeoutError:
            # gunicorn takes this for a client that has gone; a time-out it would report as an error.
            raise ConnectionResetError(errno.ECONNRESET, "the client takes nothing") from None

    def close(self) -> None:
        if self.may_still_send or self._has_unread():
            self.may_still_send = False
            with suppress(OSError):
                self._linger()
        super().close()

    def _has_unread(self) -> bool:
        """Returns whether the client has sent data that was not read, such as a body without a length."""
        try:
            # gevent's own `recv` would wait.
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))  # type: ignore[attr-defined]
        except OSError:  # there is no data, or the connection is broken
            return False

    def _linger(self) -> None:
        """Reads the rest before it closes: otherwise a reset could discard our answer before the client reads it."""
        self.shutdown(socket.SHUT_WR)
        deadline, left = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        while left > 0 and (seconds := deadline - time.monotonic()) > 0:
            self.settimeout(seconds)
            received = super().recv(65_536)
            if not received:
                return
            left -= len(received)
            gevent.sleep(READ_PAUSE_SECONDS)

    def _time_out(self) -> bytes:
        self.timed_out = True
        return b""

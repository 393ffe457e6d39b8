"""A client's socket that nobody can hold for ever by being slow.

Loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import errno
import time
from typing import Any

import gevent.socket

from api.server.protocols import ServedStream

SEND_SECONDS = 60.0
"""An answer has to be taken in this time. Streams have their own bounds: they never wait."""


class ClientSocket(gevent.socket.socket):
    """Times a request from its first byte on; before that it may be idle."""

    __slots__ = ("_deadline", "_idle_seconds", "_request_seconds", "_unread", "listener", "timed_out", "viewer")

    def __init__(
        self, sock: gevent.socket.socket, *, idle_seconds: float, request_seconds: float, unread: bytes = b""
    ) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self._deadline: float | None = None
        self.timed_out = False
        """The request did not arrive in time: the connection cannot be used again."""
        self.listener: Any = None
        """The socket it came by."""
        self.viewer: ServedStream | None = None
        """Who writes to the connection from now on; what the server would still write is dropped."""
        self._unread = unread
        self.settimeout(SEND_SECONDS)

    def set_deadline(self, seconds: float) -> None:
        """What is still to be read has to come within this time."""
        self._deadline = time.monotonic() + seconds

    def clear_deadline(self) -> None:
        """The request has been answered; the next one has its own time."""
        self._deadline = None

    def recv(self, *args: Any) -> bytes:
        """What has come; nothing, as if the client had hung up, when its time is over."""
        now = time.monotonic()
        if self._unread:
            unread, self._unread = self._unread, b""
            self._deadline = now + self._request_seconds
            self.settimeout(SEND_SECONDS)
            return unread
        seconds = self._idle_seconds if self._deadline is None else self._deadline - now
        if self.timed_out or seconds <= 0:
            return self._too_late()
        self.settimeout(seconds)
        try:
            received: bytes = super().recv(*args)
        except TimeoutError:
            return self._too_late()
        finally:
            self.settimeout(SEND_SECONDS)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._request_seconds
        return received

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.viewer is not None:
            return
        try:
            # Nearly always the whole of it. gevent's `sendall` first asks the system how much it would take.
            sent = self.send(data, flags)
            if sent < len(data):
                super().sendall(memoryview(data)[sent:], flags)
        except TimeoutError:
            # gunicorn takes this for a client that has gone; a time-out it would report as an error.
            raise ConnectionResetError(errno.ECONNRESET, "the client takes nothing") from None

    def _too_late(self) -> bytes:
        self.timed_out = True
        return b""

"""Limits the threads that a small HTTP server uses for its connections."""

import socket
import threading
from collections import OrderedDict
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any

MAX_CONNECTIONS = 16
"""Where all are taken, the oldest connection is closed: a scrape takes less than a second."""


class BoundedThreads(ThreadingMixIn):
    """Limits the threads of a standard library server, which would start one for each connection. It is a mixin."""

    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: OrderedDict[socket.socket, None] = OrderedDict()
        self._lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            while len(self._open) >= MAX_CONNECTIONS:
                oldest, _ = self._open.popitem(last=False)
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing, because a client that hangs up is no error."""

"""Provides a TCP proxy between the browser and the server, to simulate a network that fails."""

import socket
import threading
from contextlib import suppress

from tests.stack import reset

PIECE_BYTES = 65536


class Proxy:
    """Forwards TCP connections to a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._is_down = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Closes all connections, and resets every new one, until `mend` is called."""
        self._is_down = True
        with self._lock:
            broken, self._open = self._open, set()
        for connection in broken:
            # This wakes the thread that reads from the connection.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            reset(connection)

    def mend(self) -> None:
        self._is_down = False

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                reset(client)
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            mine = {source, sink} & self._open
            self._open -= mine
        for end in mine:
            end.close()

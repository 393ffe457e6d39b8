"""Provides a TCP relay with a fixed address, behind which a test can exchange the server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

# With this SO_LINGER value (on, 0 s), closing a socket sends a reset (RST).
RESET = struct.pack("ii", 1, 0)


class _Link:
    """Represents one connection of a client and the matching connection to the target."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.is_silent = False

    def abort(self, *, is_reset: bool = False) -> None:
        for writer in self.writers:
            if is_reset:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if not self.is_silent:
                    writer.write(data)
                    await writer.drain()
        if not self.is_silent:
            writer.close()


class Relay:
    """Listens on a port of its own and forwards connections to a target, which may change for new connections."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._links: set[_Link] = set()
        self._cuts = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def point_to(self, port: int) -> None:
        """Forwards new connections to another server. Open connections keep the server that they have."""
        self._target_port = port

    def cut(self, *, is_reset: bool = False) -> None:
        """Aborts all open connections, by a reset (RST) if `is_reset`."""
        self._call(lambda: self._cut(is_reset=is_reset))

    def silence(self) -> None:
        """Drops all data on open connections, and also their ends, like a firewall that has lost their state."""
        self._call(self._silence_all)

    def forget(self) -> None:
        """Aborts the connections that were silenced."""
        self._call(lambda: self._abort_all(are_silent=True))

    def close(self) -> None:
        self._call(self._server.close)
        self.cut()
        # The tasks of the aborted connections need a moment to end before the loop stops.
        self._run(asyncio.sleep(0.05))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _cut(self, *, is_reset: bool) -> None:
        self._cuts += 1
        self._abort_all(is_reset=is_reset)

    def _abort_all(self, *, are_silent: bool | None = None, is_reset: bool = False) -> None:
        for link in list(self._links):
            if are_silent in (None, link.is_silent):
                link.abort(is_reset=is_reset)
                self._links.discard(link)

    def _silence_all(self) -> None:
        for link in self._links:
            link.is_silent = True

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _call(self, action: Callable[[], object]) -> None:
        done: Future[object] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(action()))
        done.result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts = self._cuts
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, other_writer)
        if self._cuts != cuts:  # a cut while the target was being reached: it counts for this connection too
            link.abort()
            return
        self._links.add(link)
        await asyncio.gather(link.pass_on(reader, other_writer), link.pass_on(other_reader, writer))
        if not link.is_silent:
            self._links.discard(link)

"""Runs the sandbox: `python -m worker.sandbox --port 8100`."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.sandbox.app import create_app
from worker.sandbox.options import read_options


class _Connection(H11Protocol):
    """Gives the application access to its transport, for a fault that resets the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Prints a line when it listens, and closes open streams when it is asked to stop."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"sandbox: listening on http://{self.config.host}:{port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            cast(_Connection, connection).transport.abort()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replaces uvicorn's method, which raises the signal again at the end; here the exit code is 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def main() -> None:
    """Serves until a signal asks it to stop."""
    options = read_options()
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="sandbox: %(levelname)s %(message)s")
    config = uvicorn.Config(
        create_app(options),
        host=options.host,
        port=options.port,
        http=cast(type[asyncio.Protocol], _Connection),
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
    )
    server = _Server(config)
    server.run()
    sys.exit(0 if server.started else 1)


if __name__ == "__main__":
    main()

"""Provides a key server on loopback whose keys and failures a test controls."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class KeySource:
    keys: list[dict[str, Any]] = field(default_factory=list)
    is_up: bool = True
    fetches: int = 0
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    """Writes another response instead of the keys, if it is set."""
    user_agents: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve_keys() -> Iterator[KeySource]:
    source = KeySource()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            source.fetches += 1
            source.user_agents.append(self.headers["User-Agent"])
            if source.answer:
                with suppress(OSError):  # the client has disconnected
                    source.answer(self)
                return
            self.send_response(200 if source.is_up else 500)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": source.keys}).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        source.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield source
        finally:
            server.shutdown()
            thread.join()

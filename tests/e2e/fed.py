"""Feeds events to the page, for states that the real system reaches only slowly or by chance."""

import json
import re
import socket
import threading
from contextlib import suppress
from typing import Any

from playwright.sync_api import Route

from tests.e2e.system import Visitor

STREAM = re.compile("/suggest-feature/[^/]+$")
NOW = 1_800_000_000_000
SUGGESTION = {
    "title": "Undo",
    "rationale": "People err.",
    "description": "A way back.",
    "implementationConsiderations": ["Delay it"],
    "files": [{"path": "app/pay ment.ts", "why": "holds the button"}],
}
USAGE = {"inputTokens": 1, "outputTokens": 2, "cacheReadTokens": 3, "cacheCreationTokens": 4, "totalTokens": 10}
COMPLETE = {
    "suggestions": [SUGGESTION] * 3,
    "context": None,
    "isPartial": True,
    "tokenUsage": USAGE,
    "model": "claude-sonnet-5-5",
    "executionTimeMs": 61_000,
    "retryCount": 0,
}
STARTED = {"attempt": 1, "model": "claude-sonnet-5-5", "agent": "default", "cause": None, "turnsKept": 0}

FedEvent = tuple[str, dict[str, Any]]
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


def feed(visitor: Visitor, *events: FedEvent, is_broken_off: bool = False) -> None:
    """Makes the page read only these events. Then the stream stays open, or ends at once if `is_broken_off`."""
    body = "retry: 600000\n\n" + "".join(_encoded(events))
    if is_broken_off:
        server = None
    else:
        server = _OpenStream(_HEAD + body)
        visitor.context.on("close", lambda _: server.close())

    def answer(route: Route) -> None:
        if "event-stream" not in route.request.headers["accept"]:
            route.continue_()
        elif server is None:
            route.fulfill(content_type="text/event-stream", body=body)
        else:
            route.continue_(url=server.url)

    visitor.page.route(STREAM, answer)


def _encoded(events: tuple[FedEvent, ...]) -> list[str]:
    timed: list[FedEvent] = [("connected", {"jobId": "x", "status": "in_progress"}), *events]
    return [
        f"id: 1-{number}\nevent: {name}\ndata: {json.dumps({'timestamp': NOW, **data})}\n\n"
        for number, (name, data) in enumerate(timed)
    ]


class _OpenStream:
    """Answers every connection with the same bytes and leaves it open."""

    def __init__(self, answer: str) -> None:
        self._answer = answer.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                connection.recv(65536)
                connection.sendall(self._answer)

    def close(self) -> None:
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def options(visitor: Visitor, *, limits: dict[str, Any] | None = None, **changes: Any) -> None:
    """Changes the options and limits that the page reads from the server."""

    def answer(route: Route) -> None:
        response = route.fetch()
        told = response.json()
        route.fulfill(response=response, json={**told, **changes, "limits": {**told["limits"], **(limits or {})}})

    visitor.page.route(re.compile("/options$"), answer)

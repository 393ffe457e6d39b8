"""What was asked of the sandbox, for tests to look at."""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

_KEPT_REQUESTS = 1_000
_KEPT_BYTES = 64 * 1024 * 1024  # of request bodies; a tool result alone may have 100 KB


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(eq=False)  # two exchanges are never the same one
class Exchange:
    """One `POST /v1/messages` and how it went."""

    id: str = field(default_factory=lambda: f"msg_sandbox_{uuid4().hex[:20]}")
    received_at: int = field(default_factory=now_ms)
    raw_body: bytes = b""
    page: str | None = None
    model: str | None = None
    stream: bool = False
    first_text_at: int | None = None
    ended_at: int | None = None
    outcome: str = "running"

    def end(self, outcome: str) -> None:
        """Note how it ended; the first word stands."""
        if self.ended_at is None:
            self.outcome, self.ended_at = outcome, now_ms()

    def as_json(self) -> dict[str, Any]:
        """The exchange as `GET /sandbox/requests` shows it."""
        try:
            body = json.loads(self.raw_body)
        except ValueError:
            body = None
        return {
            "id": self.id,
            "receivedAt": self.received_at,
            "page": self.page,
            "model": self.model,
            "stream": self.stream,
            "firstTextAt": self.first_text_at,
            "endedAt": self.ended_at,
            "outcome": self.outcome,
            "body": body,
        }


class Journal:
    """The last exchanges, oldest first, bounded in number and in bytes."""

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque()
        self._bytes = 0

    def begin(self) -> Exchange:
        """Note that a request has arrived."""
        exchange = Exchange()
        self.exchanges.append(exchange)
        self._trim()
        return exchange

    def keep_body(self, exchange: Exchange, raw_body: bytes) -> None:
        """Note the body of a request, which arrives after its headers."""
        if exchange in self.exchanges:
            exchange.raw_body = raw_body
            self._bytes += len(raw_body)
            self._trim()

    def clear(self) -> None:
        """Forget all of them; those that are running go on unseen."""
        self.exchanges.clear()
        self._bytes = 0

    def _trim(self) -> None:
        while len(self.exchanges) > _KEPT_REQUESTS or self._bytes > _KEPT_BYTES:
            self._bytes -= len(self.exchanges.popleft().raw_body)

"""Records the requests to the sandbox, for tests to read."""

import json
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from worker.sandbox.wire import ApiError

_KEPT_REQUESTS = 1_000
_KEPT_BYTES = 64 * 1024 * 1024  # the limit of all request bodies; a tool result alone may have 100 KB


def now_us() -> int:
    """Returns the microseconds since the Unix epoch."""
    return time.time_ns() // 1000


@dataclass(eq=False)  # exchanges are compared by identity
class Exchange:
    """Records one `POST /v1/messages` and its outcome."""

    id: str = field(default_factory=lambda: f"msg_sandbox_{uuid4().hex[:20]}")
    received_us: int = field(default_factory=now_us)
    raw_body: bytes = b""
    page: str | None = None
    model: str | None = None
    stream: bool = False
    turn: int | None = None
    usage: dict[str, int] = field(default_factory=dict)
    refusal: ApiError | None = None
    shows_limits: bool = True
    ended_us: int | None = None
    outcome: str = "running"
    text: str = ""
    chars: int = 1
    _written_us: "array[int]" = field(default_factory=lambda: array("q"))

    def write_text(self, text: str, chars: int) -> None:
        """Records the text that is about to be written, in pieces of `chars` characters."""
        self.text, self.chars = text, chars

    def wrote_piece(self) -> None:
        """Records that the next piece is being sent."""
        self._written_us.append(now_us())

    def refuse(self, error: ApiError, outcome: str) -> None:
        """Records that the request got an error instead of a response."""
        self.refusal = error
        self.end(f"failed:{outcome}")

    def end(self, outcome: str) -> None:
        """Records how the exchange ended. Only the first call counts."""
        if self.ended_us is None:
            self.outcome, self.ended_us = outcome, now_us()

    def pieces(self) -> list[tuple[int, str]]:
        """Returns the pieces of text written so far, each with when, in microseconds since the epoch."""
        cut = range(0, len(self.text), self.chars)
        return [(at, self.text[i : i + self.chars]) for at, i in zip(self._written_us, cut, strict=False)]

    def as_json(self) -> dict[str, Any]:
        """Returns the exchange as `GET /sandbox/requests` shows it: `…At` in milliseconds, `…Us` in microseconds."""
        first_text_us = self._written_us[0] if self.text and self._written_us else None
        try:
            body = json.loads(self.raw_body)
        except ValueError:
            body = None
        return {
            "id": self.id,
            "receivedAt": _milliseconds(self.received_us),
            "receivedUs": self.received_us,
            "page": self.page,
            "model": self.model,
            "stream": self.stream,
            "turn": self.turn,
            "isRefused": self.refusal is not None,
            "status": self.refusal.status if self.refusal else 200,
            "retryAfter": self.refusal.retry_after_seconds if self.refusal else None,
            "inputTokens": self.usage.get("input_tokens", 0),
            "cacheCreationTokens": self.usage.get("cache_creation_input_tokens", 0),
            "cacheReadTokens": self.usage.get("cache_read_input_tokens", 0),
            "firstTextAt": _milliseconds(first_text_us),
            "endedAt": _milliseconds(self.ended_us),
            "endedUs": self.ended_us,
            "outcome": self.outcome,
            "body": body,
        }


def _milliseconds(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds // 1000


class Journal:
    """Holds the latest exchanges, oldest first, limited in number and in bytes."""

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque()
        self._bytes = 0

    def begin(self) -> Exchange:
        """Records that a request has arrived."""
        exchange = Exchange()
        self.exchanges.append(exchange)
        self._trim()
        return exchange

    def keep_body(self, exchange: Exchange, raw_body: bytes) -> None:
        """Records the body of a request, which arrives after its headers."""
        if exchange in self.exchanges:
            exchange.raw_body = raw_body
            self._bytes += len(raw_body)
            self._trim()

    def find(self, exchange_id: str) -> Exchange | None:
        """Returns the exchange with this id; None where it has been dropped."""
        return next((exchange for exchange in self.exchanges if exchange.id == exchange_id), None)

    def clear(self) -> None:
        """Drops all exchanges. Those under way go on without being recorded."""
        self.exchanges.clear()
        self._bytes = 0

    def _trim(self) -> None:
        while len(self.exchanges) > _KEPT_REQUESTS or self._bytes > _KEPT_BYTES:
            self._bytes -= len(self.exchanges.popleft().raw_body)

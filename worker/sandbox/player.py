"""Sends a turn at the pace of a model: as a stream, or as one message after the same time."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from uuid import uuid4

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from worker.sandbox.faults import Picks
from worker.sandbox.habits import dress, dress_all, ping
from worker.sandbox.journal import Exchange
from worker.sandbox.script import share_before
from worker.sandbox.wire import ApiError, Frame, RequestRefused, Style, Text, Turn, event, frames, message

# The share of the response after which it goes wrong.
_BREAKS_AT = {
    "error event": 1 / 3,
    "filtered answer": 1 / 3,
    "broken stream": 1 / 2,
    "early end": 1 / 2,
    "stall": 1 / 2,
}
_MOST_CHARS_WHEN_BREAKING = 100  # some text comes before the fault, however large the pieces are


@dataclass(frozen=True)
class Reply:
    """Holds one turn of the model and how it is to be sent."""

    exchange: Exchange
    turn: Turn
    usage: dict[str, int]
    picks: Picks
    chars: int
    interval: float
    habits: frozenset[str]
    headers: dict[str, str]
    ping_seconds: float
    ponder_seconds: float

    @property
    def fault(self) -> str | None:
        """Returns the fault in the middle of the response, if there is one."""
        return self.picks["stream"].word if "stream" in self.picks else None

    def breaks_at(self, count: int) -> int | None:
        """Returns the number of the frame, out of `count`, before which the fault happens."""
        if self.fault is None:
            return None
        share = share_before(self.turn, 4) if self.fault == "stall after three" else _BREAKS_AT[self.fault]
        return int(count * share)

    def all_frames(self) -> list[Frame]:
        """Returns the whole stream, as the gateway in between writes it."""
        chars = min(self.chars, _MOST_CHARS_WHEN_BREAKING) if self.fault else self.chars
        style = Style(chars, "whole input" in self.habits, "no usage" in self.habits)
        written = frames(self.exchange.id, self.exchange.model or "", self.turn, self.usage, style)
        text = next((block.text for block in self.turn.blocks if isinstance(block, Text)), "")
        self.exchange.write_text(text, chars)
        return dress_all(written, self.habits)


def new_request_id() -> str:
    """Returns a new id for the `request-id` header of a response."""
    return f"req_sandbox_{uuid4().hex[:20]}"


def error_response(error: ApiError, more_headers: dict[str, str] | None = None) -> Response:
    """Returns the response with which the API, or a proxy before it, answers an error instead of a stream."""
    if not error.type:
        return HTMLResponse(error.message, error.status)
    request_id = new_request_id()
    headers = {"request-id": request_id, **(more_headers or {})}
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    return JSONResponse(error.body(request_id), error.status, headers)


async def stream(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the turn as server-sent events."""
    exchange, written = reply.exchange, reply.all_frames()
    breaks_at = reply.breaks_at(len(written))
    given = {"request-id": new_request_id(), **reply.headers}
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    headers += [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    clock = _Clock(reply, send)
    for number, frame in enumerate(written):
        if number == breaks_at:
            return await _break(reply, scope, send)
        await clock.tick()
        if number == 1 and reply.ponder_seconds:
            await clock.wait(reply.ponder_seconds)
        if frame.is_text:
            exchange.wrote_piece()
        is_last = number == len(written) - 1
        if is_last:  # recorded before it is sent, so that a client that has read it finds it in the journal
            exchange.end(_outcome(reply))
        if frame.data:
            await clock.send(frame.data, more_body=not is_last)


async def respond(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the turn as one message, after the time that a stream would take."""
    exchange, fault = reply.exchange, reply.picks.get("stream")
    ticks = len(reply.all_frames())
    seconds = (reply.breaks_at(ticks) or ticks) * reply.interval + reply.ponder_seconds
    await asyncio.sleep(seconds)
    if fault and fault.error:
        exchange.end(f"failed:{fault.word}")
        raise RequestRefused(fault.error)
    if fault:
        return await _break(reply, scope, send)
    exchange.end(_outcome(reply))
    whole = message(exchange.id, exchange.model or "", reply.turn, reply.usage)
    headers = {"request-id": new_request_id(), **reply.headers}
    await JSONResponse(whole, headers=headers)(scope, receive, send)


async def _break(reply: Reply, scope: Scope, send: Send) -> None:
    fault = reply.picks["stream"]
    if fault.word in ("stall", "stall after three"):
        await asyncio.Event().wait()
    reply.exchange.end(f"failed:{fault.word}")
    if fault.error:
        last = dress(event(fault.error.body(new_request_id())), reply.habits)
        await send({"type": "http.response.body", "body": last, "more_body": False})
    elif fault.word == "early end":
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        transport: asyncio.Transport = scope["state"]["transport"]
        # With a linger time of 0 the kernel resets the connection instead of closing it in order.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await asyncio.Event().wait()  # this waits until the server has noticed and cancels this task


class _Clock:
    """Ticks at absolute times, so that a delay does not slow down the whole answer. It sends pings in a long pause."""

    def __init__(self, reply: Reply, send: Send) -> None:
        self._interval = reply.interval
        self._ping_seconds = reply.ping_seconds
        self._ping = ping(reply.habits)
        self._send = send
        self._now = asyncio.get_running_loop().time
        self._next = self._sent_at = self._now()

    async def tick(self) -> None:
        """Waits for the next tick; the first comes at once."""
        await self._until(self._next)
        self._next += self._interval

    async def wait(self, seconds: float) -> None:
        """Waits this long, and delays later ticks by the same time."""
        self._next = self._now() + seconds
        await self.tick()

    async def send(self, data: bytes, *, more_body: bool = True) -> None:
        """Sends a part of the body."""
        self._sent_at = self._now()
        await self._send({"type": "http.response.body", "body": data, "more_body": more_body})

    async def _until(self, then: float) -> None:
        while then - self._now() > 0 and then > (ping_at := self._sent_at + self._ping_seconds):
            await asyncio.sleep(max(0.0, ping_at - self._now()))
            if self._ping:
                await self.send(self._ping)
            else:
                self._sent_at = self._now()
        await asyncio.sleep(max(0.0, then - self._now()))  # even a pause of 0 lets other tasks run


def _outcome(reply: Reply) -> str:
    return f"failed:{reply.picks['ending'].word}" if "ending" in reply.picks else "completed"

"""Plays a turn at its pace: as a stream, or as one message that takes as long."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from worker.sandbox.faults import Picks
from worker.sandbox.journal import Exchange
from worker.sandbox.wire import PING, ApiError, RequestRefused, Text, Turn, event, frames, message

_PING_SECONDS = 3.0
_BREAKS_AT = {"error event": 1 / 3, "broken stream": 1 / 2, "stall": 1 / 2}  # share of the answer
_MOST_CHARS_WHEN_BREAKING = 100  # however coarse the pieces, something comes before the fault


@dataclass(frozen=True)
class Reply:
    """One model turn, ready to be played."""

    exchange: Exchange
    turn: Turn
    usage: dict[str, int]
    picks: Picks
    chars: int
    interval: float


def new_request_id() -> str:
    """What the `request-id` header of a response names."""
    return f"req_sandbox_{uuid4().hex[:20]}"


def error_response(error: ApiError) -> Response:
    """The error as the API answers it before a stream."""
    request_id = new_request_id()
    headers = {"request-id": request_id}
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    return JSONResponse(error.body(request_id), error.status, headers)


async def stream(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Write the turn as server-sent events."""
    exchange, fault = reply.exchange, reply.picks.get("stream")
    chars = min(reply.chars, _MOST_CHARS_WHEN_BREAKING) if fault else reply.chars
    written = frames(exchange.id, exchange.model or "", reply.turn, reply.usage, chars)
    breaks_at = int(len(written) * _BREAKS_AT[fault.word]) if fault else None
    if reply.turn.blocks and isinstance(reply.turn.blocks[0], Text):
        exchange.write_text(reply.turn.blocks[0].text, chars)
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    headers.append((b"request-id", new_request_id().encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    clock = _Clock(reply.interval)
    for number, frame in enumerate(written):
        if number == breaks_at:
            return await _break(reply, scope, send)
        await clock.tick(send)
        exchange.wrote_piece()
        is_last = number == len(written) - 1
        if is_last:  # before it is sent, so that who has read it finds it written down
            exchange.end(_outcome(reply))
        await send({"type": "http.response.body", "body": frame, "more_body": not is_last})


async def respond(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """The same without a stream: it takes as long, and arrives in one piece."""
    exchange, fault = reply.exchange, reply.picks.get("stream")
    ticks = len(frames(exchange.id, exchange.model or "", reply.turn, reply.usage, reply.chars))
    await asyncio.sleep(ticks * reply.interval * (_BREAKS_AT[fault.word] if fault else 1))
    if fault and fault.error:
        exchange.end(f"failed:{fault.word}")
        raise RequestRefused(fault.error)
    if fault:
        return await _break(reply, scope, send)
    exchange.end(_outcome(reply))
    whole = message(exchange.id, exchange.model or "", reply.turn, reply.usage)
    await JSONResponse(whole, headers={"request-id": new_request_id()})(scope, receive, send)


async def _break(reply: Reply, scope: Scope, send: Send) -> None:
    fault = reply.picks["stream"]
    if fault.word == "stall":
        await asyncio.Event().wait()
    reply.exchange.end(f"failed:{fault.word}")
    if fault.error:
        last = event(fault.error.body(new_request_id()))
        await send({"type": "http.response.body", "body": last, "more_body": False})
    else:
        transport: asyncio.Transport = scope["state"]["transport"]
        # Lingering for no time makes the kernel send a reset instead of an orderly end.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await asyncio.Event().wait()  # until the server has noticed and cancels this task


class _Clock:
    """Ticks on absolute times, so that a busy moment does not slow the whole answer down."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._now = asyncio.get_running_loop().time
        self._next = self._now()

    async def tick(self, send: Send) -> None:
        """Wait for the next tick; the first comes at once. In a long silence, ping."""
        while (delay := self._next - self._now()) > _PING_SECONDS:
            await asyncio.sleep(_PING_SECONDS)
            await send({"type": "http.response.body", "body": PING, "more_body": True})
        await asyncio.sleep(max(0.0, delay))  # even 0 lets the others run
        self._next += self._interval


def _outcome(reply: Reply) -> str:
    return f"failed:{reply.picks['ending'].word}" if "ending" in reply.picks else "completed"

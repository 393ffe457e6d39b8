"""`POST /v1/messages`: from a request to the turn that answers it."""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from worker.sandbox import script
from worker.sandbox.checks import check_body, check_key
from worker.sandbox.faults import Faults, Stage
from worker.sandbox.journal import Exchange, Journal
from worker.sandbox.player import Reply, error_response, respond, stream
from worker.sandbox.task import read_task
from worker.sandbox.usage import PromptCache
from worker.sandbox.wire import ApiError, RequestRefused

_LARGEST_BODY = 32 * 1024 * 1024  # as the real API
_TOO_LARGE = ApiError(413, "request_too_large", "Request exceeds the maximum size")
_LONG_FACTOR = 20  # how many times more characters an interval a `long` answer has


@dataclass(frozen=True)
class Pace:
    """How fast answers are written, and how long they are (none: as long as they come)."""

    chars: int = 10
    interval_ms: float = 50
    answer_chars: int | None = None


class Messages:
    """`POST /v1/messages`, as a plain ASGI application: a stream costs one task, and one write a tick."""

    def __init__(self, pace: Pace, journal: Journal) -> None:
        self._pace = pace
        self._journal = journal
        self._faults = Faults()
        self._cache = PromptCache()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and notice at once when the client goes."""
        exchange = self._journal.begin()
        try:
            raw_body = await _read(receive)
        except ConnectionError:
            return exchange.end("closed")
        except RequestRefused as refused:
            exchange.end(f"failed:{refused.error.type}")
            return await error_response(refused.error)(scope, receive, send)
        self._journal.keep_body(exchange, raw_body)
        answering = asyncio.create_task(self._answer(exchange, raw_body, scope, receive, send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                exchange.end("closed")
                answering.cancel()
            await asyncio.wait({answering})
        finally:
            gone.cancel()
        if not answering.cancelled():
            answering.result()

    async def _answer(self, exchange: Exchange, raw_body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_key(dict(scope["headers"]))
            reply = self._prepare(exchange, raw_body)
            silent = reply.picks.get("request")
            if silent:
                await asyncio.Event().wait()
            await (stream if exchange.stream else respond)(reply, scope, receive, send)
        except RequestRefused as refused:
            exchange.end(f"failed:{refused.error.type}")
            await error_response(refused.error)(scope, receive, send)
        except Exception:
            exchange.end("failed:api_error")
            raise

    def _prepare(self, exchange: Exchange, raw_body: bytes) -> Reply:
        body = check_body(raw_body)
        exchange.model, exchange.stream = body["model"], bool(body.get("stream"))
        task = read_task(body)
        exchange.page = task.page
        stages: set[Stage] = {"request", "pace"} if task.is_first_turn else {"pace"}
        picks = self._faults.pick(task.page, task.digest, stages)
        if "request" in picks and picks["request"].error:
            exchange.end(f"failed:{picks['request'].word}")
            raise RequestRefused(picks["request"].error)
        turn = script.next_look(task, body)
        if turn is None and "request" not in picks:
            picks |= self._faults.pick(task.page, task.digest, {"stream", "ending", "text"})
        turn = turn or script.answer(task, picks, body["max_tokens"], self._pace.answer_chars)
        pace = picks["pace"].word if "pace" in picks else None
        is_long = "text" in picks and picks["text"].word == "long"
        return Reply(
            exchange,
            turn,
            self._cache.usage(body),
            picks,
            chars=self._pace.chars * (_LONG_FACTOR if is_long else 1),
            interval=self._pace.interval_ms / 1000 * {"slow": 10, "fast": 0}.get(pace or "", 1),
        )


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise ConnectionError
        body += part.get("body", b"")
        if len(body) > _LARGEST_BODY:
            raise RequestRefused(_TOO_LARGE)
        if not part.get("more_body"):
            return bytes(body)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

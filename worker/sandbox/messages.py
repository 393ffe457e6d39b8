"""Answers `POST /v1/messages`: it finds the turn that answers a request."""

import asyncio

from starlette.types import Receive, Scope, Send

from worker.sandbox import script, thinking
from worker.sandbox.checks import check_body, check_key
from worker.sandbox.faults import Faults, Picks, Scenario, Stage, scenario_of
from worker.sandbox.journal import Exchange, Journal
from worker.sandbox.limits import Limits
from worker.sandbox.options import Options
from worker.sandbox.player import Reply, error_response, respond, stream
from worker.sandbox.task import Task, read_task
from worker.sandbox.usage import PromptCache
from worker.sandbox.wire import ApiError, JsonObject, RequestRefused, Text, Turn

_LARGEST_BODY = 32 * 1024 * 1024  # the same limit as in the real API
_TOO_LARGE = ApiError(413, "request_too_large", "Request exceeds the maximum size")
_LONG_FACTOR = 20  # how many times more characters a `long` answer has in each interval
_PONDER_PINGS = 5
_REFUSED_FIELDS = {"no caching": "cache_control", "no output config": "output_config"}


class Messages:
    """Answers `POST /v1/messages` as a plain ASGI application: a stream costs one task, and one write for each tick."""

    def __init__(self, options: Options, journal: Journal, limits: Limits) -> None:
        self._options = options
        self._journal = journal
        self._limits = limits
        self._faults = Faults()
        self._cache = PromptCache()
        self._usual = Scenario(tool_turns=options.tool_turns or None, habits=frozenset(options.habits))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request, and notices at once when the client disconnects."""
        exchange = self._journal.begin()
        try:
            raw_body = await _read(receive)
        except ConnectionError:
            return exchange.end("closed")
        except RequestRefused as refused:
            exchange.refuse(refused.error, refused.error.type)
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
            if "request" in reply.picks:  # it is silent
                await asyncio.Event().wait()
            await asyncio.sleep(self._options.turn_seconds)
            await (stream if exchange.stream else respond)(reply, scope, receive, send)
        except RequestRefused as refused:
            exchange.refuse(refused.error, refused.error.type)
            headers = self._limits.headers(exchange.model) if exchange.shows_limits else {}
            await error_response(refused.error, headers)(scope, receive, send)
        except Exception:
            exchange.end("failed:api_error")
            raise

    def _prepare(self, exchange: Exchange, raw_body: bytes) -> Reply:
        body = check_body(raw_body)
        thinking.check_thinking(body)
        exchange.model, exchange.stream = body["model"], bool(body.get("stream"))
        task = read_task(body)
        scenario = scenario_of(task.page, self._usual)
        exchange.page, exchange.turn = task.page, task.turn
        exchange.shows_limits = "no limit headers" not in scenario.habits
        usage, written = self._cache.measure(body)
        exchange.usage = usage
        self._limits.admit(body["model"], usage["input_tokens"] + usage["cache_creation_input_tokens"])
        picks = self._request_picks(task, body)
        if "request" in picks and (error := picks["request"].error):
            exchange.refuse(error, picks["request"].word)
            raise RequestRefused(error)
        self._cache.keep(written)
        turn = self._turn(task, body, picks, scenario)
        self._limits.spend_output(body["model"], turn.output_tokens())
        return self._reply(exchange, turn, picks, scenario)

    def _request_picks(self, task: Task, body: JsonObject) -> Picks:
        stages: set[Stage] = {"request", "pace", "think", "files"}
        usual: set[Stage] = {"request"} if task.turn == 1 else set()
        picks = self._faults.pick(task.page, task.digest, stages, task.turn, usual)
        field = _REFUSED_FIELDS.get(picks["request"].word) if "request" in picks else None
        if field and not _has(body, field):
            del picks["request"]
        return picks

    def _turn(self, task: Task, body: JsonObject, picks: Picks, scenario: Scenario) -> Turn:
        """Returns the model's next turn, and adds the faults of that turn to the picks."""
        look = script.next_look(task, body, scenario)
        if "request" in picks:  # no response follows, so no other word is used up
            return look or Turn(())
        answering: set[Stage] = {"stream", "ending", "text"}
        in_tools: set[Stage] = {"stream", "ending", "call"}
        usual: set[Stage] = answering if look is None else {"call"} if task.turn == 1 else set()
        stages = answering if look is None else in_tools
        picks |= self._faults.pick(task.page, task.digest, stages, task.turn, usual)
        if look is None or "ending" in picks:
            turn = script.answer(task, body, picks, scenario, self._options.answer_chars)
        else:
            turn = script.spoil_call(look, picks["call"].word) if "call" in picks else look
        if "ending" in picks and picks["ending"].word == "empty answer":
            return turn
        return self._thought(task, body, picks, turn, is_answer=look is None)

    def _thought(self, task: Task, body: JsonObject, picks: Picks, turn: Turn, *, is_answer: bool) -> Turn:
        """Returns the turn with the model's thinking, or a text, in front of it."""
        option = "always" if "think" in picks else self._options.thinking
        asked = thinking.wanted(body, option)
        said = "" if is_answer else script.update(task.turn)
        if asked.type is not None:
            return thinking.with_thinking(turn, asked, body, said, task.turn)
        # Without thinking, models write text before a tool call, which is not part of the answer.
        if said and task.turn == 1:
            return Turn((Text(said), *turn.blocks), turn.stop_reason, turn.stop_details)
        return turn

    def _reply(self, exchange: Exchange, turn: Turn, picks: Picks, scenario: Scenario) -> Reply:
        pace = picks["pace"].word if "pace" in picks else ""
        is_long = "text" in picks and picks["text"].word == "long"
        is_answer = turn.stop_reason != "tool_use"
        ponders = "think" in picks and picks["think"].word.startswith("ponders") and is_answer
        swallows = ponders and picks["think"].word == "ponders silently"
        return Reply(
            exchange,
            turn,
            exchange.usage,
            picks,
            chars=self._options.chars * (_LONG_FACTOR if is_long else 1),
            interval=self._options.interval * {"slow": 10, "fast": 0}.get(pace, 1),
            habits=scenario.habits | ({"no pings"} if swallows else set()),
            headers=self._limits.headers(exchange.model) if exchange.shows_limits else {},
            ping_seconds=self._options.ping_seconds,
            ponder_seconds=_PONDER_PINGS * self._options.ping_seconds if ponders else 0,
        )


def _has(part: object, field: str) -> bool:
    """Returns whether the field occurs anywhere in the request."""
    if isinstance(part, list):
        return any(_has(item, field) for item in part)
    return isinstance(part, dict) and (bool(part.get(field)) or any(_has(item, field) for item in part.values()))


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

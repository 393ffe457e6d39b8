"""Defines words in `pageOrComponent` that make the sandbox fail on purpose, like a payment service's test cards."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from worker.sandbox.habits import HABITS
from worker.sandbox.wire import ApiError

# request: instead of a response · stream: in the middle of a response · ending: the stream is whole, the answer is not
# what was asked for · call: of the first turn with tools · text, files, pace, think: not failures at all.
Stage = Literal["request", "stream", "ending", "call", "text", "files", "pace", "think"]
Picks = dict[Stage, "Fault"]

_REMEMBERED = 10_000  # how many requests are remembered whose `once` has been used
_SEPARATOR = r"[\s_-]+"
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = rf"\d{{1,4}}|{'|'.join(_NUMBERS)}"
_MOST_TURNS, _MOST_CALLS = 100, 20


@dataclass(frozen=True)
class Fault:
    """Describes one word of the table, and what it does. `N` in a word stands for a number."""

    word: str
    stage: Stage
    meaning: str
    error: ApiError | None = None
    lasts: bool = False  # it happens in every turn

    @property
    def fails(self) -> bool:
        """Returns whether it is a failure, to which `once` and `in turn N` apply, or only another way to succeed."""
        return self.stage in ("request", "stream", "ending", "call")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Returns a pattern for the whole word, whose parts may be separated by blanks, hyphens or underscores.

        After the word of a failure the turn and `once` may follow.
        """
        word = _pattern(self.word)
        if self.fails:
            word += (
                rf"(?:{_SEPARATOR}in{_SEPARATOR}turn{_SEPARATOR}(?P<turn>{_NUMBER}))?(?:{_SEPARATOR}(?P<once>once))?"
            )
        return _whole(word)


def _pattern(word: str) -> str:
    parts = (rf"(?P<number>{_NUMBER})" if part == "N" else re.escape(part) for part in word.split())
    return _SEPARATOR.join(parts)


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){pattern}(?![^\W_])", re.IGNORECASE)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else _NUMBERS.index(text.lower()) + 1


_OVERLOADED = ApiError(529, "overloaded_error", "Overloaded")
_LIMITED = ApiError(429, "rate_limit_error", "This would exceed your rate limit.", retry_after_seconds=1)
_RAMP = ApiError(429, "rate_limit_error", "Usage is growing too fast.", 1, "ramp_limit_exceeded")
_SPENT = ApiError(429, "rate_limit_error", "Your API tier's limit is reached.", None, "enforced_spend_limit_reached")
_CONTRACT = ApiError(429, "rate_limit_error", "The contract's limit is reached.", None, "contract_spend_limit_reached")
_UNPAID = ApiError(402, "billing_error", "A spend limit is reached.", None, "linked_organization_spend_limit_reached")
_NO_CREDIT = ApiError(
    400,
    "invalid_request_error",
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
)
_CAPPED = ApiError(
    400,
    "invalid_request_error",
    "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC.",
)
_FILTERED = ApiError(400, "invalid_request_error", "Output blocked by content filtering policy")
_DOWN = ApiError(500, "api_error", "Internal server error")
_BAD_GATEWAY = ApiError(502, "", "<html><body><h1>502 Bad Gateway</h1></body></html>")
_REJECTED = ApiError(400, "invalid_request_error", "messages: rejected by the sandbox, as asked")
_TOO_LONG = ApiError(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")
_NO_CACHING = ApiError(400, "invalid_request_error", "cache_control: Extra inputs are not permitted")
_NO_CONFIG = ApiError(400, "invalid_request_error", "output_config: Extra inputs are not permitted")
_WRONG_KEY = ApiError(401, "authentication_error", "invalid x-api-key")
_FORBIDDEN = ApiError(403, "permission_error", "Your API key does not have permission to use this model")
_NO_MODEL = ApiError(404, "not_found_error", "model: no such model in the sandbox")

FAULTS: tuple[Fault, ...] = (
    Fault("overloaded", "request", "HTTP 529 `overloaded_error` before the stream", _OVERLOADED),
    Fault("rate limited", "request", "HTTP 429 `rate_limit_error` with `retry-after: 1`", _LIMITED),
    Fault("retry after N", "request", "the same with `retry-after: N`, in seconds", _LIMITED),
    Fault("ramp limit exceeded", "request", "HTTP 429 with the code `ramp_limit_exceeded`, `retry-after: 1`", _RAMP),
    Fault("spend limit reached", "request", "HTTP 429 with the code `enforced_spend_limit_reached`", _SPENT),
    Fault("contract limit reached", "request", "HTTP 429 with the code `contract_spend_limit_reached`", _CONTRACT),
    Fault("payment required", "request", "HTTP 402 `billing_error`", _UNPAID),
    Fault("credit too low", "request", "HTTP 400: the credit balance is too low", _NO_CREDIT),
    Fault(
        "usage cap reached", "request", "HTTP 400: the usage limits that the organization has set are reached", _CAPPED
    ),
    Fault("content filter blocks", "request", "HTTP 400: output blocked by content filtering policy", _FILTERED),
    Fault("bad gateway", "request", "HTTP 502 with a page of HTML, as a proxy answers", _BAD_GATEWAY),
    Fault("unavailable", "request", "HTTP 500 `api_error`", _DOWN),
    Fault("rejected", "request", "HTTP 400 `invalid_request_error`", _REJECTED),
    Fault("too long", "request", "HTTP 400: the prompt is too long", _TOO_LONG),
    Fault("no caching", "request", "HTTP 400 as long as the request has `cache_control`", _NO_CACHING, lasts=True),
    Fault("no output config", "request", "HTTP 400 as long as the request has `output_config`", _NO_CONFIG, lasts=True),
    Fault("wrong key", "request", "HTTP 401 `authentication_error`", _WRONG_KEY),
    Fault("forbidden", "request", "HTTP 403 `permission_error`", _FORBIDDEN),
    Fault("no such model", "request", "HTTP 404 `not_found_error`", _NO_MODEL),
    Fault("silent", "request", "the request is taken and nothing is ever sent, not even headers"),
    Fault("error event", "stream", "an `overloaded_error` event after a third of the response", _OVERLOADED),
    Fault("filtered answer", "stream", "an error event: output blocked by content filtering policy", _FILTERED),
    Fault("broken stream", "stream", "the connection is reset in the middle of the response"),
    Fault(
        "early end",
        "stream",
        "the connection is closed properly in the middle of the response, without its last events",
    ),
    Fault("stall after three", "stream", "nothing more is sent after the third suggestion"),
    Fault("stall", "stream", "nothing more is sent from the middle of the response on, not even pings"),
    Fault("refusal", "ending", "the model declines: `stop_reason` `refusal` after a short text"),
    Fault("cut after three", "ending", "the answer is cut in its fourth suggestion: `stop_reason` `max_tokens`"),
    Fault("cut off", "ending", "the answer is cut in its second suggestion: `stop_reason` `max_tokens`"),
    Fault("context window", "ending", "the same with `stop_reason` `model_context_window_exceeded`"),
    Fault("empty answer", "ending", "the turn ends with `end_turn` and says nothing"),
    Fault("bad output", "ending", "JSON that breaks the schema: one suggestion, with fields missing"),
    Fault("bad json", "ending", "an answer that is not JSON at all"),
    Fault("malformed call", "call", "the first tool call of a turn has an input that is not JSON"),
    Fault("unknown tool", "call", "the first tool call of a turn names a tool that was not offered"),
    Fault("long", "text", "an answer of about 30,000 characters, written twenty times as fast"),
    Fault("unicode", "text", "emoji, astral characters, right-to-left text, quotes, `\\u` escapes"),
    Fault("lying files", "files", "`files` names what is absent, outside, secret, unseen or in another case"),
    Fault("slow", "pace", "ten times slower"),
    Fault("fast", "pace", "no delay at all"),
    Fault("thinks aloud", "think", "thinks before each turn although the request does not ask for it"),
    Fault("ponders silently", "think", "thinks for five ping intervals before the answer, and no ping is sent"),
    Fault("ponders", "think", "thinks for five ping intervals before the answer, with pings alone"),
)


@dataclass(frozen=True)
class Scenario:
    """Says what the words ask of the turns with tools, and of the gateway in between."""

    tool_turns: int | None = None  # None: as many as it takes to read about the page
    calls_a_turn: int = 1
    looks_by_need: bool = False  # it calls tools only for what it has not been told yet
    never_stops: bool = False  # it calls tools until it is asked to answer
    never_listens: bool = False  # only `tool_choice: none` makes it answer, a text does not
    habits: frozenset[str] = frozenset()


SCENARIOS = {
    "N tool turns": "N turns with tools before the answer",
    "N tools at once": "N tool calls in each turn",
    "looks as needed": "calls the tools for what it does not know yet: layout, README, hits, what stands around them",
    "reads on and on": "calls tools until a text after the tool results, or `tool_choice: none`, asks it to answer",
    "reads regardless": "calls tools until `tool_choice: none`",
    "odd gateway": "all habits of gateways at once but `no pings`",
}
_SCENARIO_PATTERNS = {word: _whole(_pattern(word)) for word in SCENARIOS}
_HABIT_PATTERNS = {habit: _whole(_pattern(habit)) for habit in HABITS}


def scenario_of(page: str, usual: Scenario) -> Scenario:
    """Returns the scenario that the page asks for. What it does not mention is taken from `usual`."""
    found = {word: match for word, pattern in _SCENARIO_PATTERNS.items() if (match := pattern.search(page))}
    asked = usual
    if match := found.get("N tool turns"):
        asked = replace(asked, tool_turns=min(_number(match["number"]), _MOST_TURNS))
    if match := found.get("N tools at once"):
        asked = replace(asked, calls_a_turn=max(1, min(_number(match["number"]), _MOST_CALLS)))
    if "reads on and on" in found or "reads regardless" in found:
        asked = replace(asked, never_stops=True, never_listens="reads regardless" in found)
    asked = replace(asked, looks_by_need="looks as needed" in found)
    habits = usual.habits | {habit for habit, pattern in _HABIT_PATTERNS.items() if pattern.search(page)}
    if "odd gateway" in found:
        habits |= HABITS.keys() - {"no pings"}
    return replace(asked, habits=frozenset(habits))


class Faults:
    """Picks the faults that a request asks for, and remembers which `once` has been used."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], None] = {}

    def pick(self, page: str, request_digest: str, stages: set[Stage], turn: int, usual: set[Stage]) -> Picks:
        """Returns the first word of the table for each of these stages, without those whose `once` has been used.

        A failure happens in the turn that it names. One that names none happens if its stage is `usual` for this turn.
        """
        picks: Picks = {}
        for fault in FAULTS:
            found = fault.pattern.search(page) if fault.stage in stages and fault.stage not in picks else None
            if not found:
                continue
            if fault.fails:
                named = found["turn"]
                is_due = _number(named) == turn if named else fault.lasts or fault.stage in usual
                if not is_due or (found["once"] and self._is_spent(found[0].lower(), request_digest)):
                    continue
            picks[fault.stage] = _with_number(fault, found)
        return picks

    def _is_spent(self, words: str, request_digest: str) -> bool:
        key = (words, request_digest)
        if key in self._spent:
            return True
        self._spent[key] = None
        if len(self._spent) > _REMEMBERED:
            del self._spent[next(iter(self._spent))]
        return False


def _with_number(fault: Fault, found: re.Match[str]) -> Fault:
    if fault.error is None or "number" not in found.groupdict():
        return fault
    return replace(fault, error=replace(fault.error, retry_after_seconds=_number(found["number"])))


def without_words(page: str) -> str:
    """Returns the page without the words of the table, so that the project is not searched for `overloaded`."""
    patterns = [fault.pattern for fault in FAULTS]
    for pattern in (*patterns, *_SCENARIO_PATTERNS.values(), *_HABIT_PATTERNS.values()):
        page = pattern.sub(" ", page)
    return page

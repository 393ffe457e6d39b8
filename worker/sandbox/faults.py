"""Failures on purpose: words in `pageOrComponent` that make the sandbox misbehave, as test cards do."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from worker.sandbox.wire import ApiError

# request: instead of a response, at a job's first model request · stream: in the middle of the answer ·
# ending: the stream is whole, the answer is not what was asked for · text, pace: not failures at all.
Stage = Literal["request", "stream", "ending", "text", "pace"]
Picks = dict[Stage, "Fault"]

_REMEMBERED = 10_000  # requests whose `once` is spent; beyond that the oldest are forgotten
_SEPARATOR = r"[\s_-]+"


@dataclass(frozen=True)
class Fault:
    """One word of the table, and what it does."""

    word: str
    stage: Stage
    meaning: str
    error: ApiError | None = None

    @property
    def fails(self) -> bool:
        """Whether it is a failure, which `once` makes pass, or only another way to succeed."""
        return self.stage not in ("text", "pace")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The word as a whole, parted by blanks, hyphens or underscores, with or without `once` after it."""
        word = _SEPARATOR.join(map(re.escape, self.word.split()))
        once = f"(?:{_SEPARATOR}(?P<once>once))?" if self.fails else ""
        return re.compile(rf"(?<![^\W_]){word}{once}(?![^\W_])", re.IGNORECASE)


_OVERLOADED = ApiError(529, "overloaded_error", "Overloaded")
_LIMITED = ApiError(429, "rate_limit_error", "This would exceed your rate limit.", retry_after_seconds=1)
_DOWN = ApiError(500, "api_error", "Internal server error")
_REJECTED = ApiError(400, "invalid_request_error", "messages: rejected by the sandbox, as asked")
_TOO_LONG = ApiError(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")
_WRONG_KEY = ApiError(401, "authentication_error", "invalid x-api-key")
_FORBIDDEN = ApiError(403, "permission_error", "Your API key does not have permission to use this model")
_NO_MODEL = ApiError(404, "not_found_error", "model: no such model in the sandbox")

FAULTS: tuple[Fault, ...] = (
    Fault("overloaded", "request", "HTTP 529 overloaded_error before the stream", _OVERLOADED),
    Fault("rate limited", "request", "HTTP 429 rate_limit_error with retry-after: 1", _LIMITED),
    Fault("unavailable", "request", "HTTP 500 api_error", _DOWN),
    Fault("rejected", "request", "HTTP 400 invalid_request_error", _REJECTED),
    Fault("too long", "request", "HTTP 400, the prompt is too long", _TOO_LONG),
    Fault("wrong key", "request", "HTTP 401 authentication_error", _WRONG_KEY),
    Fault("forbidden", "request", "HTTP 403 permission_error", _FORBIDDEN),
    Fault("no such model", "request", "HTTP 404 not_found_error", _NO_MODEL),
    Fault("silent", "request", "the request is taken and nothing is ever sent, not even headers"),
    Fault("error event", "stream", "an overloaded_error event after a third of the answer", _OVERLOADED),
    Fault("broken stream", "stream", "the connection is reset in the middle of the answer"),
    Fault("stall", "stream", "nothing more is sent from the middle of the answer on, not even pings"),
    Fault("refusal", "ending", "the model declines: stop_reason refusal after a short text"),
    Fault("cut off", "ending", "the answer is cut: stop_reason max_tokens in the middle of the JSON"),
    Fault("context window", "ending", "the same with stop_reason model_context_window_exceeded"),
    Fault("bad output", "ending", "JSON that breaks the schema: one suggestion, with fields missing"),
    Fault("bad json", "ending", "an answer that is not JSON at all"),
    Fault("long", "text", "an answer of about 30,000 characters, written twenty times as fast"),
    Fault("unicode", "text", "emoji, astral characters, right-to-left text, quotes, \\u escapes"),
    Fault("slow", "pace", "ten times slower"),
    Fault("fast", "pace", "no delay at all"),
)


class Faults:
    """Picks what a request asks for, and remembers which `once` has had its turn."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], None] = {}

    def pick(self, page: str, request_digest: str, stages: set[Stage]) -> Picks:
        """The first word of the table for each of these stages; one that is spent no longer counts."""
        picks: Picks = {}
        for fault in FAULTS:
            found = fault.pattern.search(page) if fault.stage in stages and fault.stage not in picks else None
            if found and not (fault.fails and found["once"] and self._is_spent(fault, request_digest)):
                picks[fault.stage] = fault
        return picks

    def _is_spent(self, fault: Fault, request_digest: str) -> bool:
        key = (fault.word, request_digest)
        if key in self._spent:
            return True
        self._spent[key] = None
        if len(self._spent) > _REMEMBERED:
            del self._spent[next(iter(self._spent))]
        return False


def without_words(page: str) -> str:
    """The page without the words of the table, so that nobody searches a project for `overloaded`."""
    for fault in FAULTS:
        page = fault.pattern.sub(" ", page)
    return page

"""Decides when a job's model must stop using tools and answer."""

import time
from collections.abc import Callable
from enum import IntEnum

from shared.contract.schemas import TokenUsage

MAX_TURNS = 16
"""Calls of the model in one attempt, the kept turns of earlier ones included; in the last one it has to answer."""
TIME_SHARE = 0.6
"""Share of an attempt's time for using tools; the rest is for thinking and writing."""
TOKEN_SHARE = 0.9
"""Share of a job's tokens after which it has to answer, as the contract says."""
CACHE_READ_WEIGHT = 0.1
"""A token read from the cache counts this much of an input token."""


class Urgency(IntEnum):
    """Says how strongly the next turn asks the model to stop using tools and answer."""

    NONE = 0
    ASKED = 1
    """A text after the tools' results says that it is time to answer. It keeps the prompt's cache."""
    FORCED = 2
    """The model has no tools any more. The part of the cache that holds the conversation is lost by that."""


class Limits:
    """Knows the limits of one attempt. `waited` returns the seconds that do not count towards its time."""

    def __init__(self, timeout_seconds: float, max_tokens: int, waited: Callable[[], float]) -> None:
        self._began = time.monotonic()
        self._timeout_seconds = timeout_seconds
        self._max_tokens = max_tokens
        self._waited = waited
        self._urgency = Urgency.NONE

    def before_turn(self, number: int, spent: TokenUsage, *, calls_are_used_up: bool) -> Urgency:
        """Returns how to ask for turn `number`, from 1 on. A model that ignored the request to answer is forced to."""
        if number >= MAX_TURNS or self._urgency is not Urgency.NONE:
            self._urgency = Urgency.FORCED
        elif (
            number == MAX_TURNS - 1 or calls_are_used_up or self._is_short_of_time() or self._is_short_of_tokens(spent)
        ):
            self._urgency = Urgency.ASKED
        return self._urgency

    def is_spent(self, spent: TokenUsage) -> bool:
        """Returns whether the job must not begin another turn."""
        return weight(spent) > self._max_tokens

    def _is_short_of_time(self) -> bool:
        return time.monotonic() - self._began - self._waited() > TIME_SHARE * self._timeout_seconds

    def _is_short_of_tokens(self, spent: TokenUsage) -> bool:
        return weight(spent) > TOKEN_SHARE * self._max_tokens


def weight(usage: TokenUsage) -> float:
    """Adds up input and output tokens, those read from the cache at a tenth."""
    return usage.total_tokens - (1 - CACHE_READ_WEIGHT) * usage.cache_read_tokens

"""Defines the gate in front of the model's provider for one job's agent, and reads the limits in response headers."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from shared.gate import LIMITS, Delay, LimitName, Report

_HEADERS: dict[LimitName, str] = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}
MOST_A_MINUTE = 1e12
_PREFIXES = ("anthropic-ratelimit-", "llm_provider-anthropic-ratelimit-")
"""LiteLLM passes the provider's headers on with a prefix of its own."""


class Gate(Protocol):
    """Represents the gate of one model for one job. `request` is the id of one request to the model."""

    @property
    def has_let_go(self) -> bool:
        """Returns whether it has admitted a request since the job began to run on this worker."""

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        """Returns None if the request may be sent; its outcome must be reported then."""

    def report(self, request: str, report: Report) -> None:
        """Records the outcome of the request, without waiting."""


class OpenGate:
    """Admits every request, for a process that is the provider's only client."""

    has_let_go = True

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        return None

    def report(self, request: str, report: Report) -> None:
        pass


def limits_of(headers: Mapping[str, str]) -> dict[LimitName, tuple[float, float]]:
    """Returns the limits in a response's headers: for each its value per minute, and how much of it is left.

    Impossible values, such as a limit of 0 or one that is no number, are ignored.
    """
    limits: dict[LimitName, tuple[float, float]] = {}
    for name in LIMITS:
        for prefix in _PREFIXES:
            with suppress(KeyError, ValueError):
                begin = f"{prefix}{_HEADERS[name]}"
                limit, left = float(headers[f"{begin}-limit"]), float(headers[f"{begin}-remaining"])
                if 1 <= limit <= MOST_A_MINUTE and 0 <= left <= MOST_A_MINUTE:
                    limits[name] = limit, left
                    break
    return limits

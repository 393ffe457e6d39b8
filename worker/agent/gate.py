"""The gate in front of the model's provider, as one job's agent sees it, and the limits in a response's headers."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from shared.gate import LIMITS, Delay, LimitName, Report

_HEADERS: dict[LimitName, str] = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}
MOST_A_MINUTE = 1e12
_PREFIXES = ("anthropic-ratelimit-", "llm_provider-anthropic-ratelimit-")
"""LiteLLM passes the provider's headers on with a prefix of its own."""


class Gate(Protocol):
    """The gate of one model for one job. `request` is the id of one request to the model."""

    @property
    def has_let_go(self) -> bool:
        """Returns whether it has let a request go since the job began to run here."""

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        """Returns None where the request may go; it has to be reported then."""

    def report(self, request: str, report: Report) -> None:
        """Takes what became of the request, without waiting for anything."""


class OpenGate:
    """Lets every request go, for a process that shares the provider with nobody."""

    has_let_go = True

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        return None

    def report(self, request: str, report: Report) -> None:
        pass


def limits_of(headers: Mapping[str, str]) -> dict[LimitName, tuple[float, float]]:
    """Returns the limits that a response's headers state: how much a minute, and how much of it is left.

    Figures that no provider means, such as a limit of 0 or what is no number, are taken for not stated.
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

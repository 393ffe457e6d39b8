"""Defines what is exchanged with the gate in front of the model's provider: a delay, and the outcome of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shared.contract.values import WaitReason

Outcome = Literal["accepted", "refused", "cut", "unknown", "left"]
"""`cut`: a response that had begun ended with the provider's refusal. `unknown`: the request says nothing about limits.
`left`: the job does not wait any more."""
LimitName = Literal["requests", "input", "output"]
LIMITS: tuple[LimitName, ...] = ("requests", "input", "output")


@dataclass(frozen=True)
class Delay:
    """Says that a request has to wait: it asks again in `wait_ms`. The gate expects to admit it at `until_ms`."""

    wait_ms: int
    until_ms: int
    reason: WaitReason


@dataclass(frozen=True)
class Report:
    """Holds the outcome of a request. `limits` maps each limit's name to its value per minute and the rest of it."""

    outcome: Outcome
    retry_after_seconds: float | None = None
    reason: WaitReason = WaitReason.RATE_LIMITED
    limits: Mapping[LimitName, tuple[float, float]] | None = None

"""The messages exchanged with the gate in front of the model's provider: a delay, and what became of a request."""

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
    """The request may not go yet. The job asks again in `wait_ms`; the gate is expected to let it go at `until_ms`."""

    wait_ms: int
    until_ms: int
    reason: WaitReason


@dataclass(frozen=True)
class Report:
    """What became of a request. `limits` holds what the headers said: limit a minute and what is left, by name."""

    outcome: Outcome
    retry_after_seconds: float | None = None
    reason: WaitReason = WaitReason.RATE_LIMITED
    limits: Mapping[LimitName, tuple[float, float]] | None = None

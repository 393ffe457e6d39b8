"""Makes one job wait for its model's provider: at the gate, or by itself after a request that failed."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from uuid import uuid4

from shared.clock import now_ms
from shared.contract.values import ErrorCode, WaitReason
from shared.errors import AttemptFailed
from shared.gate import Delay, Report
from worker.agent.conversation import Conversation
from worker.agent.gate import Gate, limits_of
from worker.agent.model_errors import ProviderRefused

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
"""The pause between two requests where the provider names none; it doubles from one failure to the next."""
LONGEST_SLEEP_SECONDS = 30.0
"""A waiting job asks the gate again at least this often: it may have been opened, or lost with Redis's data."""


@dataclass(frozen=True)
class Waits:
    """Says that the request is sent at `until_ms` (Unix epoch). Another `Waits` follows, or `Resumes`."""

    reason: WaitReason
    until_ms: int


@dataclass(frozen=True)
class Resumes:
    """Says that the wait is over and the request is sent."""

    seconds: float


class ProviderWaits:
    """Manages the waits of one attempt. `max_seconds` limits those of the whole job, which the conversation adds up."""

    def __init__(self, gate: Gate, conversation: Conversation, max_seconds: float) -> None:
        self._gate = gate
        self._conversation = conversation
        self._max_seconds = max_seconds
        self._request = ""
        self._failures = 0
        self._not_before = 0.0
        self._reason = WaitReason.RATE_LIMITED
        self.seconds = 0.0
        """What this attempt has waited so far."""

    async def admission(self, input_tokens: Callable[[], int]) -> AsyncGenerator[Waits | Resumes, None]:
        """Ends when the next request may be sent. Yields its waits. Raises AttemptFailed after MAX_WAIT_SECONDS."""
        self._request, began, has_waited = uuid4().hex, time.monotonic(), False
        try:
            while delay := await self._delay(input_tokens):
                left = self._max_seconds - self._conversation.waited_seconds
                if left <= 0:
                    raise _given_up(delay.reason)
                has_waited = True
                yield Waits(delay.reason, delay.until_ms)
                await self._sleep(min(delay.wait_ms / 1000, left, LONGEST_SLEEP_SECONDS))
        except BaseException:
            self._gate.report(self._request, Report("left"))
            raise
        if has_waited:
            yield Resumes(time.monotonic() - began)

    def accepted(self, headers: dict[str, str]) -> None:
        """Reports to the gate that the response has begun."""
        self._gate.report(self._request, Report("accepted", limits=limits_of(headers)))

    def succeeded(self) -> None:
        """Records that a turn is whole."""
        self._failures = 0

    def failed(self, failure: AttemptFailed, headers: dict[str, str] | None, *, has_begun: bool) -> None:
        """Reports a failed request or, if `has_begun`, response. The next request waits as the failure says."""
        self._failures += 1
        pause = FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10) * random.uniform(1, 1.2)  # noqa: S311
        pause = min(pause, LONGEST_PAUSE_SECONDS)
        self._reason = WaitReason.UNREACHABLE
        if isinstance(failure, ProviderRefused):
            self._reason = WaitReason(failure.reason)
            if failure.retry_after_seconds is not None:
                pause = failure.retry_after_seconds
            limits = limits_of(headers or {})
            outcome: Report = Report(
                "cut" if has_begun else "refused", failure.retry_after_seconds, self._reason, limits
            )
            self._gate.report(self._request, outcome)
        elif not has_begun:
            self.report_unknown()
        self._not_before = time.monotonic() + pause

    def report_unknown(self) -> None:
        """Reports a request whose outcome says nothing about limits."""
        self._gate.report(self._request, Report("unknown"))

    async def _delay(self, input_tokens: Callable[[], int]) -> Delay | None:
        """Returns the gate's delay, or the pause of this job where the gate does not know of it."""
        own = self._not_before - time.monotonic()
        if own > 0 and self._reason is WaitReason.UNREACHABLE:
            return self._pause(own)
        if delay := await self._gate.ask(self._request, input_tokens()):
            return delay
        own = self._not_before - time.monotonic()
        return self._pause(own) if own > 0 else None

    def _pause(self, seconds: float) -> Delay:
        wait_ms = int(seconds * 1000) + 1
        return Delay(wait_ms, now_ms() + wait_ms, self._reason)

    async def _sleep(self, seconds: float) -> None:
        began = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            waited = time.monotonic() - began
            self.seconds += waited
            self._conversation.waited_seconds += waited


def _given_up(reason: WaitReason) -> AttemptFailed:
    is_unreachable = reason is WaitReason.UNREACHABLE
    code = ErrorCode.MODEL_UNAVAILABLE if is_unreachable else ErrorCode.MODEL_OVERLOADED
    return AttemptFailed(code, f"MAX_WAIT_SECONDS are over: {reason.value}")

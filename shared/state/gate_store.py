"""Stores the gates in front of the model's provider, one for each model: all workers share what they know of limits."""

import asyncio
import random
from dataclasses import dataclass

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.contract.values import WaitReason
from shared.gate import LIMITS, Delay, Report
from shared.state import keys
from shared.state.script_pipeline import ScriptPipeline
from shared.state.scripts import Argument, script

MOST_JITTER = 0.2
"""The share of a pause that may be added to it at random, so that workers do not come back together."""
JITTER_OF_RETRY_AFTER = 0.05
"""The same share where the provider named the pause: there the gate's pacing spreads the workers."""


@dataclass(frozen=True)
class GateView:
    """Holds a gate as the metrics show it. `pace` is in requests a second; 0 where nothing holds requests back.

    `is_open` stays False while single requests try whether the provider takes any again, until one was taken.
    """

    is_open: bool
    waiting: int
    in_flight: int
    pace: float


class GateStore:
    """Asks gates and reports to them, in one round trip each. In simulations `now_ms` replaces the server's clock."""

    def __init__(self, redis: AsyncRedis, choice: random.Random | None = None) -> None:
        self._scripts = ScriptPipeline(redis)
        self._choice = choice or random.Random()  # noqa: S311

    async def ask(
        self, model: str, request: str, job_id: str, created_ms: int, input_tokens: int, *, now_ms: int | None = None
    ) -> Delay | None:
        """Returns None if the request may be sent; its outcome must be reported then. Raises redis.RedisError."""
        args: list[Argument] = [request, job_id, created_ms, input_tokens, "" if now_ms is None else now_ms]
        wait_ms, until_ms, reason = await self._scripts.call(script("gate_ask"), keys.gate(model), args)
        return Delay(wait_ms, until_ms, WaitReason(reason.decode())) if wait_ms else None

    def report(
        self, model: str, request: str, job_id: str, report: Report, *, now_ms: int | None = None
    ) -> asyncio.Future[int]:
        """Returns when the gate opens, in ms since the epoch, or 0 if it is open. The future raises redis.RedisError.

        It need not be awaited: calls are carried out in their order.
        """
        most = MOST_JITTER if report.retry_after_seconds is None else JITTER_OF_RETRY_AFTER
        args = _arguments(report, request, job_id, self._choice.uniform(0, most), now_ms)
        return self._scripts.call(script("gate_report"), keys.gate(model), args)

    async def close(self) -> None:
        """Sends the calls that are waiting, and closes the connection."""
        await self._scripts.close()


def _arguments(report: Report, request: str, job_id: str, jitter: float, now_ms: int | None) -> list[Argument]:
    retry_after = "" if report.retry_after_seconds is None else report.retry_after_seconds * 1000
    limits: list[Argument] = []
    for name in LIMITS:
        limits += (report.limits or {}).get(name, ("", ""))
    time = "" if now_ms is None else now_ms
    return [request, job_id, report.outcome, retry_after, jitter, report.reason.value, time, *limits]


def view(redis: Redis, model: str, now_ms: float) -> GateView:
    """Returns the current state of the gate. Raises redis.RedisError."""
    gate, waiting, _, flight, _ = keys.gate(model)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.hmget(gate, "closedUntil", "requestsPerMs", "interval", "refusals")
        pipeline.zcard(waiting)
        pipeline.zcard(flight)
        (closed_until, per_ms, interval, refusals), waits, flying = pipeline.execute()
    pace = float(per_ms or 0) * 1000
    if not pace and float(interval or 0):
        pace = 1000 / float(interval)
    # Without a job that could try, nothing is known any more.
    is_trying = bool(float(refusals or 0) and (waits or flying))
    return GateView(float(closed_until or 0) <= now_ms and not is_trying, waits, flying, pace)

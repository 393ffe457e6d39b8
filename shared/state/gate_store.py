"""The gates in front of the model's provider: what all workers know together of its limits, one gate for each model."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

from shared.state import keys
from shared.state.scripts import Argument, script

Outcome = Literal["accepted", "refused", "unknown", "left"]
LIMITS = ("requests", "input", "output")
MOST_JITTER = 0.2
"""Share of a closing that may be added to it, so that workers and other clients do not come back together."""


@dataclass(frozen=True)
class Wait:
    """The request may not go yet. The job asks again in `wait_ms`; the gate is expected to let it go at `until_ms`."""

    wait_ms: int
    until_ms: int
    reason: str


@dataclass(frozen=True)
class Report:
    """What became of a request. `limits` holds what the headers told: limit a minute and what is left, by name."""

    outcome: Outcome
    retry_after_seconds: float | None = None
    reason: str = "rate_limited"
    limits: Mapping[str, tuple[float, float]] | None = None

    def arguments(self, request: str, job_id: str, jitter: float, now_ms: int | None) -> list[Argument]:
        """The report as its script takes it."""
        retry_after = "" if self.retry_after_seconds is None else self.retry_after_seconds * 1000
        told: list[Argument] = []
        for name in LIMITS:
            told += (self.limits or {}).get(name, ("", ""))
        time = "" if now_ms is None else now_ms
        return [request, job_id, self.outcome, retry_after, jitter, self.reason, time, *told]


@dataclass(frozen=True)
class GateView:
    """A gate as the metrics show it. `pace` is in requests a second; 0 where nothing holds requests back."""

    is_open: bool
    waiting: int
    in_flight: int
    pace: float


class GateStore:
    """Asks and reports in one round trip each. In simulations `now_ms` stands in for the server's clock."""

    def __init__(self, redis: AsyncRedis, choice: random.Random | None = None) -> None:
        self._redis = redis
        self._choice = choice or random.Random()  # noqa: S311

    async def ask(
        self, model: str, request: str, job_id: str, created_ms: int, input_tokens: int, *, now_ms: int | None = None
    ) -> Wait | None:
        """None lets the request go; it has to be reported then. Raises redis.RedisError."""
        args: list[Argument] = [request, job_id, created_ms, input_tokens, "" if now_ms is None else now_ms]
        wait_ms, until_ms, reason = await self._call("gate_ask", model, args)
        return Wait(wait_ms, until_ms, reason.decode()) if wait_ms else None

    async def report(self, model: str, request: str, job_id: str, report: Report, *, now_ms: int | None = None) -> int:
        """When the gate opens, in ms since the epoch; 0 where it is open. Raises redis.RedisError."""
        jitter = (
            self._choice.uniform(0, MOST_JITTER)
            if report.retry_after_seconds is None
            else self._choice.uniform(0, 0.05)
        )
        return int(await self._call("gate_report", model, report.arguments(request, job_id, jitter, now_ms)))

    async def _call(self, name: str, model: str, args: list[Argument]) -> Any:
        called, where = script(name), keys.gate(model)
        try:
            return await self._redis.evalsha(called.sha, len(where), *where, *args)
        except NoScriptError:
            return await self._redis.eval(called.text, len(where), *where, *args)


def view(redis: Redis, model: str, now_ms: float) -> GateView:
    """The gate as it stands. Raises redis.RedisError."""
    gate, waiting, _, flight, _ = keys.gate(model)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.hmget(gate, "closedUntil", "requestsPerMs", "interval")
        pipeline.zcard(waiting)
        pipeline.zcard(flight)
        (closed_until, per_ms, interval), waits, flying = pipeline.execute()
    pace = float(per_ms or 0) * 1000
    if not pace and float(interval or 0):
        pace = 1000 / float(interval)
    return GateView(float(closed_until or 0) <= now_ms, waits, flying, pace)

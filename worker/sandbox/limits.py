"""Keeps rate limits like the real API: each model has token buckets for requests, input tokens and output tokens."""

import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.sandbox.options import Options
from worker.sandbox.wire import ApiError, RequestRefused

_ROUNDED_FROM = 10_000  # the level of larger buckets is rounded to thousands, as in the headers of the real API


@dataclass
class Bucket:
    """Holds up to `burst` tokens and fills continuously. Times are seconds of the monotonic clock."""

    per_minute: float
    burst: float
    level: float = field(init=False)
    _at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.burst

    def fill(self, now: float) -> None:
        """Brings the level up to date."""
        self.level = min(self.burst, self.level + (now - self._at) * self.per_minute / 60)
        self._at = now

    def wait_seconds(self, need: float) -> float:
        """Returns the seconds until there is enough; a need above the size of the bucket waits until it is full."""
        return max(0.0, (min(need, self.burst) - self.level) * 60 / self.per_minute)

    def headers(self, name: str) -> dict[str, str]:
        """Returns the headers that describe this limit."""
        left = max(0, int(self.level))
        if self.per_minute >= _ROUNDED_FROM:
            left = round(left, -3)
        full = datetime.now(UTC) + timedelta(seconds=(self.burst - self.level) * 60 / self.per_minute)
        prefix = f"anthropic-ratelimit-{name}"
        return {
            f"{prefix}-limit": str(int(self.per_minute)),
            f"{prefix}-remaining": str(left),
            f"{prefix}-reset": full.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


@dataclass
class Forced:
    """Describes a refusal that a test has requested for the next requests."""

    count: int
    status: int
    retry_after_seconds: int | None
    model: str | None = None


class Limits:
    """Holds the buckets of every model, and the refusals that tests have requested."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._buckets: dict[str, dict[str, Bucket]] = {}
        self._forced: list[Forced] = []

    def force(self, refusal: Forced) -> None:
        """Makes the next requests be refused in this way, whatever the buckets hold."""
        self._forced.append(refusal)

    def admit(self, model: str, input_tokens: int) -> None:
        """Takes one request and its input tokens out of the buckets. Raises RequestRefused if they hold too little."""
        self._refuse_if_forced(model)
        buckets, now = self._of(model), time.monotonic()
        for bucket in buckets.values():
            bucket.fill(now)
        needs = {"requests": 1, "input-tokens": input_tokens, "output-tokens": 1}
        waits = {name: buckets[name].wait_seconds(need) for name, need in needs.items()}
        longest = max(waits, key=lambda name: waits[name])
        if waits[longest] > 0:
            per_minute = int(buckets[longest].per_minute)
            text = f"This request would exceed the rate limit of {per_minute} {longest.replace('-', ' ')} per minute."
            raise RequestRefused(ApiError(429, "rate_limit_error", text, max(1, math.ceil(waits[longest]))))
        buckets["requests"].level -= 1
        buckets["input-tokens"].level -= input_tokens

    def spend_output(self, model: str, tokens: int) -> None:
        """Takes the tokens of a response out of its bucket, whose level may become negative."""
        self._of(model)["output-tokens"].level -= tokens

    def headers(self, model: str | None) -> dict[str, str]:
        """Returns the limit headers of a response for this model; none where a gateway strips them."""
        if model is None or self._options.strip_limit_headers:
            return {}
        buckets, now = self._of(model), time.monotonic()
        headers: dict[str, str] = {}
        for name, bucket in buckets.items():
            bucket.fill(now)
            headers |= bucket.headers(name)
        return headers

    def _refuse_if_forced(self, model: str) -> None:
        for refusal in self._forced:
            if refusal.model in (None, model):
                refusal.count -= 1
                if refusal.count <= 0:
                    self._forced.remove(refusal)
                kind = "overloaded_error" if refusal.status == 529 else "rate_limit_error"
                text = "Refused, as ordered at /sandbox/refusals."
                raise RequestRefused(ApiError(refusal.status, kind, text, refusal.retry_after_seconds))

    def _of(self, model: str) -> dict[str, Bucket]:
        if model not in self._buckets:
            given = self._options
            self._buckets[model] = {
                "requests": Bucket(given.requests_per_minute, given.burst or given.requests_per_minute),
                "input-tokens": Bucket(
                    given.input_tokens_per_minute, given.input_tokens_burst or given.input_tokens_per_minute
                ),
                "output-tokens": Bucket(given.output_tokens_per_minute, given.output_tokens_per_minute),
            }
        return self._buckets[model]

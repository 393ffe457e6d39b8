"""Publishes a job's waits for its model's provider, and stops the attempt's time limit meanwhile."""

import asyncio
import logging
from collections.abc import Callable

from shared.clock import now_ms
from shared.contract.events import Waiting
from worker.agent.provider_waits import Waits

log = logging.getLogger(__name__)

MIN_PUBLISHED_WAIT_MS = 2000
"""Shorter waits are not published, as the contract says."""
MIN_CHANGE_MS = 1000
"""`until` is published again when it differs by this much from what was published."""
REPUBLISH_MS = 60_000
"""A long wait is published again after this time, because each event prolongs the job's life in Redis."""


class WaitingJob:
    """Follows the waits of one attempt as they begin, go on and end. `limit` is the attempt's time limit."""

    def __init__(self, publish: Callable[[Waiting], object], limit: asyncio.Timeout) -> None:
        self._publish = publish
        self._limit = limit
        self._began: float | None = None
        self._deadline: float | None = None
        self._published_until_ms = 0
        self._published_at_ms = 0

    @property
    def is_waiting(self) -> bool:
        """Returns whether a wait has begun and not ended."""
        return self._began is not None

    def wait(self, waits: Waits) -> None:
        """Stops the time limit of the attempt, and publishes a wait that begins or whose end has changed."""
        if self._began is None:
            self._began, self._deadline = asyncio.get_running_loop().time(), self._limit.when()
            self._limit.reschedule(None)
        now = now_ms()
        has_moved = abs(waits.until_ms - self._published_until_ms) >= MIN_CHANGE_MS
        if waits.until_ms - now >= MIN_PUBLISHED_WAIT_MS and (has_moved or now - self._published_at_ms >= REPUBLISH_MS):
            if not self._published_at_ms:
                log.info("waiting for the provider: %s", waits.reason.value, extra={"until": waits.until_ms})
            self._published_until_ms, self._published_at_ms = waits.until_ms, now
            self._publish(Waiting(reason=waits.reason, until=waits.until_ms, timestamp=now))

    def resume(self) -> None:
        """Ends the wait. The rest of the attempt's time runs from now."""
        assert self._began is not None
        if self._deadline is not None:
            self._limit.reschedule(self._deadline + asyncio.get_running_loop().time() - self._began)
        self._began, self._published_until_ms, self._published_at_ms = None, 0, 0

"""One line when Redis goes away or is full, a few while it stays so, and one when it is back: for the whole process.

Every part of a process that talks to Redis notes its failures here, so that an outage does not cost a line for each
part and each try.
"""

import logging
import threading
import time

from redis.exceptions import RedisError

from shared.state.connections import is_full, is_outage

log = logging.getLogger(__name__)

FIRST_REMINDER_SECONDS, LONGEST_REMINDER_SECONDS = 10.0, 300.0
"""Between the lines of one outage; each pause is twice as long as the one before, up to the longest."""
ECHO_SECONDS = 6.0
"""A failure so soon after the end of an outage belongs to it: a time-out that began before."""


class Outages:
    """Whether Redis is away, as the parts of this process have found; for use by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: float | None = None
        self._ended = float("-inf")
        self._next_line = 0.0
        self._pause = FIRST_REMINDER_SECONDS
        self._is_full = False

    @property
    def is_away(self) -> bool:
        """Returns whether Redis is known to be away, or to take no writes."""
        return self._began is not None

    @property
    def state(self) -> str:
        """Returns how Redis is while it is away, in words: away, or full."""
        return "full" if self._is_full else "away"

    def note(self, error: BaseException) -> None:
        """Notes that Redis is away, or full."""
        now = time.monotonic()
        with self._lock:
            self._is_full = is_full(error)
            if self._began is None:
                if now - self._ended < ECHO_SECONDS:
                    return
                self._began, self._pause = now, FIRST_REMINDER_SECONDS
            elif now < self._next_line:
                return
            else:
                self._pause = min(self._pause * 2, LONGEST_REMINDER_SECONDS)
            self._next_line = now + self._pause
            seconds = now - self._began
        if seconds:
            log.warning("Redis is still %s, after %.0f s: %s", self.state, seconds, _shown(error))
        else:
            log.warning("Redis is %s: %s", self.state, _shown(error))

    def over(self) -> None:
        """Notes that Redis answers, and takes writes."""
        if self._began is None:
            return
        with self._lock:
            began, self._began = self._began, None
            self._ended = time.monotonic()
        if began is not None:
            log.warning("Redis answers again, after %.1f s", self._ended - began)


outages = Outages()


def log_failure(what: str, error: RedisError) -> None:
    """Logs that something failed in Redis: as an outage where it is one, else as an error of its own, in one line."""
    if is_outage(error):
        outages.note(error)
    else:
        log.error("%s failed: %s: %s", what, type(error).__name__, error)


def _shown(error: BaseException) -> str:
    """Returns the kind of an error; what Redis says may hold an address with a password."""
    return type(error).__name__

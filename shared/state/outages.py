"""Logs an outage of Redis once for the whole process: when it begins, a few times while it lasts, and when it ends.

Every part of a process that uses Redis reports its failures here, so that an outage does not cause a line for each
part and each try. A Redis that answers with a refusal (its memory is full, it cannot save) is logged as such.
"""

import logging
import threading
import time

from redis.exceptions import ConnectionError, RedisError, TimeoutError

from shared.state.connections import is_full, is_outage
from shared.state.primary import NotPrimaryError

log = logging.getLogger(__name__)

FIRST_REMINDER_SECONDS, LONGEST_REMINDER_SECONDS = 10.0, 300.0
"""The pauses between the lines about one outage: each is twice as long as the one before, up to the longest."""
ECHO_SECONDS = 6.0
"""A failure so soon after the end of an outage belongs to it: a time-out that began before."""
RECENT_SECONDS = 6.0
"""Redis counts as away for this long after it has refused something."""
QUIET_SECONDS = 30.0
"""A Redis that has refused nothing for this long has stopped refusing. A single answer proves nothing: with its memory
full it takes some commands and refuses others."""


_TOO_FEW = {
    "max number of clients": "it takes no more connections; REDIS_MAX_CONNECTIONS limits what each process opens",
    "No connection available": "all connections that REDIS_MAX_CONNECTIONS gives this process are in use",
}
"""Maps a part of an error's text to what is logged in place of the error's class."""


class _Reminders:
    """Decides when the reminders of one outage are due."""

    def __init__(self, now: float) -> None:
        self.began = self.latest = self._next_line = now
        self._pause = FIRST_REMINDER_SECONDS

    def is_due(self, now: float) -> bool:
        """Counts a failure. Returns whether a reminder is due."""
        self.latest = now
        if now < self._next_line:
            return False
        self._next_line = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_REMINDER_SECONDS)
        return True


class Outages:
    """Knows whether Redis is away or refuses commands, as reported by any thread or greenlet of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away: _Reminders | None = None
        self._refusing: _Reminders | None = None
        self._refusal = "refusing"
        self._ended = float("-inf")

    @property
    def is_away(self) -> bool:
        """Returns whether Redis is known to be away, or has refused a command lately."""
        refusing = self._refusing
        return self._away is not None or (refusing is not None and time.monotonic() - refusing.latest < RECENT_SECONDS)

    @property
    def state(self) -> str:
        """Returns the state of Redis in an outage, in words: away, full, or refusing."""
        return "away" if self._away is not None else self._refusal

    def note(self, error: BaseException) -> None:
        """Records that Redis is away, or has refused a command."""
        now = time.monotonic()
        is_refusal = _is_refusal(error)
        with self._lock:
            if is_refusal:
                self._refusal = "full" if is_full(error) else "refusing"
                reminders = self._refusing = self._refusing or _Reminders(now)
            elif self._away is None and now - self._ended < ECHO_SECONDS:
                return
            else:
                reminders = self._away = self._away or _Reminders(now)
            if not reminders.is_due(now):
                return
            seconds = now - reminders.began
            state = self._refusal if is_refusal else "away"
        if seconds:
            log.warning("Redis is still %s, after %.0f s: %s", state, seconds, _reason(error))
        else:
            log.warning("Redis is %s: %s", state, _reason(error))

    def over(self) -> None:
        """Records that Redis answers."""
        if self._away is None and self._refusing is None:
            return
        now = time.monotonic()
        with self._lock:
            away, self._away = self._away, None
            if away is not None:
                self._ended = now
            refusing = self._refusing
            if refusing is not None and now - refusing.latest < QUIET_SECONDS:
                refusing = None
            elif refusing is not None:
                self._refusing = None
        if away is not None:
            log.warning("Redis answers again, after %.1f s", now - away.began)
        if refusing is not None:
            log.warning("Redis has refused nothing for %.0f s", QUIET_SECONDS)


outages = Outages()


def log_failure(what: str, error: RedisError, then: str) -> None:
    """Logs that `what` has failed in Redis, and what happens `then`. An outage is only noted."""
    if is_outage(error):
        outages.note(error)
    else:
        log.error("%s failed, %s: %s: %s", what, then, type(error).__name__, error)


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, NotPrimaryError):
        return True
    return isinstance(error, RedisError) and not isinstance(error, (ConnectionError, TimeoutError))


def _reason(error: BaseException) -> str:
    """Returns the class of an error, without its message, which may contain an address with a password."""
    return next((reason for text, reason in _TOO_FEW.items() if text in str(error)), type(error).__name__)

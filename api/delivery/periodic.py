"""Repeats work for as long as the process lives, such as keep-alives and leases."""

import logging
from collections.abc import Callable

import gevent
from redis.exceptions import RedisError

from shared.state.connections import is_outage
from shared.state.outages import log_failure

log = logging.getLogger(__name__)


def every(seconds: float, action: Callable[[], object], what: str) -> "gevent.Greenlet[..., None]":
    """Calls `action` in a greenlet of its own, `seconds` after it last returned or raised. `what` names it in the log.

    An exception is logged and does not end the loop, which ends when the greenlet is killed. Outages of Redis are
    logged once for the process; of other errors of Redis in a row only the first, second, fourth, eighth and so on.
    """
    return gevent.spawn(_repeat, seconds, action, what)


def _repeat(seconds: float, action: Callable[[], object], what: str) -> None:
    failures = 0
    while True:
        gevent.sleep(seconds)
        try:
            action()
            failures = 0
        except RedisError as error:
            failures += 1
            if is_outage(error) or failures.bit_count() == 1:
                log_failure(what, error, "and is tried again")
        except Exception:
            log.exception("%s failed and is tried again", what)

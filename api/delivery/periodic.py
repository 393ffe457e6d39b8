"""Work that a process repeats for as long as it lives, such as keep-alives and leases."""

import logging
from collections.abc import Callable

import gevent
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


def every(seconds: float, action: Callable[[], object]) -> "gevent.Greenlet[..., None]":
    """Calls `action` again and again in a greenlet of its own, `seconds` after it last returned or raised.

    An exception is logged and does not end the loop. It ends when the greenlet is killed.
    """
    return gevent.spawn(_repeat, seconds, action)


def _repeat(seconds: float, action: Callable[[], object]) -> None:
    name = getattr(action, "__qualname__", repr(action))
    while True:
        gevent.sleep(seconds)
        try:
            action()
        except RedisError as error:
            log.warning("%s failed and will be tried again: %s", name, type(error).__name__)
        except Exception:
            log.exception("%s failed and will be tried again", name)

"""The places for open streams: a few a user, across all processes.

Each is a lease that lapses by itself, so that a process that is killed locks nobody out.
"""

import logging
from uuid import uuid4

import gevent
from redis import Redis
from redis.exceptions import RedisError

from shared import keys
from shared.scripts import script

log = logging.getLogger(__name__)

LEASE_MS = 45_000
RENEW_SECONDS = 15.0
SECOND_LOOK_SECONDS = 0.25


class Places:
    """Taken and given back by requests, renewed by a timer: a busy stream never sends a keep-alive."""

    def __init__(self, redis: Redis, streams_per_user: int) -> None:
        self._redis = redis
        self._streams_per_user = streams_per_user
        self._taken: dict[str, str] = {}
        self._timer: gevent.Greenlet[..., None] | None = None

    def take(self, user_id: str) -> str | None:
        """A place, or None when the user has none left, at a second look too: the page may be reloading."""
        place = uuid4().hex
        if not self._try(user_id, place):
            gevent.sleep(SECOND_LOOK_SECONDS)
            if not self._try(user_id, place):
                return None
        self._taken[place] = user_id
        if self._timer is None:
            self._timer = gevent.spawn(self._renew_for_ever)
        return place

    def give_back(self, place: str) -> None:
        """Frees the place. While Redis is away it is left to lapse."""
        user_id = self._taken.pop(place)
        try:
            self._redis.zrem(keys.streams(user_id), place)
        except RedisError as error:
            log.warning("a stream's place is left to lapse: %s", type(error).__name__)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.kill()

    def _try(self, user_id: str, place: str) -> bool:
        args = (place, self._streams_per_user, LEASE_MS)
        return bool(script("take_place").call(self._redis, (keys.streams(user_id),), args))

    def _renew_for_ever(self) -> None:
        while True:
            gevent.sleep(RENEW_SECONDS)
            try:
                seconds, _ = self._redis.time()
                pipeline = self._redis.pipeline(transaction=False)
                for place, user_id in self._taken.items():
                    pipeline.zadd(keys.streams(user_id), {place: int(seconds) * 1000 + LEASE_MS})
                    pipeline.pexpire(keys.streams(user_id), LEASE_MS)
                pipeline.execute()
            except RedisError as error:
                log.warning("renewing the streams' places failed: %s", type(error).__name__)

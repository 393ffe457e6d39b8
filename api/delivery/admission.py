"""Admission: how many streams a user may have open at once, counted across all processes.

Each is a lease that lapses by itself, so that a process that is killed locks nobody out.
"""

import logging
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import gevent
from redis import Redis
from redis.exceptions import RedisError

from api.delivery.periodic import every
from shared.state import keys
from shared.state.event_log import EventId, Snapshot, snapshot
from shared.state.scripts import script

log = logging.getLogger(__name__)

LEASE_MS = 45_000
RENEW_SECONDS = 15.0
_PROCESS, _NUMBERS = uuid4().hex, count()
"""What names a place: one draw of lots a process, each of them asks the system."""


@dataclass(frozen=True)
class StreamRequest:
    """One stream that somebody wants to open."""

    job_id: str
    user_id: str
    cursor: EventId | None
    """What the client has seen."""
    place: str = field(default_factory=lambda: f"{_PROCESS}-{next(_NUMBERS)}")


class Refused(Exception):
    """The stream is not opened."""


class JobGone(Refused):
    """There is no such job, or it has expired."""


class JobOfAnotherUser(Refused):
    """The job is somebody else's."""


class AlreadyComplete(Refused):
    """The client has the final event."""


class TooManyStreams(Refused):
    """The user has as many streams open as may be."""


_REFUSALS = {b"gone": JobGone, b"foreign": JobOfAnotherUser, b"seen": AlreadyComplete, b"full": TooManyStreams}
"""As enter.lua says it."""


class Admission:
    """Taken and given back by requests, renewed by a timer: a busy stream never sends a keep-alive."""

    def __init__(self, redis: Redis, streams_per_user: int) -> None:
        self._redis = redis
        self._streams_per_user = streams_per_user
        self._taken: dict[str, str] = {}
        self._timer: gevent.Greenlet[..., None] | None = None

    def enter(self, request: StreamRequest, head_only: bool) -> Snapshot:
        """Takes a place and reads the job, with its log or without, in one step; `leave` must follow.

        Raises Refused, or redis.RedisError.
        """
        where = (keys.record(request.job_id), keys.log(request.job_id), keys.streams(request.user_id))
        part, cursor = "head" if head_only else "", str(request.cursor or "")
        args = (part, request.user_id, cursor, request.place, self._streams_per_user, LEASE_MS)
        reply = script("enter").call(self._redis, where, args)
        if len(reply) == 1:
            raise _REFUSALS[reply[0]]
        self._taken[request.place] = request.user_id
        if self._timer is None:
            self._timer = every(RENEW_SECONDS, self._renew)
        job = snapshot(self._redis, request.job_id, reply)
        if job is None:
            raise JobGone
        return job

    def leave(self, request: StreamRequest) -> None:
        """Gives the place back, where one was taken. While Redis is away it is left to lapse."""
        user_id = self._taken.pop(request.place, None)
        if user_id is None:
            return
        try:
            self._redis.zrem(keys.streams(user_id), request.place)
        except RedisError as error:
            log.warning("a stream's place is left to lapse: %s", type(error).__name__)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.kill()

    def _renew(self) -> None:
        seconds, _ = self._redis.time()
        pipeline = self._redis.pipeline(transaction=False)
        for place, user_id in self._taken.items():
            pipeline.zadd(keys.streams(user_id), {place: int(seconds) * 1000 + LEASE_MS})
            pipeline.pexpire(keys.streams(user_id), LEASE_MS)
        pipeline.execute()

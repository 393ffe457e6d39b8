"""Admission: how many streams a user may have open at once, counted across all processes.

A slot counts while its process sends heartbeats, so a killed process does not block slots for long. A slot is
also a lease, which lapses by itself where it could not be released.
"""

from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import gevent
from redis import Redis
from redis.exceptions import RedisError

from api.delivery.periodic import every
from shared.state import keys
from shared.state.event_log import EventId, Snapshot, snapshot
from shared.state.outages import log_failure
from shared.state.scripts import script

LEASE_MS = 45_000
RENEW_SECONDS = 15.0
ALIVE_MS = 5_000
"""A process without a heartbeat for this long counts as killed, and its slots are free."""
HEARTBEAT_SECONDS = 2.0
MAX_BATCH = 1000
"""Slots that are renewed in one step, which keeps Redis busy for a millisecond."""
_PROCESS, _NUMBERS = uuid4().hex, count()
"""A slot is named by its process and a number of its own: asking the system for a random name each time costs more."""


@dataclass(frozen=True)
class StreamRequest:
    """One stream that somebody wants to open."""

    job_id: str
    user_id: str
    cursor: EventId | None
    """What the client has seen."""
    slot: str = field(default_factory=lambda: f"{_PROCESS}-{next(_NUMBERS)}")


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
"""Maps what enter.lua answers to the exception that is raised."""


class Admission:
    """Requests take and release slots, a timer renews them: a busy stream never sends a keep-alive."""

    def __init__(self, redis: Redis, streams_per_user: int) -> None:
        self._redis = redis
        self._streams_per_user = streams_per_user
        self._taken: dict[str, str] = {}
        """Maps each slot to its user."""
        self._timers: list[gevent.Greenlet[..., None]] = []

    def enter(self, request: StreamRequest, head_only: bool) -> Snapshot:
        """Takes a slot and reads the job, with its log or without, in one step; `leave` must follow.

        Raises Refused, or redis.RedisError.
        """
        where = (
            keys.record(request.job_id),
            keys.log(request.job_id),
            keys.streams(request.user_id),
            keys.web_process(_PROCESS),
        )
        part, cursor = "head" if head_only else "", str(request.cursor or "")
        args = (part, request.user_id, cursor, request.slot, self._streams_per_user, LEASE_MS, ALIVE_MS)
        reply = script("enter").call(self._redis, where, args)
        if len(reply) == 1:
            raise _REFUSALS[reply[0]]
        self._taken[request.slot] = request.user_id
        if not self._timers:
            self._timers = [every(RENEW_SECONDS, self._renew), every(HEARTBEAT_SECONDS, self._beat)]
        job = snapshot(self._redis, request.job_id, reply)
        if job is None:
            raise JobGone
        return job

    def leave(self, request: StreamRequest) -> None:
        """Gives the slot back, where one was taken. While Redis is away it is left to lapse."""
        user_id = self._taken.pop(request.slot, None)
        if user_id is None:
            return
        try:
            self._redis.zrem(keys.streams(user_id), request.slot)
        except RedisError as error:
            log_failure("giving a stream's slot back", error)

    def stop(self) -> None:
        gevent.killall(self._timers)

    def _beat(self) -> None:
        if self._taken:
            self._hold({})

    def _renew(self) -> None:
        renewed = dict(self._taken)
        slots = list(renewed)
        for start in range(0, len(slots), MAX_BATCH):
            self._hold({slot: renewed[slot] for slot in slots[start : start + MAX_BATCH]})
        # A slot that was released meanwhile may have been taken again by this.
        for slot in renewed.keys() - self._taken.keys():
            self._redis.zrem(keys.streams(renewed[slot]), slot)

    def _hold(self, slots: dict[str, str]) -> None:
        """Says that this process is alive, and renews these slots; the user of each is given."""
        where = (keys.web_process(_PROCESS), *map(keys.streams, slots.values()))
        script("hold_streams").call(self._redis, where, (ALIVE_MS, LEASE_MS, *slots))

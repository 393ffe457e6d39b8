"""Limits how many streams a user may have open at once, counted over all processes.

A slot counts while its process sends heartbeats, so a killed process does not block slots for long. A slot is
also a lease, which expires where it could not be released.
"""

from dataclasses import dataclass, field
from itertools import count, islice
from time import monotonic
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
"""The most slots that are renewed in one step, which takes Redis about a millisecond."""
_PROCESS, _NUMBERS = uuid4().hex, count()
"""A slot is named by its process and a number, which costs less than a random name for each."""


@dataclass(frozen=True)
class StreamRequest:
    """Describes a stream that a client wants to open."""

    job_id: str
    user_id: str
    cursor: EventId | None
    """The last event that the client has seen."""
    slot: str = field(default_factory=lambda: f"{_PROCESS}-{next(_NUMBERS)}")


class Refused(Exception):
    """Serves as the base of the reasons why a stream is not opened."""


class JobGone(Refused):
    """Signals that there is no such job, or it has expired."""


class JobOfAnotherUser(Refused):
    """Signals that the job belongs to another user."""


class AlreadyComplete(Refused):
    """Signals that the client has seen the final event."""


class TooManyStreams(Refused):
    """Signals that the user has as many streams open as allowed."""


_REFUSALS = {b"gone": JobGone, b"foreign": JobOfAnotherUser, b"seen": AlreadyComplete, b"full": TooManyStreams}
"""Maps the answers of enter.lua to exceptions."""


class Admission:
    """Takes and releases the users' slots. A timer renews them, since a busy stream sends no keep-alives."""

    def __init__(self, redis: Redis, streams_per_user: int) -> None:
        self._redis = redis
        self._streams_per_user = streams_per_user
        self._taken: dict[str, str] = {}
        """Maps each slot to its user."""
        self._to_release: dict[str, tuple[str, float]] = {}
        """The slots that Redis may hold for no stream, because an answer did not come, with their users and when they
        were noted. They are forgotten when they have expired, so that clients that try again and again do not make this
        longer and longer while Redis is away."""
        self._timers: list[gevent.Greenlet[..., None]] = []

    def enter(self, request: StreamRequest, head_only: bool) -> Snapshot:
        """Takes a slot and reads the job, with its log or without, in one step. `leave` must be called later.

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
        self._start()
        try:
            reply = script("enter").call(self._redis, where, args)
        except RedisError:
            # A Redis that stood still carries the script out when it goes on.
            self._to_release[request.slot] = request.user_id, monotonic()
            raise
        if len(reply) == 1:
            raise _REFUSALS[reply[0]]
        self._taken[request.slot] = request.user_id
        job = snapshot(self._redis, request.job_id, reply)
        if job is None:
            raise JobGone
        return job

    def leave(self, request: StreamRequest) -> None:
        """Releases the slot, if one was taken. While Redis is away it is tried again with each heartbeat."""
        user_id = self._taken.pop(request.slot, None)
        if user_id is None:
            return
        try:
            self._redis.zrem(keys.streams(user_id), request.slot)
        except RedisError as error:
            self._to_release[request.slot] = user_id, monotonic()
            log_failure("releasing a stream's slot", error, "and is tried again")

    def stop(self) -> None:
        """Stops the timers that renew the slots."""
        gevent.killall(self._timers)

    def _start(self) -> None:
        if not self._timers:
            self._timers = [
                every(RENEW_SECONDS, self._renew, "renewing the slots of streams"),
                every(HEARTBEAT_SECONDS, self._beat, "sending the heartbeat of the web process"),
            ]

    def _beat(self) -> None:
        if self._taken:
            self._hold({})
        self._release_left()

    def _renew(self) -> None:
        renewed = dict(self._taken)
        slots = list(renewed)
        for start in range(0, len(slots), MAX_BATCH):
            self._hold({slot: renewed[slot] for slot in slots[start : start + MAX_BATCH]})
        # The renewal may have taken a slot again that was released meanwhile.
        self._to_release |= {slot: (renewed[slot], monotonic()) for slot in renewed.keys() - self._taken.keys()}
        self._release_left()

    def _release_left(self) -> None:
        oldest = monotonic() - LEASE_MS / 1000
        self._to_release = {slot: noted for slot, noted in self._to_release.items() if noted[1] > oldest}
        while together := dict(islice(self._to_release.items(), MAX_BATCH)):
            pipeline = self._redis.pipeline(transaction=False)
            for slot, (user_id, _) in together.items():
                pipeline.zrem(keys.streams(user_id), slot)
            pipeline.execute()
            for slot in together:
                self._to_release.pop(slot, None)

    def _hold(self, slots: dict[str, str]) -> None:
        """Sends this process's heartbeat and renews these slots, a map of slot to user."""
        where = (keys.web_process(_PROCESS), *map(keys.streams, slots.values()))
        script("hold_streams").call(self._redis, where, (ALIVE_MS, LEASE_MS, *slots))

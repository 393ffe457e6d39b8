"""Reads the log of a job, a Redis stream of numbered events, from a cursor on."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis

from shared.contract.events import FINAL
from shared.contract.schemas import AS_STORED, JobInput
from shared.contract.values import JobStatus
from shared.state import keys
from shared.state.scripts import script

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 1_000_000
"""The data of one attempt's events may be this long; an answer of the model's greatest length needs about a fifth."""

_CURSOR = re.compile(r"(0|[1-9]\d{0,8})-([1-9]\d{0,8})", re.ASCII)
_TIMESTAMP = re.compile(rb'\{"timestamp":(\d{1,15})')


class EventId(NamedTuple):
    """Represents the id of an event, written `<attempt>-<sequence>` in Redis and in the stream alike."""

    attempt: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> "EventId | None":
        """Returns the id, or None where the text is not one."""
        match = _CURSOR.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    @classmethod
    def from_bytes(cls, text: bytes) -> "EventId":
        """Returns the id that Redis has sent as `text`. Raises ValueError where it is not one."""
        attempt, _, sequence = text.partition(b"-")
        return cls(int(attempt), int(sequence))


class Entry(NamedTuple):
    """Holds one event of the log; `data` is its JSON."""

    id: EventId
    name: str
    data: bytes

    @property
    def is_final(self) -> bool:
        """Returns whether the event ends its job."""
        return self.name in FINAL

    @property
    def message(self) -> bytes:
        """Returns the message in which the entry is published."""
        return b"%d-%d %b %b" % (*self.id, self.name.encode(), self.data)

    @property
    def timestamp_ms(self) -> int | None:
        """Returns when the event happened, without parsing its JSON: it is the first field of every event."""
        match = _TIMESTAMP.match(self.data)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Snapshot:
    """Holds a job's record and the part of its log that was asked for, read in one step."""

    status: JobStatus
    attempt: int
    user_id: str
    created_at: int
    input: JobInput
    is_running: bool
    last_id: EventId | None
    entries: list[Entry]
    run: str = ""
    """Names the start of the job that the current attempt belongs to: the same id of another run is another event."""
    lost_up_to: EventId | None = None
    """The last id that a viewer had seen when the log was found rewound: a cursor up to it may be of a lost event."""


def read(redis: Redis, job_id: str, cursor: EventId | None = None, *, head_only: bool = False) -> Snapshot | None:
    """Returns the job, with what comes after the cursor; None where it is unknown or expired.

    A cursor that does not belong to the current attempt gets the whole of that attempt. `head_only` leaves the
    entries out. A record that cannot be read counts as unknown.
    """
    args = (str(cursor) if cursor else "", "head" if head_only else "")
    reply = script("read").call(redis, (keys.record(job_id), keys.log(job_id)), args)
    return snapshot(redis, job_id, reply) if reply else None


def snapshot(redis: Redis, job_id: str, reply: Sequence[Any]) -> Snapshot | None:
    """Returns what a script answered about a job; None where its record cannot be read.

    A long log is read by a second command, which also returns what was written in between, as it would for a reader
    who comes a moment later.
    """
    *head, entries = reply
    if isinstance(entries, bytes):
        entries = redis.xrange(keys.log(job_id), entries)
    try:
        return _snapshot(head, entries)
    except (AttributeError, TypeError, ValueError) as error:
        # Another program has written this record, so it is left to expire.
        log.error("the record of job %s cannot be read, so the job counts as unknown: %s", job_id, type(error).__name__)
        return None


def _snapshot(head: Sequence[bytes], entries: Iterable[tuple[bytes, list[bytes] | dict[bytes, bytes]]]) -> Snapshot:
    """Builds a snapshot. Raises ValueError, TypeError or AttributeError where a part is missing or malformed."""
    status, attempt, user, created_at, job_input, holder, last_id, run, lost_up_to = head
    return Snapshot(
        status=JobStatus(status.decode()),
        attempt=int(attempt),
        user_id=user.decode(),
        created_at=int(created_at),
        input=JobInput.model_validate_json(job_input, context=AS_STORED),
        is_running=holder != b"",
        last_id=EventId.parse(last_id.decode()),
        run=run.decode(),
        lost_up_to=EventId.parse(lost_up_to.decode()),
        entries=[_entry(entry_id, fields) for entry_id, fields in entries],
    )


def _entry(entry_id: bytes, fields: list[bytes] | dict[bytes, bytes]) -> Entry:
    name, data = (fields[b"e"], fields[b"d"]) if isinstance(fields, dict) else (fields[1], fields[3])
    return Entry(EventId.from_bytes(entry_id), name.decode(), data)


def parse_message(payload: bytes) -> Entry:
    """Returns the entry of a published message, which has the form `<id> <name> <JSON>`."""
    entry_id, name, data = payload.split(b" ", 2)
    return Entry(EventId.from_bytes(entry_id), name.decode(), data)

"""Defines the outcomes of each change to a job in Redis.

An outcome is a member of an enum, or a dataclass where there is more to say. The values of the enums are the words that
the scripts return.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from shared.contract.schemas import JobInput, TokenUsage
from shared.contract.values import Cause, JobStatus


@dataclass(frozen=True)
class Created:
    """Says that the job is stored and queued. `remaining` more may be created in the next `reset_ms` milliseconds."""

    job_id: str
    created_at: int
    remaining: int
    reset_ms: int


@dataclass(frozen=True)
class Replayed:
    """Says that the idempotency key belongs to this job, which was created from the same body."""

    job_id: str
    status: JobStatus
    created_at: int


@dataclass(frozen=True)
class RateLimited:
    """Says that the user has created as many jobs as allowed; the next is possible after `retry_after_ms`."""

    retry_after_ms: int


class NotCreated(StrEnum):
    """Says why a job was not created."""

    KEY_REUSED = "conflict"
    """The idempotency key belongs to a job with another body."""
    QUEUE_FULL = "full"


@dataclass(frozen=True)
class Attempt:
    """Holds a started attempt, and what it needs to run. `execution` is RQ's id of the execution it belongs to."""

    job_id: str
    number: int
    cause: Cause | None
    failures: int
    user_id: str
    input: JobInput
    usage: TokenUsage
    execution: str = ""
    created_at: int = field(default=0, compare=False)
    """When the job was created, in milliseconds since the Unix epoch."""
    ran_ms: int = field(default=0, compare=False)
    """How long the job had run before, in milliseconds from the start of its first attempt on, queueing included."""
    waited_ms: int = field(default=0, compare=False)
    """How long the job has waited for its model's provider on workers that gave it back, in milliseconds."""

    @property
    def run(self) -> str:
        """Returns the part of `execution` that goes with each event, besides the number, to fence off other runs."""
        return self.execution.rpartition(":")[2]


@dataclass(frozen=True)
class UnreadAttempt:
    """Holds a started attempt of a job that this version cannot read, since a newer version has written it."""

    job_id: str
    number: int
    version: str
    """The version that wrote the record."""
    age_ms: int
    """How long ago the job was created, by this host's clock."""


class NotStarted(StrEnum):
    """Says why an attempt was not started."""

    GONE = "gone"
    """The job has expired."""
    ENDED = "ended"
    """The job had ended already."""
    CANCELLED = "cancelled"
    """A cancel had been asked for: the job has ended by this."""
    FAILED = "failed"
    """The failures or attempts that are allowed are used up: the job has ended by this."""
    TAKEN = "taken"
    """Another execution runs the job."""
    USED_UP = "used up"
    """The failures or attempts that are allowed are used up; the caller ends the job."""
    LOST = "lost"
    """The job is no longer the caller's."""


class AttemptStatus(StrEnum):
    """Represents the status of an attempt, as the worker that runs it learns it in answer to an event or a renewal."""

    CURRENT = "ok"
    CANCEL_ASKED = "cancel"
    """It is current, and a cancel has been asked for."""
    LOST = "lost"
    """The job is gone, has ended, or runs as another attempt: nothing more of this one is written."""
    REFUSED = "refused"
    """Redis refused the event again and again, by an error that is no outage: the attempt cannot be logged."""


class ReleaseOutcome(StrEnum):
    """Says what happened to the job of an attempt that was given back."""

    RELEASED = "released"
    """The job has to be queued again."""
    CANCELLED = "cancelled"
    """A cancel had been asked for: the job has ended by this."""
    OVER = "over"
    """The job is gone or had ended already: there is nothing to run again."""
    LOST = "lost"
    """The job is no longer the caller's: it waits or runs as another attempt."""


class CancelOutcome(StrEnum):
    """Represents the outcome of a cancel where no worker has to be stopped."""

    GONE = "gone"
    FOREIGN = "foreign"
    """The job belongs to another user."""
    OVER = "over"
    """The job had ended already."""
    CANCELLED = "cancelled"
    """The job was waiting and has ended by this cancel."""


@dataclass(frozen=True)
class CancelAsked:
    """Says that the job runs, so its worker, named `holder`, has to be told to stop it."""

    holder: str


class Suspect(NamedTuple):
    """Holds a job that seems to be abandoned, with its lease and RQ's execution as they were read ('' for none)."""

    job_id: str
    lease: str
    execution: str


class RequeueOutcome(StrEnum):
    """Says what happened to a job that seemed to be abandoned."""

    ALIVE = "alive"
    CLEANED = "cleaned"
    """Only what RQ had left over was removed."""
    REQUEUED = "requeued"
    CANCELLED = "cancelled"
    LOST = "lost"
    """It has failed: the failures that are allowed are used up."""

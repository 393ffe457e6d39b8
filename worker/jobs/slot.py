"""The slot of a worker that runs one job, as the code it runs sees it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.client import Pipeline

if TYPE_CHECKING:
    from worker.jobs.job_runner import JobRunner


@dataclass
class Slot:
    """The place a job runs in: who runs it, as which execution of RQ's, and whether RQ may still keep books on it."""

    runner: "JobRunner"
    execution: str
    queued_at: float | None = None
    """When the job came into the queue, in seconds since the epoch."""
    books: Pipeline | None = None
    """What RQ is to write down when the attempt starts, in the same step."""
    is_lost: bool = False


slot: ContextVar[Slot] = ContextVar("slot")

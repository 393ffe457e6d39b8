"""Defines the slot of a worker, as the job that runs in it sees it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.jobs.job_runner import JobRunner


@dataclass
class Slot:
    """Represents one of the slots of a worker while a job runs in it."""

    runner: "JobRunner"
    execution: str
    """RQ's key of this execution: `<job id>:<execution id>`."""
    queued_at: float | None = None
    """When the job was put into the queue, in seconds since the epoch."""
    is_lost: bool = False
    """Whether another worker has the job, or the queue, so that RQ may delete only this execution of it."""


current_slot: ContextVar[Slot] = ContextVar("current_slot")
"""The slot that this thread serves now."""

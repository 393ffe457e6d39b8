"""The slot of a worker that runs one job, as the code it runs sees it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.jobs.job_runner import JobRunner


@dataclass
class Slot:
    """One of the slots of a worker while a job runs in it."""

    runner: "JobRunner"
    execution: str
    """RQ's name of this run of the job: `<job id>:<execution id>`."""
    queued_at: float | None = None
    """When the job came into the queue, in seconds since the epoch."""
    is_lost: bool = False
    """Whether the job runs or waits elsewhere now, so that RQ may forget this run but nothing else of the job."""


current_slot: ContextVar[Slot] = ContextVar("current_slot")
"""The slot that this thread serves now."""

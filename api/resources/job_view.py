"""Folds a job's log into its view as JSON."""

import logging

from shared.contract.events import Transcript, decode, fold
from shared.contract.schemas import JobView
from shared.state.event_log import Snapshot
from shared.state.job_store import JobStore
from shared.state.queue_view import poll_queue

log = logging.getLogger(__name__)


def job_view(jobs: JobStore, job_id: str, job: Snapshot) -> JobView:
    """Returns the job, with its position in the queue if it waits. Raises redis.RedisError."""
    seen = Transcript(status=job.status)
    for entry in job.entries:
        try:
            seen = fold(seen, decode(entry.name, entry.data), str(entry.id))
        except (KeyError, ValueError) as error:
            log.error(
                "event %s of job %s is left out of its JSON, since it cannot be read: %s",
                entry.id,
                job_id,
                type(error).__name__,
            )
    position = None
    if not job.is_running and not job.status.is_final:
        position = poll_queue(jobs.redis, jobs.queue.key, [job_id]).positions.get(job_id)
    return JobView(
        job_id=job_id,
        status=job.status,
        created_at=job.created_at,
        attempt=job.attempt or None,
        last_event_id=seen.last_event_id,
        input=job.input,
        text=seen.text,
        suggestions=list(seen.suggestions) if seen.suggestions else None,
        is_partial=seen.is_partial,
        token_usage=seen.token_usage,
        error=seen.error,
        queue_position=position,
        waiting=seen.waiting,
    )

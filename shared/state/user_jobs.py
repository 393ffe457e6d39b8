"""Lists the jobs of one user that are still kept."""

import logging

from redis import Redis

from shared.contract.schemas import AS_STORED, JobInput, JobSummary
from shared.contract.values import JobStatus
from shared.state import keys
from shared.state.scripts import script

log = logging.getLogger(__name__)

MAX_LISTED = 50
"""A list names at most this many jobs."""
MAX_INDEXED = 500
"""Redis keeps the ids of this many jobs of each user, which limits the cost of a list in which most jobs are gone."""


def jobs_of(redis: Redis, user_id: str) -> list[JobSummary]:
    """Returns the user's jobs, the newest first. Raises redis.RedisError.

    A job whose record cannot be read is left out.
    """
    found = script("jobs_of").call(redis, (keys.jobs(user_id),), (user_id, MAX_LISTED))
    return [summary for job in found if (summary := _summary(*job))]


def _summary(job_id: bytes, status: bytes, created_at: bytes, job_input: bytes) -> JobSummary | None:
    try:
        asked = JobInput.model_validate_json(job_input, context=AS_STORED)
        fields = {
            "job_id": job_id.decode(),
            "status": JobStatus(status.decode()),
            "created_at": int(created_at),
            "page_or_component": asked.page_or_component,
            "feature_type": asked.feature_type,
            "priority_level": asked.priority_level,
        }
        return JobSummary.model_validate(fields, context=AS_STORED)
    except ValueError as error:
        log.error(
            "the record of job %s cannot be read, so it is left out of its user's list: %s",
            job_id.decode(errors="replace"),
            type(error).__name__,
        )
        return None

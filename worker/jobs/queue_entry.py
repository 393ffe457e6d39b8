"""Checks that an entry of RQ's queue may be run: it must call our function with the job that it is named after.

RQ calls any function that an entry names, also as a callback. Without this check, anyone who can write to Redis could
run any code here, with the model's key in its environment.
"""

import re
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

from shared.state import keys
from shared.state.job_queue import FUNCTION

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


MAX_DATA_BYTES = 4_096
"""The most bytes of an entry's stored data; ours has some 150. Unpacked, data may be a thousand times longer."""


class BoundedJob(Job):
    """Represents an entry of the queue whose data is unpacked only if it is no longer than that of our entries."""

    def restore(self, raw_data: Any) -> Any:
        """Reads RQ's hash of the job. Raises EntryTooLong where its data is too long to be ours."""
        length = len(raw_data.get(b"data", b"")) if isinstance(raw_data, dict) else 0
        if length > MAX_DATA_BYTES:
            raise EntryTooLong(self.id, length)
        return super().restore(raw_data)


class EntryTooLong(ValueError):
    """Signals that an entry has more data than ours have."""

    def __init__(self, job_id: str, length: int) -> None:
        super().__init__(f"{length} bytes of data")
        self.job_id = job_id


def refusal(job: Job) -> str | None:
    """Returns why the entry must not be run, or None if it is valid. It calls nothing that the entry names."""
    if not _JOB_ID.fullmatch(job.id):
        return "its name is not the id of a job"
    try:
        called = job.func_name, job.instance, list(job.args), job.kwargs
    except (DeserializationError, TypeError):
        return "its data cannot be read"
    if not isinstance(job.meta, dict):
        return "its `meta` is no dictionary"
    if called != (FUNCTION, None, [job.id], {}):
        return "it calls something else than the function that runs its job"
    if job._success_callback_name or job._failure_callback_name or job._stopped_callback_name or job.webhooks:
        return "it names a callback"
    if job.origin != keys.QUEUE_NAME or job._dependency_ids or job.group_id or job.repeats_left or job.rate_limit_key:
        return "it uses options of RQ that our entries never have"
    return None

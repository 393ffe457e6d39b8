"""Finds the jobs whose worker has gone, and puts them back to the front of the queue.

Any process may sweep, a worker or a web process, so that a job whose workers are all gone goes back to the queue and
its viewers learn of it. One does at a time, under a lease, since a sweep looks at every running job. The lease only
saves work: putting a job back is one step that only the first of several sweepers can take.
"""

import logging
import os
from uuid import uuid4

from redis.exceptions import RedisError

from shared.contract.values import ErrorCode, JobStatus
from shared.state.connections import is_outage
from shared.state.job_store import JobStore
from shared.state.outcomes import RequeueOutcome, Suspect
from shared.telemetry.metrics import job_metrics

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.5
"""Longer than a worker takes to renew (2 s): a job counts as abandoned when two sweeps this far apart agree, so that
jobs are not restarted after a pause of Redis that is longer than a lease."""
LEAD_MS = 6_000
"""Another process sweeps when the one that did has not for this long. It is less than a job's lease, so that jobs whose
worker was also the sweeper do not wait longer than others."""
_HOST = uuid4().hex

_NEXT = {
    RequeueOutcome.ALIVE: "nothing: its worker is alive",
    RequeueOutcome.CLEANED: "nothing: it had ended",
    RequeueOutcome.REQUEUED: "another attempt, from the front of the queue",
    RequeueOutcome.CANCELLED: "none: it was cancelled",
    RequeueOutcome.LOST: "none: the job has failed, since MAX_ATTEMPTS attempts lost their worker or failed",
}


class Sweeper:
    """Looks for abandoned jobs each time `sweep` is called, if this process leads; the caller decides how often."""

    def __init__(self, store: JobStore, process: str = "") -> None:
        """Builds a sweeper. `process` names the process among all that use this Redis; by default a name is made."""
        self._store = store
        self._process = process or f"{_HOST}-{os.getpid()}"
        self._suspects: set[Suspect] = set()
        self._unreadable: set[str] = set()
        """The ids of entries that have been logged as unreadable."""

    def sweep(self) -> None:
        """Looks for abandoned jobs once, unless another process does it now.

        Raises redis.RedisError; the next call starts over.
        """
        before, self._suspects = self._suspects, set()
        if not self._store.leads_sweep(self._process, LEAD_MS):
            return
        suspects = self._store.suspects()
        for suspect in suspects:
            if suspect in before and suspect.job_id not in self._unreadable:
                self._requeue(suspect)
        self._suspects = set(suspects) - before

    def _requeue(self, suspect: Suspect) -> None:
        """Puts one job back. An entry that cannot be handled is logged once and skipped."""
        try:
            if "\ufffd" in suspect.job_id:
                raise ValueError("its id is not UTF-8")
            outcome = self._store.requeue(suspect)
        except (RedisError, ValueError) as error:
            if isinstance(error, RedisError) and is_outage(error):
                raise
            self._unreadable.add(suspect.job_id)
            log.error(
                "an entry of the queue cannot be handled and is skipped from now on: %s",
                error,
                extra={"job_id": suspect.job_id[:100]},
            )
        else:
            if outcome is RequeueOutcome.CANCELLED:
                job_metrics().ended.labels(JobStatus.CANCELLED, "").inc()
            elif outcome is RequeueOutcome.LOST:
                job_metrics().ended.labels(JobStatus.FAILED, ErrorCode.WORKER_LOST).inc()
            log.warning(
                "a job seemed abandoned: its worker had gone, or the queue had lost it",
                extra={"job_id": suspect.job_id, "outcome": outcome.value, "next": _NEXT[outcome]},
            )

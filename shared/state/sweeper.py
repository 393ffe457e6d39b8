"""Finds the jobs whose worker has gone, and puts them back to the front of the queue.

Every process sweeps, workers and API alike, so that a job whose workers are all gone goes back to the queue and its
viewers learn of it. No lock is needed: putting a job back is one step that only the first of several can take.
"""

import logging

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


_NEXT = {
    RequeueOutcome.ALIVE: "nothing: its worker is alive",
    RequeueOutcome.CLEANED: "nothing: it had ended",
    RequeueOutcome.REQUEUED: "another attempt, from the front of the queue",
    RequeueOutcome.CANCELLED: "none: it was cancelled",
    RequeueOutcome.LOST: "none: the job has failed, since MAX_ATTEMPTS attempts lost their worker or failed",
}


class Sweeper:
    """Looks for abandoned jobs each time `sweep` is called; the caller decides how often."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._suspects: set[Suspect] = set()
        self._unreadable: set[str] = set()
        """The ids of entries that have been logged as unreadable."""

    def sweep(self) -> None:
        """Looks for abandoned jobs once. Raises redis.RedisError; the next call starts over."""
        suspects, before = self._store.suspects(), self._suspects
        self._suspects = set()
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

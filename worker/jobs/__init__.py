"""Running jobs: the function that RQ calls for each, whose dotted name stands in the queue."""

from rq.job import Retry

from worker.jobs.slot import slot


def suggest_features(job_id: str) -> Retry | None:
    """What the queue names (`shared.state.job_queue.FUNCTION`); runs in a slot of a ConcurrentWorker."""
    return slot.get().runner.run(job_id, slot.get())

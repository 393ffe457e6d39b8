"""Runs jobs. RQ finds the function below by its dotted name, which is stored in the queue."""

from rq.job import Retry

from worker.jobs.slot import current_slot


def suggest_features(job_id: str) -> Retry | None:
    """Runs a job in a slot of a ConcurrentWorker; `shared.state.job_queue.FUNCTION` names this function."""
    slot = current_slot.get()
    return slot.runner.run(job_id, slot)

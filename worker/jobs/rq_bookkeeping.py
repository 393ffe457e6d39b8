"""Adapts what RQ stores about a worker and its jobs to a worker that runs many jobs at once.

It depends on these private parts of rq 3.0, each of which has a test in tests/worker/jobs/test_rq_contract.py:
`_finalize_success`, `_finalize_failure`, `_pubsub_exception_handler`, `executions`.
"""

import json
import logging
import time
from types import TracebackType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import StartedJobRegistry
from rq.results import Result
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus
from rq.worker_registration import clean_worker_registry, register

from shared.state.neighbours import SETTINGS_FIELD, describe_queue, find_neighbours
from shared.state.outages import log_failure, outages
from worker.jobs.job_context import Stop
from worker.jobs.job_runner import JobRunner
from worker.jobs.queue_entry import BoundedJob
from worker.jobs.slot import current_slot

log = logging.getLogger(__name__)

AWAY_SECONDS = 0.5
WORKER_TTL_SECONDS = 60
EXECUTION_TTL_SECONDS = 7200
"""RQ's own lease is longer than any job, so that only our lease decides whether a job is abandoned."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class NoDeathPenalty(BaseDeathPenalty):
    """Replaces RQ's time-outs, which use signals and so work only in the main thread. Ours run on the event loop."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class RqBookkeeping(BaseWorker):
    """Represents the worker to RQ. All jobs share a few connections; none holds one while it waits for another."""

    death_penalty_class = NoDeathPenalty
    job_class = BoundedJob
    log_result_lifespan = False

    def __init__(
        self,
        queue: Queue,
        runner: JobRunner,
        *,
        connection: Redis,
        lease_pool: Redis,
        name: str,
        settings_hash: str,
    ) -> None:
        """Builds the worker. `connection` serves the bookkeeping of all slots; `lease_pool` what must not wait for it.

        Workers of one deployment have the same `settings_hash`.
        """
        super().__init__(
            [queue], name=name, connection=connection, serializer=queue.serializer, log_job_description=False
        )
        self._runner = runner
        self._lease_pool = lease_pool
        self._settings_hash = settings_hash

    def serialize(self) -> dict[Any, Any]:
        """Returns RQ's record of this worker, with the hash of its settings added."""
        return {**super().serialize(), SETTINGS_FIELD: self._settings_hash}

    def _set_ip_address(self, connection: Redis) -> None:
        """Leaves this to `register_birth`, which is tried again: RQ would ask Redis while the worker is built."""
        self.ip_address = "unknown"

    def register_birth(self) -> None:
        """Registers the worker. Its name is unique, so no earlier registration has to be checked."""
        super()._set_ip_address(self.connection)
        self.birth_date = self.last_heartbeat = now()
        self.show_presence()

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        """Deletes only the execution of a job that another worker has by now; other jobs are RQ's to finish.

        RQ's hash of such a job is set to expire, since nothing would delete it if the job no longer exists.
        """
        if not current_slot.get().is_lost:
            super()._finalize_success(job, queue, execution, return_value)
            return
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, execution)
            pipeline.expire(job.key, EXECUTION_TTL_SECONDS)
            pipeline.execute()

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """Replaces RQ's last heartbeat, which is not needed: the next step deletes the job, or queues it again."""
        job.ended_at = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        """Deletes what RQ holds of the job in one step.

        RQ's own way holds one connection while it waits for others, to look for what our jobs never have: dependents,
        a group, a rate limit, repeats, a result. When many jobs end at once, they would all wait for each other.
        """
        assert job.started_at and job.ended_at
        with self.connection.pipeline() as pipeline:
            self.increment_successful_job_count(pipeline)
            self.increment_total_working_time(job.ended_at - job.started_at, pipeline)
            self.cleanup_execution(job, pipeline, execution)
            kept = (job.key, job.dependents_key, job.dependencies_key, job.execution_registry.key)
            pipeline.delete(*kept, Result.get_key(job.id))
            pipeline.execute()

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: ExcInfo) -> None:  # type: ignore[override]
        """Leaves the job to the sweep, which runs it again.

        The failure of a job is stored in its record. An exception that reaches this is a bug, or an error of Redis.
        """
        self.executions.pop(execution.id, None)
        if isinstance(exc_info[1], RedisError):
            log_failure(f"a step of job {job.id}", exc_info[1], "so the sweep queues the job again")
        else:
            log.error("an unexpected error ended job %s here; the sweep queues it again", job.id, exc_info=exc_info)

    def show_presence(self) -> None:
        """Renews RQ's record of this worker. It writes all of it each time, since Redis may have lost parts of it."""
        state = WorkerStatus.BUSY if self.executions else WorkerStatus.IDLE
        with self._lease_pool.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            register(self, pipeline)
            self.set_state(state, pipeline)
            self.heartbeat(pipeline=pipeline)
            pipeline.execute()

    def run_maintenance_tasks(self) -> None:
        """Removes workers that have gone from RQ's lists, and warns of workers of another deployment.

        It leaves jobs to the sweep: RQ's own maintenance would call the callbacks that a forged entry names.
        """
        for queue in self.queues:
            clean_worker_registry(queue)
        if (warning := describe_queue(find_neighbours(self._lease_pool))) is not None:
            log.warning(warning)
        self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ declares it by its first value, None

    @property
    def connection_timeout(self) -> int:
        """Returns 0, so that RQ keeps the time-outs of the sockets, which are long enough for DEQUEUE_SECONDS.

        RQ would raise them to some 400 s, and wait that long for a silent Redis.
        """
        return 0

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handles a command from this worker's channel. Only the command to stop a job is accepted.

        RQ's own handling knows only the first of many executions, and would let anyone who can publish end the worker.
        """
        try:
            payload = json.loads(message["data"])
            command, job_id = payload["command"], payload.get("job_id")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a command on RQ's channel of this worker is ignored, since it cannot be read")
            return
        if command in ("stop-job", "stop-execution") and isinstance(job_id, str):
            self._runner.stop(job_id, Stop.CANCEL)
        else:
            log.warning(
                "a command on RQ's channel of this worker is ignored, since only stop-job is supported",
                extra={"command": str(command)[:100]},
            )

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Lets the listener try again. With RQ's own handler it ends at a time-out; then no stop command arrives."""
        if isinstance(exc, RedisError):
            log_failure("listening for commands", exc, "and is tried again")
        else:
            outages.note(exc)
        time.sleep(AWAY_SECONDS)  # needed while the worker stops too: the listener is stopped after the jobs

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return EXECUTION_TTL_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Sends a heartbeat with one fixed time to live: RQ would use a job's time-out for the worker."""
        super().heartbeat(WORKER_TTL_SECONDS, pipeline)

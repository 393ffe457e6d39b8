"""What RQ writes down of a worker and its jobs, where a worker that runs many jobs at once has to differ.

Private parts of rq 3.0 that this leans on, each with a test in tests/worker/jobs/test_rq_contract.py:
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
"""RQ's own lease is longer than any job: our lease decides."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class NoDeathPenalty(BaseDeathPenalty):
    """RQ's time-outs are signals, which work in the main thread only; ours are on the loop."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class RqBookkeeping(BaseWorker):
    """A worker as RQ knows it. All jobs share a few connections, and none holds one while it waits for another."""

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
        """`connection` serves the bookkeeping of all slots; `lease_pool` serves what must never wait for that.

        By `settings_hash` the workers of one deployment know each other.
        """
        super().__init__(
            [queue], name=name, connection=connection, serializer=queue.serializer, log_job_description=False
        )
        self._runner = runner
        self._lease_pool = lease_pool
        self._settings_hash = settings_hash

    def serialize(self) -> dict[Any, Any]:
        """Returns RQ's record of this worker, with a field of ours."""
        return {**super().serialize(), SETTINGS_FIELD: self._settings_hash}

    def register_birth(self) -> None:
        """Registers the worker. Its name is unique, so no earlier registration has to be checked."""
        self.birth_date = self.last_heartbeat = now()
        self.show_presence()

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        """Forgets an execution whose job is this worker's no longer, and touches nothing else of the job.

        Where the job has gone for good, nobody else would ever delete what RQ holds of it: that expires.
        """
        if not current_slot.get().is_lost:
            super()._finalize_success(job, queue, execution, return_value)
            return
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, execution)
            pipeline.expire(job.key, EXECUTION_TTL_SECONDS)
            pipeline.execute()

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """Sends no last heartbeat: the next step deletes the job, or queues it anew."""
        job.ended_at = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        """Forgets the job in one step.

        RQ's holds one connection of the pool while it waits for others, to look for what a job of ours never has:
        dependents, a group, a rate limit, repeats, a result. When many end at once, all would wait for each other.
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

        A job fails by its own record, never by an exception: one is a mistake of ours, or Redis's.
        """
        self.executions.pop(execution.id, None)
        if isinstance(exc_info[1], RedisError):
            log_failure(f"job {job.id}", exc_info[1])
        else:
            log.error("job %s raised; the sweep will find it", job.id, exc_info=exc_info)

    def show_presence(self) -> None:
        """Keeps RQ's record of this worker fresh, and writes it whole each time: Redis may have lost any part of it."""
        state = WorkerStatus.BUSY if self.executions else WorkerStatus.IDLE
        with self._lease_pool.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            register(self, pipeline)
            self.set_state(state, pipeline)
            self.heartbeat(pipeline=pipeline)
            pipeline.execute()

    def run_maintenance_tasks(self) -> None:
        """Removes workers that have gone from RQ's lists, and warns of those that are not this deployment's.

        It does nothing about jobs, which are the sweep's.

        RQ's own way would call what a forged entry of its registries names as a callback.
        """
        for queue in self.queues:
            clean_worker_registry(queue)
        if (warning := describe_queue(find_neighbours(self._lease_pool))) is not None:
            log.warning(warning)
        self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ declares it by its first value, None

    @property
    def connection_timeout(self) -> int:
        """Keeps the time-outs of the sockets. RQ would raise them to some 400 s, and wait that long for a silent Redis.

        They are long enough as they are for DEQUEUE_SECONDS.
        """
        return 0

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Takes a command from this worker's channel: to stop a job, and no other.

        RQ's own handling of that sees only the first of many executions, and whoever can publish could end the worker.
        """
        try:
            payload = json.loads(message["data"])
            command, job_id = payload["command"], payload.get("job_id")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a command that cannot be read was ignored")
            return
        if command in ("stop-job", "stop-execution") and isinstance(job_id, str):
            self._runner.stop(job_id, Stop.CANCEL)
        else:
            log.warning("a command was ignored: only stop-job is taken", extra={"command": str(command)[:100]})

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Has the listener try again. RQ's lets it die of a time-out; then no stop command would ever arrive again."""
        if isinstance(exc, RedisError):
            log_failure("listening for commands", exc)
        else:
            outages.note(exc)
        time.sleep(AWAY_SECONDS)  # also while the worker stops: the listener is stopped after its jobs

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return EXECUTION_TTL_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Gives all heartbeats one time to live: RQ would take a job's for the worker's."""
        super().heartbeat(WORKER_TTL_SECONDS, pipeline)

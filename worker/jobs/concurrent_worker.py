"""One ordinary RQ worker that runs many jobs at once.

RQ has no such worker (rq/rq #45); this file can go when it has. A thread a slot does RQ's bookkeeping, `perform_job`
untouched, so registries, retries, `rq info` and Sentry work; the job itself waits on the process's event loop. RQ keeps
books in a dozen steps a job. These are two here, of the same public parts: many jobs share few connections and one GIL.

Private parts of rq 3.0 that this leans on, each with a test in tests/worker/jobs/test_rq_contract.py:
`_finalize_success`, `_finalize_failure`, `_pubsub_exception_handler`, `_ordered_queues`, `executions`.
"""

import logging
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from types import FrameType, TracebackType
from typing import Any, Protocol

import sentry_sdk
from redis import Redis
from redis.exceptions import RedisError
from rq.command import parse_payload
from rq.exceptions import DequeueTimeout
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import StartedJobRegistry
from rq.results import Result
from rq.suspension import is_suspended
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

from shared import __version__
from shared.state import keys
from shared.telemetry import breadcrumbs, logs
from worker.jobs.job_runner import JobRunner
from worker.jobs.running_job import Stop
from worker.jobs.slot import Slot, slot

log = logging.getLogger(__name__)

DEQUEUE_SECONDS = 1
"""A blocking pop waits this long, then looks whether the worker is to stop. No signal handler ever raises, so no job
that was popped gets lost on the way."""
AWAY_SECONDS = 0.5
SUSPENSION_SECONDS = 1.0
"""How late `rq suspend` and `rq resume` may be heeded."""
WORKER_TTL_SECONDS = 60
EXECUTION_TTL_SECONDS = 7200
"""RQ's own lease, longer than any job: ours decides."""
GIVE_BACK_SECONDS = 10.0

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Heartbeat(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class NoDeathPenalty(BaseDeathPenalty):
    """RQ's time-outs are signals, which work in the main thread only; ours are on the loop."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class ConcurrentWorker(BaseWorker):
    """Takes a job only while a slot is free."""

    death_penalty_class = NoDeathPenalty
    log_result_lifespan = False

    def __init__(
        self,
        queue: Queue,
        runner: JobRunner,
        *,
        connection: Redis,
        lease_pool: Redis,
        name: str,
        concurrency: int,
        drain_seconds: float,
    ) -> None:
        """`connection` serves the bookkeeping of all slots; `lease_pool` serves what must never wait for that."""
        super().__init__(
            [queue], name=name, connection=connection, serializer=queue.serializer, log_job_description=False
        )
        self._runner = runner
        self._lease_pool = lease_pool
        self._concurrency = concurrency
        self._slots = threading.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="slot")
        self._taken: set[Future[None]] = set()
        self._drain_seconds = drain_seconds
        self._holds_still = False
        self._next_look = 0.0
        self._stopping = threading.Event()
        self._hurrying = threading.Event()

    def run(self, heartbeat: Heartbeat) -> None:
        """Works until SIGTERM or SIGINT, then lets the running jobs finish or gives them back.

        The heartbeat runs from when the worker is registered until its last job is given back; later it would register
        the worker anew.
        """
        self.bootstrap(logging_level=None)
        heartbeat.start()
        log.info("ready", extra={"worker": self.name, "version": __version__, "slots": self._concurrency})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request_stop)
        try:
            while not self._stopping.is_set():
                self._take_one()
            self._drain()
        finally:
            self._threads.shutdown(wait=True)
            heartbeat.stop()
            self._say_goodbye()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """The first signal stops taking jobs; the second one does not wait for those that run."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def _take_one(self) -> None:
        if not self._slots.acquire(timeout=DEQUEUE_SECONDS):
            return
        is_taken = False
        try:
            if self._is_suspended():
                self._stopping.wait(AWAY_SECONDS)
                return
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            job, queue = self._dequeue()
            if job is not None:
                self.execute_job(job, queue)
                is_taken = True
        except DequeueTimeout:
            pass
        except RedisError as error:
            log.warning("Redis is away: %s", type(error).__name__)
            self._stopping.wait(AWAY_SECONDS)
        finally:
            if not is_taken:
                self._slots.release()

    def _is_suspended(self) -> bool:
        """Whether `rq suspend` holds, looked up once a second and not for each of many jobs."""
        if time.monotonic() >= self._next_look:
            self._holds_still = bool(is_suspended(self._lease_pool))
            self._next_look = time.monotonic() + SUSPENSION_SECONDS
        return self._holds_still

    def _dequeue(self) -> tuple[Job | None, Queue]:
        result = self.queue_class.dequeue_any(
            self._ordered_queues,
            DEQUEUE_SECONDS,
            connection=self._lease_pool,
            job_class=self.job_class,
            serializer=self.serializer,
            death_penalty_class=self.death_penalty_class,
        )
        if result is None:
            return None, self.queues[0]
        job, _ = result
        job.connection = self.connection  # what is kept of it is kept with the other books
        return job, self.queues[0]

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hands the job to a slot's thread. A failure here leaves it to the sweep."""
        future = self._threads.submit(self._in_slot, job, queue)
        self._taken.add(future)
        future.add_done_callback(self._taken.discard)

    def _in_slot(self, job: Job, queue: Queue) -> None:
        logs.bind_anew(request_id=job.meta.get("request_id"), job_id=job.id)
        try:
            books = self.connection.pipeline()
            execution = Execution.create(job, EXECUTION_TTL_SECONDS, books, self.name)
            self.executions[execution.id] = execution
            queued_at = job.enqueued_at.timestamp() if job.enqueued_at else None
            current = Slot(self._runner, execution.composite_key, queued_at, books)
            token = slot.set(current)
            try:
                # A slot's thread serves one job after the other; what Sentry knows of one is not the next one's.
                with sentry_sdk.isolation_scope() if sentry_sdk.is_initialized() else nullcontext():
                    breadcrumbs.tag(job=job.id)
                    self.perform_job(job, queue, execution)
            finally:
                slot.reset(token)
        except RedisError as error:
            # The job's record is whole; whatever RQ still holds of this execution the sweep clears.
            log.warning("Redis went away while job %s was kept: %s", job.id, type(error).__name__)
        except Exception:
            log.exception("keeping RQ's books on job %s failed", job.id)
        finally:
            self._slots.release()

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Adds to the execution what else RQ writes down at a job's beginning; its attempt's start sends it all.

        RQ takes two steps more for it, with heartbeats that the heartbeat thread sends here.
        """
        books = slot.get().books
        assert books is not None
        self.set_state(WorkerStatus.BUSY, books)
        job.prepare_for_execution(self.name, books)
        books.persist(job.key)
        books.lrem(self.queues[0].intermediate_queue_key, 1, job.id)

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        """Forgets an execution whose job runs elsewhere now, and touches nothing else of it."""
        if not slot.get().is_lost:
            super()._finalize_success(job, queue, execution, return_value)
            return
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, execution)
            pipeline.execute()

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """No last heartbeat: the next step deletes the job, or queues it anew."""
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
        """A job fails by its own record, never by an exception: one is ours or Redis's, and the sweep runs it again."""
        self.executions.pop(execution.id, None)
        if isinstance(exc_info[1], RedisError):
            log.warning("job %s was dropped, the sweep will find it: %s", job.id, type(exc_info[1]).__name__)
        else:
            log.error("job %s was dropped, the sweep will find it", job.id, exc_info=exc_info)

    def _drain(self) -> None:
        """Waits for the running jobs, then gives back those that are left; no attempt is spent on that."""
        log.info("draining", extra={"running": len(self._taken)})
        deadline = time.monotonic() + self._drain_seconds
        while self._taken and time.monotonic() < deadline and not self._hurrying.is_set():
            wait(tuple(self._taken), timeout=0.1)
        self._runner.drain()
        wait(tuple(self._taken), timeout=GIVE_BACK_SECONDS)

    def _say_goodbye(self) -> None:
        try:
            self.connection.zrem(keys.WORKERS, self.name)
            self.teardown()
        except RedisError as error:
            log.warning("Redis is away, the goodbye was not heard: %s", type(error).__name__)

    def show_presence(self) -> None:
        """Keeps RQ's record of this worker fresh, and writes it anew where Redis has lost it."""
        if not self._lease_pool.exists(self.key):
            self.register_birth()
        with self._lease_pool.pipeline() as pipeline:
            self.set_state(WorkerStatus.BUSY if self.executions else WorkerStatus.IDLE, pipeline)
            self.heartbeat(pipeline=pipeline)
            pipeline.execute()

    @property
    def connection_timeout(self) -> int:
        """RQ raises its sockets' time-outs to this, some 400 s, and would wait that long for a Redis that has fallen
        silent. They are long enough as they are for DEQUEUE_SECONDS."""
        return 0

    def handle_payload(self, message: dict[str, Any]) -> None:
        """RQ's own handling of a stop command sees only the first of many executions."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._runner.stop(str(payload.get("job_id")), Stop.CANCEL)
        else:
            super().handle_payload(message)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """RQ's lets the listener die of a time-out; then no stop command would ever arrive again."""
        log.warning("the command listener lost Redis, reconnecting: %s", type(exc).__name__)
        self._stopping.wait(AWAY_SECONDS)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return EXECUTION_TTL_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """One life for all heartbeats: RQ would take a job's for the worker's."""
        super().heartbeat(WORKER_TTL_SECONDS, pipeline)

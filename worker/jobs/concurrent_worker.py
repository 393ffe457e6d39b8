"""Implements an RQ worker that runs many jobs at once.

RQ has no such worker (rq/rq #45); this file can go when it has. Each slot has a thread for RQ's bookkeeping, in which
RQ's own `perform_job` runs, so registries, retries, `rq info` and Sentry work. The job itself runs on the process's
event loop.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Protocol

import sentry_sdk
from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.queue import Queue
from rq.suspension import is_suspended

from shared import __version__
from shared.state import keys
from shared.state.connections import is_outage
from shared.state.outages import log_failure
from shared.telemetry import breadcrumbs, logs
from shared.telemetry.tracing import TRACEPARENT, Span
from worker.jobs.job_runner import JobRunner
from worker.jobs.queue_entry import refusal
from worker.jobs.rq_bookkeeping import AWAY_SECONDS, RqBookkeeping
from worker.jobs.shutdown import Shutdown
from worker.jobs.slot import Slot, current_slot

log = logging.getLogger(__name__)

DEQUEUE_SECONDS = 1
"""A blocking pop waits this long; then the worker checks whether it has to stop. No signal handler ever raises, so no
job that was popped gets lost on the way."""
SUSPENSION_SECONDS = 1.0
"""`rq suspend` and `rq resume` take effect within this time."""
HELD_SHARE = 0.25
"""While this share of the slots is taken by jobs that wait for their model's provider, no more jobs are taken. In the
queue a job's position stays true, another worker can take it, and its MAX_WAIT_SECONDS do not run. It is a share of the
slots and not a fixed number, since jobs for another model may stand further back in the queue."""
HELD_SECONDS = 0.01
"""The worker checks again after this time whether it may take a job."""
RELEASE_SECONDS = 10.0
"""Jobs that are released, and then those that are abandoned, have this long to stop."""


class PartDied(Exception):
    """Signals that a part of the process without which no job can run has ended. The message names the part."""


class Heartbeat(Protocol):
    """Is what the worker needs of its heartbeat."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ConcurrentWorker(RqBookkeeping):
    """Takes a job only while a slot is free."""

    def __init__(
        self,
        queue: Queue,
        runner: JobRunner,
        *,
        connection: Redis,
        lease_pool: Redis,
        name: str,
        settings_hash: str,
        concurrency: int,
        drain_seconds: float,
        shutdown: Shutdown,
    ) -> None:
        super().__init__(
            queue, runner, connection=connection, lease_pool=lease_pool, name=name, settings_hash=settings_hash
        )
        self._concurrency = concurrency
        self._slots = threading.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="slot")
        self._taken: set[Future[None]] = set()
        self._drain_seconds = drain_seconds
        self._shutdown_request = shutdown
        self._holds_still = False
        self._suspension_checked_at = float("-inf")
        self.last_turn = time.monotonic()
        """When the thread that takes jobs last began a turn, by the monotonic clock."""

    def run(self, heartbeat: Heartbeat, find_dead_part: Callable[[], str | None]) -> None:
        """Takes jobs until a stop is asked for, then lets the running jobs finish or gives them back to the queue.

        The heartbeat runs from the worker's registration until its last job is released; a later one would register it
        anew. Raises PartDied when `find_dead_part` returns a name.
        """
        if not self._register():
            return
        heartbeat.start()
        log.info("ready", extra={"worker": self.name, "version": __version__, "slots": self._concurrency})
        while not self._shutdown_request.is_asked:
            self._take_turn(find_dead_part)
            self._take_one()
        self._drain(find_dead_part)
        self._threads.shutdown(wait=False)
        heartbeat.stop()
        self._unregister()

    @property
    def is_stopping(self) -> bool:
        """Returns whether the worker takes no more jobs."""
        return self._shutdown_request.is_asked

    @property
    def is_busy(self) -> bool:
        """Returns whether jobs are still running."""
        return bool(self._taken)

    def _register(self) -> bool:
        """Registers the worker and listens for commands. It retries for as long as Redis is away.

        Returns False if a stop is asked for first; a registration that was begun is left to expire.
        """
        for step in (self.register_birth, self.subscribe):
            while True:
                if self._shutdown_request.is_asked:
                    return False
                try:
                    step()
                    break
                except RedisError as error:
                    log_failure("registering the worker", error, "and is tried again")
                    self._shutdown_request.wait(AWAY_SECONDS)
        return True

    def _take_turn(self, find_dead_part: Callable[[], str | None]) -> None:
        self.last_turn = time.monotonic()
        if part := find_dead_part():
            raise PartDied(part)

    def _take_one(self) -> None:
        starting = len(self._taken) - self._runner.running_count
        if starting + self._runner.held_count >= max(1, self._concurrency * HELD_SHARE):
            self._shutdown_request.wait(HELD_SECONDS)
            return
        if not self._slots.acquire(timeout=DEQUEUE_SECONDS):
            return
        is_taken = False
        try:
            if self._find_suspension():
                self._shutdown_request.wait(AWAY_SECONDS)
                return
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if (job := self._dequeue()) is not None:
                self.execute_job(job, self.queues[0])
                is_taken = True
        except RedisError as error:
            log_failure("taking a job from the queue", error, "and is tried again")
            self._shutdown_request.wait(AWAY_SECONDS)
        finally:
            if not is_taken:
                self._slots.release()

    def _find_suspension(self) -> bool:
        """Returns whether `rq suspend` is in force. It asks Redis once a second, and not for each job."""
        if time.monotonic() >= self._suspension_checked_at + SUSPENSION_SECONDS:
            self._holds_still = bool(is_suspended(self._lease_pool))
            self._suspension_checked_at = time.monotonic()
        return self._holds_still

    def _dequeue(self) -> Job | None:
        """Takes the next entry of the queue. Returns its job; None where there is no entry, or it must not be run.

        Raises redis.RedisError where the queue itself cannot be read.
        """
        try:
            result = self.queue_class.dequeue_any(
                self._ordered_queues,
                DEQUEUE_SECONDS,
                connection=self._lease_pool,
                job_class=self.job_class,
                serializer=self.serializer,
                death_penalty_class=self.death_penalty_class,
            )
        except DequeueTimeout:
            return None
        except Exception as error:
            job_id = getattr(error, "job_id", None)
            if isinstance(error, RedisError) and (job_id is None or is_outage(error)):
                raise
            self._refuse(job_id, f"it cannot be read ({type(error).__name__})")
            return None
        if result is None:
            return None
        job, _ = result
        if (reason := refusal(job)) is not None:
            self._refuse(job.id, reason)
            return None
        job.connection = self.connection  # the slots' connections keep its state
        return job

    def _refuse(self, job_id: str | None, reason: str) -> None:
        """Discards an entry that must not be run. The sweep removes it from RQ's intermediate list, where it is now.

        If there is a job with this id, the sweep queues it again with a proper entry.
        """
        log.error(
            "an entry of the queue is discarded and not run, because %s",
            reason,
            extra={"entry": job_id and job_id[:100]},
        )
        if job_id is not None:
            self._lease_pool.delete(Job.key_for(job_id))

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hands the job to the thread of a slot. If that fails, the sweep finds the job and queues it again."""
        future = self._threads.submit(self._run_in_slot, job, queue)
        self._taken.add(future)
        future.add_done_callback(self._taken.discard)

    def _run_in_slot(self, job: Job, queue: Queue) -> None:
        try:
            logs.rebind(request_id=job.meta.get("request_id"), job_id=job.id)
            execution = self.prepare_execution(job)
            queued_at = job.enqueued_at.timestamp() if job.enqueued_at else None
            token = current_slot.set(Slot(self._runner, execution.composite_key, queued_at))
            try:
                # A slot's thread serves one job after the other, so each job needs a Sentry scope of its own.
                with sentry_sdk.isolation_scope() if sentry_sdk.is_initialized() else nullcontext():
                    breadcrumbs.tag(job=job.id)
                    with Span("job", "CONSUMER", job.meta.get(TRACEPARENT), planner__job=job.id).current():
                        self.perform_job(job, queue, execution)
            finally:
                current_slot.reset(token)
        except RedisError as error:
            # The job's record is complete. The sweep removes what RQ still holds of this execution.
            log_failure(f"RQ's bookkeeping of job {job.id}", error, "and is left to the sweep")
        except Exception:
            log.exception("RQ's bookkeeping of job %s failed and is left to the sweep", job.id)
        finally:
            self._slots.release()

    def _drain(self, find_dead_part: Callable[[], str | None]) -> None:
        """Waits for the running jobs, then releases those that are left, which does not count as a failed attempt.

        A job that cannot be released while Redis is away is abandoned: its lease lapses, and another worker runs it.
        """
        if not self._taken:
            return
        log.info(
            "stopping: waiting for the running jobs",
            extra={"running": len(self._taken), "seconds": self._drain_seconds},
        )
        self._runner.release_waiting()
        self._wait_for_jobs(self._drain_seconds, find_dead_part, is_patient=True)
        self._runner.drain()
        self._wait_for_jobs(RELEASE_SECONDS, find_dead_part)
        if self._taken:
            log.error(
                "%d jobs could not be released; other workers run them when their leases expire", len(self._taken)
            )
            self._runner.abandon()
            self._wait_for_jobs(RELEASE_SECONDS, find_dead_part)

    def _wait_for_jobs(
        self, seconds: float, find_dead_part: Callable[[], str | None], *, is_patient: bool = False
    ) -> None:
        """Waits until no job runs, at most `seconds`. If `is_patient`, the wait also ends when the stop is urgent."""
        deadline = time.monotonic() + seconds
        while self._taken and time.monotonic() < deadline and not (is_patient and self._shutdown_request.is_urgent):
            self._take_turn(find_dead_part)
            wait(tuple(self._taken), timeout=0.1)

    def _unregister(self) -> None:
        try:
            self.connection.zrem(keys.WORKERS, self.name)
            self.teardown()
        except RedisError as error:
            log_failure("unregistering the worker", error, "so its registration is left to expire")

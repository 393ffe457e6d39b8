"""One ordinary RQ worker that runs many jobs at once.

RQ has no such worker (rq/rq #45); this file can go when it has. A thread a slot does RQ's bookkeeping, `perform_job`
untouched, so registries, retries, `rq info` and Sentry work; the job itself waits on the process's event loop.
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
"""While so many of the slots' jobs wait for their model's provider, no more are taken: in the queue their position is
true, another worker can take them, and no MAX_WAIT_SECONDS run. A share of the slots and not a handful, since the queue
may hold jobs for another model behind those."""
HELD_SECONDS = 0.01
"""Whether there are still so many is looked up again after this time."""
RELEASE_SECONDS = 10.0
"""Jobs that are released, and then those that are abandoned, have this long to stop."""


class PartDied(Exception):
    """A part of the process without which no job can run has ended; the message names it."""


class Heartbeat(Protocol):
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
        """When the thread that takes jobs was last seen to work, by the monotonic clock."""

    def run(self, heartbeat: Heartbeat, find_dead_part: Callable[[], str | None]) -> None:
        """Works until a stop is asked for, then lets the running jobs finish or gives them back.

        The heartbeat runs from when the worker is registered until its last job is released; later it would register
        the worker anew. Raises PartDied when `find_dead_part` names something.
        """
        self._register()
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
        """Returns whether no more jobs are taken."""
        return self._shutdown_request.is_asked

    @property
    def is_busy(self) -> bool:
        """Returns whether some jobs have not ended yet."""
        return bool(self._taken)

    def _register(self) -> None:
        """Registers the worker and listens for commands, however long Redis is away before that."""
        for step in (self.register_birth, self.subscribe):
            while not self._shutdown_request.is_asked:
                try:
                    step()
                    break
                except RedisError as error:
                    log_failure("registering the worker", error)
                    self._shutdown_request.wait(AWAY_SECONDS)

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
            log_failure("taking a job", error)
            self._shutdown_request.wait(AWAY_SECONDS)
        finally:
            if not is_taken:
                self._slots.release()

    def _find_suspension(self) -> bool:
        """Returns whether `rq suspend` holds, looked up once a second and not for each of many jobs."""
        if time.monotonic() >= self._suspension_checked_at + SUSPENSION_SECONDS:
            self._holds_still = bool(is_suspended(self._lease_pool))
            self._suspension_checked_at = time.monotonic()
        return self._holds_still

    def _dequeue(self) -> Job | None:
        """Takes the next entry of the queue. An entry that cannot be run is reported, and None returned.

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
        """Does not run an entry. It stands in RQ's intermediate list now, from where the sweep removes it.

        Where a job of ours has that id, the sweep queues it anew, with an entry as it should be.
        """
        log.error("an entry of the queue was not run: %s", reason, extra={"entry": job_id and job_id[:100]})
        if job_id is not None:
            self._lease_pool.delete(Job.key_for(job_id))

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hands the job to a slot's thread. A failure here leaves it to the sweep."""
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
                # A slot's thread serves one job after the other; what Sentry knows of one is not the next one's.
                with sentry_sdk.isolation_scope() if sentry_sdk.is_initialized() else nullcontext():
                    breadcrumbs.tag(job=job.id)
                    with Span("job", "CONSUMER", job.meta.get(TRACEPARENT), planner__job=job.id).current():
                        self.perform_job(job, queue, execution)
            finally:
                current_slot.reset(token)
        except RedisError as error:
            # The job's record is whole; whatever RQ still holds of this execution the sweep clears.
            log_failure("RQ's bookkeeping of a job", error)
        except Exception:
            log.exception("RQ's bookkeeping of job %s failed", job.id)
        finally:
            self._slots.release()

    def _drain(self, find_dead_part: Callable[[], str | None]) -> None:
        """Waits for the running jobs, then releases those that are left, which spends no attempt.

        A job that cannot be released while Redis is away is abandoned: its lease lapses, and another worker runs it.
        """
        if not self._taken:
            return
        log.info("draining", extra={"running": len(self._taken), "seconds": self._drain_seconds})
        self._runner.release_waiting()
        self._wait_for_jobs(self._drain_seconds, find_dead_part, is_patient=True)
        self._runner.drain()
        self._wait_for_jobs(RELEASE_SECONDS, find_dead_part)
        if self._taken:
            log.error("%d jobs could not be released; other workers run them when their leases lapse", len(self._taken))
            self._runner.abandon()
            self._wait_for_jobs(RELEASE_SECONDS, find_dead_part)

    def _wait_for_jobs(
        self, seconds: float, find_dead_part: Callable[[], str | None], *, is_patient: bool = False
    ) -> None:
        """Waits until no job runs, at most so long; a patient wait ends when the stop is urgent."""
        deadline = time.monotonic() + seconds
        while self._taken and time.monotonic() < deadline and not (is_patient and self._shutdown_request.is_urgent):
            self._take_turn(find_dead_part)
            wait(tuple(self._taken), timeout=0.1)

    def _unregister(self) -> None:
        try:
            self.connection.zrem(keys.WORKERS, self.name)
            self.teardown()
        except RedisError as error:
            log_failure("unregistering the worker", error)

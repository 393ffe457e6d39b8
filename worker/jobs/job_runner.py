"""Runs the jobs of a worker process, each for its slot."""

import logging
import threading
import time

from rq.job import Retry

from shared import __version__
from shared.contract.schemas import TokenUsage
from shared.contract.values import ErrorCode, JobStatus
from shared.state.agent_store import AgentStore
from shared.state.gate_store import GateStore
from shared.state.job_store import MAX_STARTS, JobStore
from shared.state.outcomes import Attempt, AttemptStatus, NotStarted, ReleaseOutcome, UnreadAttempt
from shared.telemetry import breadcrumbs
from shared.telemetry.metrics import job_metrics, worker_metrics
from worker.jobs.job_context import Agent, JobContext, Outcome, Stop
from worker.jobs.loop_thread import LoopThread
from worker.jobs.model_gate import ModelGate
from worker.jobs.running_job import RunningJob
from worker.jobs.slot import Slot
from worker.publishing.log_writer import LogWriter
from worker.publishing.publisher import Lifetimes, Publisher

log = logging.getLogger(__name__)

UNREAD_SECONDS = 1.0
"""The pause between two tries with a job that this version cannot read; much shorter than a lease."""
MOST_RETRIES = 1_000_000
"""RQ requires a limit; the job's age is the one that counts."""


class JobRunner:
    """Runs the jobs of a process. The thread of a job's slot waits while the job's coroutine runs on the event loop."""

    def __init__(
        self,
        *,
        name: str,
        store: JobStore,
        agents: AgentStore,
        agent: Agent,
        gates: GateStore,
        writer: LogWriter,
        loop: LoopThread,
        models: tuple[str, ...],
        timeout_seconds: float,
        interval_seconds: float,
    ) -> None:
        self._name = name
        self._store = store
        self._agents = agents
        self._agent = agent
        self._gates = gates
        self._writer = writer
        self._loop = loop
        self._models = models
        self._timeout_seconds = timeout_seconds
        self._interval_seconds = interval_seconds
        self._lifetimes = Lifetimes(store.ttl_ms, store.retention_ms)
        self._last_unread = ""
        self._running: dict[str, RunningJob] = {}
        """The running jobs by RQ's execution id: a job may come back to this worker while an earlier run of it ends."""
        self._lock = threading.Lock()
        self._is_stopping = False
        self._is_draining = False

    def run(self, job_id: str, slot: Slot) -> Retry | None:
        """Runs the job until it has ended, or another worker has it. It is called in a slot's thread.

        Returns RQ's Retry for a job that has to be run again elsewhere. Raises redis.RedisError.
        """
        attempt = self._store.start(job_id, self._name, slot.execution)
        if isinstance(attempt, UnreadAttempt):
            return self._return_unread(attempt, slot)
        if not isinstance(attempt, Attempt):
            # RQ's data of a job that is gone or has ended is deleted; of one that runs on another worker it is kept.
            slot.is_lost = attempt is NotStarted.TAKEN
            if attempt is NotStarted.CANCELLED:
                _count_end(JobStatus.CANCELLED)
            elif attempt is NotStarted.FAILED:
                log.error("the job has failed: it has used up the attempts that are allowed")
                _count_end(JobStatus.FAILED, ErrorCode.WORKER_LOST)
            return None
        breadcrumbs.tag(user_id=attempt.user_id)
        if slot.queued_at is not None:
            worker_metrics().queue_wait_seconds.observe(max(0.0, time.time() - slot.queued_at))
        kept = self._store.kept_turns(job_id) if attempt.cause is not None else []
        job = RunningJob(attempt, self._context(attempt), kept)
        outcome = self._run(job)
        if outcome is Outcome.DRAINED:
            is_released = self._release(job.attempt, slot, job.waited_ms, job.usage)
            return Retry(max=MAX_STARTS, enqueue_at_front=True) if is_released else None
        if outcome is Outcome.REFUSED:
            self._fail(job.attempt, slot)
        else:
            slot.is_lost = outcome is Outcome.LOST
        return None

    def _release(
        self, attempt: Attempt | UnreadAttempt, slot: Slot, waited_ms: int = 0, usage: TokenUsage | None = None
    ) -> bool:
        """Gives an attempt back. Returns whether the job has to be queued again."""
        released = self._store.release(attempt, self._name, waited_ms, usage)
        slot.is_lost = released is ReleaseOutcome.LOST
        if released is ReleaseOutcome.CANCELLED:
            _count_end(JobStatus.CANCELLED)
        return released is ReleaseOutcome.RELEASED

    def _fail(self, attempt: Attempt | UnreadAttempt, slot: Slot) -> None:
        """Ends the job of an attempt as failed, unless another worker has it by now."""
        slot.is_lost = self._store.fail(attempt, self._name, ErrorCode.INTERNAL) is AttemptStatus.LOST
        if not slot.is_lost:
            _count_end(JobStatus.FAILED, ErrorCode.INTERNAL)

    def _return_unread(self, unread: UnreadAttempt, slot: Slot) -> Retry | None:
        """Gives back a job with a value that this version does not know, so that a newer worker can run it.

        Each try takes a slot for a moment and does not count as an attempt. If no newer worker takes the job before its
        time to live is over, it fails.
        """
        if unread.age_ms > self._store.ttl_ms:
            log.error("the job has a value that this version does not know, and no newer worker took it: it has failed")
            self._fail(unread, slot)
            return None
        if unread.job_id != self._last_unread:
            self._last_unread = unread.job_id
            log.warning(
                "the job has a value that this version does not know: it is put back for a newer worker",
                extra={"written_by": unread.version, "version": __version__},
            )
        time.sleep(UNREAD_SECONDS)
        return Retry(max=MOST_RETRIES) if self._release(unread, slot) else None

    def abandon(self) -> None:
        """Abandons the remaining jobs while Redis is away. Their leases expire, and other workers run them."""
        for job in list(self._running.values()):
            self._stop(job, Stop.LOST)
        self._loop.call(self._writer.give_up)

    def stop(self, job_id: str, reason: Stop) -> None:
        """Stops a job if it runs on this worker. It may be called from any thread."""
        for job in list(self._running.values()):
            if job.attempt.job_id == job_id:
                self._stop(job, reason)

    def release_waiting(self) -> None:
        """Releases each job as soon as it waits for the provider, since a stopping worker does not wait for that."""
        with self._lock:
            self._is_stopping = True
            running = list(self._running.values())
        for job in running:
            self._loop.call(job.release_if_waiting)

    def drain(self) -> None:
        """Releases all jobs, including those that are just starting."""
        with self._lock:
            self._is_draining = True
            running = list(self._running.values())
        for job in running:
            self._stop(job, Stop.DRAIN)

    def renew(self, store: JobStore) -> None:
        """Renews the leases, over `store` with its own connections, and stops jobs that were cancelled or lost.

        Raises redis.RedisError.
        """
        jobs = [job for job in list(self._running.values()) if not job.is_renumbering]
        attempts = [job.attempt for job in jobs]
        for job, attempt, status in zip(jobs, attempts, store.renew(self._name, attempts), strict=True):
            if status is AttemptStatus.CANCEL_ASKED:
                self._stop(job, Stop.CANCEL)
            elif status is AttemptStatus.LOST and not job.is_renumbering and job.attempt is attempt:
                self._stop(job, Stop.LOST)

    @property
    def running_count(self) -> int:
        """Returns how many jobs this worker runs now."""
        return len(self._running)

    @property
    def held_count(self) -> int:
        """Returns how many jobs wait for their model's provider, or have not asked it yet."""
        return sum(job.is_held for job in list(self._running.values()))

    def _run(self, job: RunningJob) -> Outcome:
        """Runs the job on the event loop. An earlier run of the same job in this process is stopped as lost."""
        execution = job.attempt.execution
        with self._lock:
            earlier = [other for other in self._running.values() if other.attempt.job_id == job.attempt.job_id]
            self._running[execution] = job
            if self._is_stopping:
                job.release_if_waiting()
            if self._is_draining:
                job.stop(Stop.DRAIN)
        for other in earlier:
            self._stop(other, Stop.LOST)
        try:
            return self._loop.run(job.run())
        finally:
            with self._lock:
                del self._running[execution]

    def _stop(self, job: RunningJob, reason: Stop) -> None:
        self._loop.call(lambda: job.stop(reason))

    def _context(self, attempt: Attempt) -> JobContext:
        agent = self._agents.get(attempt.user_id)
        model = attempt.input.custom_model or self._models[0]
        label = model if model in self._models else "other"
        return JobContext(
            agent=self._agent,
            model=model,
            model_label=label,
            gate=ModelGate(self._gates, model, label, attempt.job_id, attempt.created_at),
            user_agent=agent if agent and agent.is_active else None,
            timeout_seconds=self._timeout_seconds,
            max_attempts=self._store.max_attempts,
            new_publisher=lambda number, on_answer: Publisher(
                self._writer,
                attempt.job_id,
                number,
                lifetimes=self._lifetimes,
                interval_seconds=self._interval_seconds,
                run=attempt.run,
                on_answer=on_answer,
            ),
            start_again=lambda last: self._store.start_again(last, self._name),
            keep_turn=self._store.keep_turn,
        )


def _count_end(status: JobStatus, code: str = "") -> None:
    """Counts a job that has ended without a running attempt."""
    job_metrics().ended.labels(status, code).inc()

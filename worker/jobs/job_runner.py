"""Runs the jobs of a worker process, each for its slot."""

import threading
import time

from rq.job import Retry

from shared.state.agent_store import AgentStore
from shared.state.job_store import MAX_STARTS, Attempt, JobStore
from shared.telemetry import breadcrumbs
from shared.telemetry.metrics import worker_metrics
from worker.jobs.loop_thread import LoopThread
from worker.jobs.running_job import Agent, JobContext, Outcome, RunningJob, Stop
from worker.jobs.slot import Slot
from worker.publishing.log_writer import LogWriter
from worker.publishing.publisher import Lifetimes, Publisher


class JobRunner:
    """Runs the jobs of a process: each waits in its slot's thread while its coroutine runs on the one loop."""

    def __init__(
        self,
        *,
        name: str,
        store: JobStore,
        agents: AgentStore,
        agent: Agent,
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
        self._writer = writer
        self._loop = loop
        self._models = models
        self._timeout_seconds = timeout_seconds
        self._interval_seconds = interval_seconds
        self._lifetimes = Lifetimes(store.ttl_ms, store.retention_ms)
        self._running: dict[str, RunningJob] = {}
        self._lock = threading.Lock()
        self._is_draining = False

    def run(self, job_id: str, slot: Slot) -> Retry | None:
        """Runs the job to its end, or until it is taken from us; called in a slot's thread.

        Returns RQ's Retry for a job that has to be run again elsewhere. Raises redis.RedisError.
        """
        attempt = self._store.start(job_id, self._name, slot.execution, slot.books)
        if isinstance(attempt, str):
            # Gone and ended jobs are dropped. One that runs elsewhere has its books kept there.
            slot.is_lost = attempt == "taken"
            return None
        breadcrumbs.tag(user_id=attempt.user_id)
        if slot.queued_at is not None:
            worker_metrics().queue_wait_seconds.observe(max(0.0, time.time() - slot.queued_at))
        job = RunningJob(attempt, self._context(attempt))
        outcome = self._run(job)
        if outcome is Outcome.DRAINED and self._store.release(job_id, job.attempt.number, self._name):
            return Retry(max=MAX_STARTS, enqueue_at_front=True)
        slot.is_lost = outcome is Outcome.LOST
        return None

    def stop(self, job_id: str, reason: Stop) -> None:
        """Stops a job, if it runs here; from any thread."""
        if job := self._running.get(job_id):
            self._loop.call(lambda: job.stop(reason))

    def drain(self) -> None:
        """Gives every job back, those included that are just starting."""
        with self._lock:
            self._is_draining = True
            running = list(self._running)
        for job_id in running:
            self.stop(job_id, Stop.DRAIN)

    def renew(self, store: JobStore) -> None:
        """Renews the leases by a store that waits for nobody, and stops what was cancelled or lost.

        Raises redis.RedisError.
        """
        jobs = {job_id: job for job_id, job in list(self._running.items()) if not job.is_renumbering}
        numbers = {job_id: job.attempt.number for job_id, job in jobs.items()}
        for job_id, answer in store.renew(self._name, numbers).items():
            job = jobs[job_id]
            if answer == "cancel":
                self.stop(job_id, Stop.CANCEL)
            elif answer == "lost" and not job.is_renumbering and job.attempt.number == numbers[job_id]:
                self.stop(job_id, Stop.LOST)

    @property
    def running_count(self) -> int:
        """Jobs that run here now."""
        return len(self._running)

    def _run(self, job: RunningJob) -> Outcome:
        job_id = job.attempt.job_id
        with self._lock:
            self._running[job_id] = job
            if self._is_draining:
                job.stop(Stop.DRAIN)
        try:
            return self._loop.run(job.run())
        finally:
            with self._lock:
                del self._running[job_id]

    def _context(self, attempt: Attempt) -> JobContext:
        agent = self._agents.get(attempt.user_id)
        model = attempt.input.custom_model or self._models[0]
        return JobContext(
            agent=self._agent,
            model=model,
            model_label=model if model in self._models else "other",
            user_agent=agent if agent and agent.is_active else None,
            timeout_seconds=self._timeout_seconds,
            max_attempts=self._store.max_attempts,
            new_publisher=lambda number, on_answer: Publisher(
                self._writer,
                attempt.job_id,
                number,
                lifetimes=self._lifetimes,
                interval_seconds=self._interval_seconds,
                on_answer=on_answer,
            ),
            start_again=lambda last: self._store.start_again(last, self._name),
        )

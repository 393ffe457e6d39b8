"""Provides one interface to the workers that are compared: ours and its alternatives."""

import os
import shlex
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from redis import Redis
from rq import Queue, Worker

from shared.contract.schemas import JobInput
from shared.contract.values import FeatureType, JobStatus, PriorityLevel
from shared.settings import Settings
from shared.state import keys
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Created
from tests.bench.measures import cpu_seconds, family
from tests.conftest import wait_until
from tests.stack import Process, Stack

NO_LIMITS = CreateLimits(jobs_per_minute=10**9, max_queued_jobs=10**9)
QUEUE = "rival"
JOB = "tests.bench.rivals.rq_job.suggest_features"
START_SECONDS, STOP_SECONDS = 180, 15
ENDED = {status.value.encode() for status in JobStatus if status.is_final}

T = TypeVar("T")


class Workers(ABC):
    """Represents the workers of one kind. `slots` is how many jobs they can run at once."""

    def __init__(self, system: Stack, slots: int) -> None:
        self.system = system
        self.slots = slots
        self.idle_mb = 0.0
        """The memory in MB before the first job."""
        self._connections_before = len(system.redis.client_list())
        self._roots: list[Process] = []

    @abstractmethod
    def start(self) -> None:
        """Starts the workers, and returns when all of them are ready for a job."""

    @abstractmethod
    def enqueue(self, page: str) -> None:
        pass

    @abstractmethod
    def unfinished(self) -> int:
        """Returns how many of the enqueued jobs have not ended."""

    def pids(self) -> list[int]:
        return [pid for root in self._roots for pid in family(root.pid)]

    def cpu_seconds(self) -> float:
        return _once_nobody_vanishes(lambda: cpu_seconds(self.pids()))

    def memory_mb(self) -> float:
        """Returns the memory in MB that they would take if nothing else ran here: pages that they share count once.

        The resident size of a single process counts, since it shares nothing with its like; its PSS would leave out
        pages that it happens to share with the other processes measured here.
        """
        return _once_nobody_vanishes(lambda: _memory_mb(self.pids()))

    def resident_mb(self) -> float:
        """Returns the sum of their resident sizes in MB, with shared pages counted in each."""
        return _once_nobody_vanishes(lambda: sum(_kilobytes(pid, "Rss") for pid in self.pids()) * 1024 / 1e6)

    def dropped(self) -> int:
        """Returns how often our worker gave up RQ's bookkeeping of a job, which should never happen."""
        return sum("bookkeeping of" in line for root in self._roots for line in root.lines)

    def connections(self) -> int:
        """Returns the number of connections to Redis that the workers have opened."""
        return len(self.system.redis.client_list()) - self._connections_before

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stops the workers from taking jobs within this block, which has to be short."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ends the workers and all processes that they have started."""
        pids = self.pids()
        for root in self._roots:
            root.send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(root.popen.poll() is None for root in self._roots):
            time.sleep(0.05)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for root in self._roots:
            root.cleanup()


class OurWorker(Workers):
    """Represents the `worker` process of the Procfile; its jobs are created as the API creates them."""

    def start(self) -> None:
        settings = Settings(redis_url=self.system.redis_server.url)
        self._store = JobStore(self.system.redis, settings)
        self._running: set[str] = set()
        self._roots = [self.system.start_worker(WORKER_CONCURRENCY=str(self.slots), DRAIN_SECONDS="0")]

    def enqueue(self, page: str) -> None:
        job = JobInput(
            page_or_component=page, feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.MEDIUM
        )
        created = self._store.create("alice", job, None, NO_LIMITS)
        assert isinstance(created, Created)
        self._running.add(created.job_id)

    def unfinished(self) -> int:
        running = list(self._running)
        with self.system.redis.pipeline(transaction=False) as pipeline:
            for job_id in running:
                pipeline.hget(keys.record(job_id), "status")
            statuses = pipeline.execute()
        self._running = {job_id for job_id, status in zip(running, statuses, strict=True) if status not in ENDED}
        return len(self._running)


class _RqWorkers(Workers):
    """Represents RQ's own workers, on a queue as RQ makes it."""

    def __init__(self, system: Stack, slots: int) -> None:
        super().__init__(system, slots)
        self._queue = Queue(QUEUE, connection=system.redis)
        self._enqueued = 0
        self._finished_before = self._finished()

    def enqueue(self, page: str) -> None:
        self._queue.enqueue(JOB, str(uuid4()), page)
        self._enqueued += 1

    def unfinished(self) -> int:
        return self._enqueued - (self._finished() - self._finished_before)

    def _finished(self) -> int:
        redis: Redis = self.system.redis
        registries = (self._queue.finished_job_registry, self._queue.failed_job_registry)
        return sum(int(redis.zcard(registry.key)) for registry in registries)

    def _wait_until_registered(self) -> None:
        wait_until(lambda: Worker.count(queue=self._queue) == self.slots, seconds=START_SECONDS)


class WorkerPool(_RqWorkers):
    """Represents `rq worker-pool`, whose processes fork for every job."""

    def start(self) -> None:
        command = f"rq worker-pool {QUEUE} --num-workers {self.slots} --logging-level WARNING"
        self._roots = [self.system.start("pool", [*shlex.split(command), "--url", self.system.redis_server.url])]
        self._wait_until_registered()


class SimpleWorkers(_RqWorkers):
    """Represents processes that have imported everything, each of which runs one job after the other."""

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.bench.rivals.simple_worker"]
        self._roots = [self.system.start("simple worker", command) for _ in range(self.slots)]
        self._wait_until_registered()


class ForkedSimpleWorkers(_RqWorkers):
    """Represents the same processes, forked from one parent that has imported everything."""

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.bench.rivals.simple_pool"]
        self._roots = [self.system.start("simple pool", command, RIVALS=str(self.slots))]
        self._wait_until_registered()


W = TypeVar("W", bound=Workers)


@contextmanager
def running(workers: W) -> Iterator[W]:
    """Starts the workers, yields them, and stops them at the end."""
    try:
        workers.start()
        workers.idle_mb = workers.memory_mb()
        yield workers
    finally:
        workers.stop()


def _once_nobody_vanishes(read: Callable[[], T]) -> T:
    """Returns what `read` returns; tries again if a process has ended meanwhile, since forked children come and go."""
    while True:
        with suppress(FileNotFoundError, ProcessLookupError):
            return read()


def _memory_mb(pids: list[int]) -> float:
    field = "Rss" if len(pids) == 1 else "Pss"
    return sum(_kilobytes(pid, field) for pid in pids) * 1024 / 1e6


def _kilobytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))

"""`make soak`: a long, seeded run of everything going wrong at once; then nothing may be left over.

Jobs run while their viewers drop off, politely and by reset, and come back; connections to Redis are cut; workers are
killed, stopped and replaced; jobs are cancelled. Each viewer has to end with the same as one that never left.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from shared.state import keys
from tests.conftest import wait_until
from tests.stack import Person, Process, Stack, Watcher, children, descriptors, stack

JOBS_AT_ONCE = 8
VIEWERS = 4
PACES = ("", "", "fast", "error event once", "overloaded once", "broken stream once", "unicode")


@dataclass(frozen=True)
class Left:
    """What a process or Redis holds while nothing runs."""

    web_descriptors: int
    worker_threads: int
    redis_clients: int
    leases: int
    places: int
    channels: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    choice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True, JOB_TTL_SECONDS="120") as system:
        system.start_sandbox(chars=40, interval_ms=10)
        web = system.start_web()
        system.start_worker(DRAIN_SECONDS="1")
        _run(system, choice, 8, Trouble(system, choice, is_calm=True))
        before = _left(system, web)
        began = time.monotonic()
        trouble = Trouble(system, choice)
        _run(system, choice, options.runs, trouble)
        print(f"{options.runs} runs in {time.monotonic() - began:.0f} s; {trouble.counts}")
        after = _settled(system, web, before)
        print(f"before: {before}\nafter:  {after}")
        return 0


class Trouble:
    """Does something bad every now and then."""

    def __init__(self, system: Stack, choice: random.Random, *, is_calm: bool = False) -> None:
        self.counts = {"cut": 0, "killed": 0, "stopped": 0}
        self._system = system
        self._choice = choice
        self._is_calm = is_calm

    def make(self, run: int) -> None:
        if self._is_calm:
            return
        if run % 10 == 0:
            self._cut(self._choice.choice(("pubsub", "normal")))
        if run % 100 == 50:
            self._replace("killed", signal.SIGKILL)
        elif run % 100 == 99:
            self._replace("stopped", signal.SIGTERM)

    def _cut(self, kind: str) -> None:
        with Redis(port=self._system.redis_server.port) as redis:
            redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        self.counts["cut"] += 1

    def _replace(self, how: str, number: signal.Signals) -> None:
        old = next(p for p in self._system.processes if p.name == "worker" and p.popen.poll() is None)
        self._system.start_worker(DRAIN_SECONDS="1")
        old.send(number)
        old.wait(30)
        self.counts[how] += 1


def _run(system: Stack, choice: random.Random, runs: int, trouble: Trouble) -> None:
    places = threading.Semaphore(JOBS_AT_ONCE)
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []
    for run in range(runs):
        places.acquire()
        if failures:
            raise failures[0]
        trouble.make(run)
        job = _Job(system, run, choice.random(), failures, places)
        threads.append(threading.Thread(target=job.run))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class _Job:
    def __init__(
        self, system: Stack, run: int, seed: float, failures: list[BaseException], places: threading.Semaphore
    ) -> None:
        self._system = system
        self._run = run
        self._choice = random.Random(seed)
        self._failures = failures
        self._places = places

    def run(self) -> None:
        try:
            self._watch()
        except BaseException as error:
            self._failures.append(error)
        finally:
            self._places.release()

    def _watch(self) -> None:
        person = Person(self._system)
        job_id = person.ask(f"{self._choice.choice(PACES)} soak {self._run}".strip())
        steady = Watcher(self._system, job_id)
        leaving = [Watcher(self._system, job_id, drops=self._drops()) for _ in range(VIEWERS - 1)]
        if self._choice.random() < 0.05:
            person.cancel(job_id)
        expected = steady.join(90)
        for watcher in leaving:
            job = watcher.join(90)
            assert job == expected, f"job {job_id} of run {self._run}: {job} is not {expected}"
        late = Watcher(self._system, job_id).join(30)
        assert late == expected, f"job {job_id} of run {self._run}, joined late: {late} is not {expected}"
        person.close()

    def _drops(self) -> Iterator[int]:
        while True:
            yield self._choice.choice((1, -1)) * self._choice.randint(1, 15)


def _left(system: Stack, web: Process) -> Left:
    redis = system.redis
    worker = next(p for p in reversed(system.processes) if p.name == "worker" and p.popen.poll() is None)
    return Left(
        web_descriptors=sum(descriptors(pid) for pid in children(web.pid)),
        worker_threads=len(list(Path(f"/proc/{worker.pid}/task").iterdir())),
        redis_clients=int(redis.info("clients")["connected_clients"]),
        leases=int(redis.zcard(keys.LEASES)),
        places=sum(int(redis.zcard(key)) for key in redis.scan_iter("planner:streams:*")),
        channels=len(redis.pubsub_channels("suggestion:*")),
    )


def _settled(system: Stack, web: Process, before: Left) -> Left:
    """Returns what is left once everything has had time to go. Pools may have grown to their bounds, and no further."""

    def is_settled() -> bool:
        now = _left(system, web)
        return (
            (now.leases, now.places, now.channels) == (0, 0, 0)
            and now.web_descriptors <= before.web_descriptors + 32
            and now.redis_clients <= before.redis_clients + 40
            and now.worker_threads <= before.worker_threads + 100
        )

    wait_until(is_settled, seconds=90)
    return _left(system, web)


if __name__ == "__main__":
    sys.exit(main())

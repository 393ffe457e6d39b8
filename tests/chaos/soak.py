"""Runs jobs while everything fails at once (`make soak`, seeded); nothing may be lost, mixed up or left over.

Jobs run while their viewers disconnect, by a close or a reset, and reconnect, and while some are cancelled. Meanwhile
connections to Redis are cut; its primary is demoted, set back to older data or full; workers are killed, stopped and
frozen, as a whole or one thread of them; web processes are killed and frozen. Each viewer has to end in the same state
as one that was never disconnected. A rewind loses data, so a job that runs during one may end differently for those who
saw the lost part, but no viewer may hang, and none may show the text of two attempts mixed up.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from shared.contract.events import Transcript
from shared.contract.values import ErrorCode
from shared.state import keys
from tests.chaos.troubles import DRAIN_SECONDS, Servers, Troubles
from tests.conftest import wait_until
from tests.relay import Relay
from tests.stack import BODY, JOBS, Person, Process, Stack, Watcher, check_lengths, children, descriptors, stack

JOBS_AT_ONCE = 8
VIEWERS = 4
CALM_RUNS = 8
LONGEST_SECONDS = 150.0
"""This is longer than a job may take (120 s)."""
PACES = (
    *("", "", "fast", "error event once", "overloaded once", "broken stream once", "unicode"),
    *(
        "four tool turns",
        "three tool turns, broken stream in turn 2 once",
        "five tool turns, error event in turn 3 once",
    ),
)


@dataclass(frozen=True)
class Left:
    """Represents the resources that the processes and Redis hold while no job runs."""

    web_descriptors: int
    worker_threads: int
    worker_descriptors: int
    redis_clients: int
    leases: int
    slots: int
    channels: int
    queued: int
    executions: int
    kept_turns: int


@dataclass
class Result:
    """Represents how the jobs ended, and the errors that were raised."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    relay = Relay(0)
    settings = {"REDIS_URL": f"redis://127.0.0.1:{relay.port}/0", "JOB_TTL_SECONDS": "120"}
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True, **settings) as system:
        servers = Servers(system, relay, Path(folder))
        try:
            return _soak(system, servers, options.runs, options.seed)
        finally:
            servers.close()
            relay.close()


def _soak(system: Stack, servers: Servers, runs: int, seed: int) -> int:
    system.start_sandbox(chars=40, interval_ms=10)
    web = system.start_web(GUNICORN_CMD_ARGS="--workers 2")
    for _ in range(2):
        system.start_worker(DRAIN_SECONDS=DRAIN_SECONDS)
    calm = _run(system, random.Random(seed), CALM_RUNS, None)
    assert not calm.failures, calm.failures
    wait_until(lambda: len(children(web.pid)) == 2)
    before = _left(system, web)
    began = time.monotonic()
    troubles = Troubles(system, servers, web, seed)
    troubles.start()
    try:
        result = _run(system, random.Random(seed), runs, troubles)
    finally:
        troubles.stop()
    print(f"seed {seed}: {runs} runs in {time.monotonic() - began:.0f} s; {dict(troubles.counts)}; {dict(result.ends)}")
    for error in (*troubles.errors, *result.failures):
        print("FAIL", *traceback.format_exception(error)[-6:])
    if troubles.errors or result.failures:
        for process in system.processes:
            print(f"--- {process.name} [{process.pid}], code {process.popen.poll()}", *process.lines[-12:], sep="\n")
    after = _settled(system, web, before)
    print(f"before: {before}\nafter:  {after}")
    return 1 if troubles.errors or result.failures else 0


def _run(system: Stack, choice: random.Random, runs: int, troubles: Troubles | None) -> Result:
    places = threading.Semaphore(JOBS_AT_ONCE)
    result = Result()
    threads: list[threading.Thread] = []
    for run in range(runs):
        places.acquire()
        if result.failures or (troubles and troubles.errors):
            break
        job = _Job(system, run, choice.random(), result, troubles)
        threads.append(threading.Thread(target=job.run, args=(places,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return result


class _Job:
    def __init__(self, system: Stack, run: int, seed: float, result: Result, troubles: Troubles | None) -> None:
        self._system = system
        self._run = run
        self._choice = random.Random(seed)
        self._result = result
        self._troubles = troubles
        self._losses = self._rewinds

    @property
    def _rewinds(self) -> int:
        return self._troubles.rewinds if self._troubles else 0

    def run(self, places: threading.Semaphore) -> None:
        try:
            self._watch()
        except BaseException as error:
            self._result.failures.append(error)
        finally:
            places.release()

    def _watch(self) -> None:
        person = Person(self._system)
        job_id = self._ask(person, f"{self._choice.choice(PACES)} soak {self._run}".strip())
        watchers = [self._watcher(job_id)]
        watchers += [self._watcher(job_id, self._drops()) for _ in range(VIEWERS - 1)]
        if self._choice.random() < 0.05:
            self._cancel(person, job_id)
        ends = [watcher.join(LONGEST_SECONDS) for watcher in watchers]
        late = self._watcher(job_id)
        ends.append(late.join(LONGEST_SECONDS))
        person.close()
        for watcher in (*watchers, late):
            check_lengths(watcher.kept)
        # The counter is odd during a rewind.
        if self._losses % 2 == 0 and self._rewinds == self._losses:
            self._check_same(job_id, ends, [*watchers, late])
            self._result.ends[str(ends[0].error.code if ends[0].error else ends[0].status)] += 1
        else:
            self._result.ends["during a rewind"] += 1

    def _check_same(self, job_id: str, ends: list[Transcript], watchers: list[Watcher]) -> None:
        what = f"job {job_id} of run {self._run}"
        assert not any(watcher.is_gone for watcher in watchers), f"{what} is gone"
        for end in map(comparable, ends):
            assert end == comparable(ends[0]), f"{what}: {end} is not {ends[0]}"
        assert ends[0].error is None or ends[0].error.code != ErrorCode.EXPIRED, f"{what} has expired"

    def _ask(self, person: Person, page: str) -> str:
        """Creates a job, and repeats the request until it is accepted; the idempotency key makes it one job."""
        headers = {"Idempotency-Key": f"run-{self._run}-{self._choice.random()}"}
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            assert time.monotonic() < deadline, f"no web process accepted run {self._run}"
            try:
                answer = person.http.post(JOBS, json={**BODY, "pageOrComponent": page}, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code != 503:
                assert answer.status_code in (200, 202), answer.text
                return str(answer.json()["jobId"])
            time.sleep(0.3)

    def _cancel(self, person: Person, job_id: str) -> None:
        try:
            answer = person.cancel(job_id)
        except httpx.TransportError:
            return
        allowed = {200, 202, 503} | ({404} if self._rewinds else set())
        assert answer.status_code in allowed, answer.text

    def _watcher(self, job_id: str, drops: Iterator[int] | None = None) -> Watcher:
        return Watcher(self._system, job_id, drops=drops, is_patient=True)

    def _drops(self) -> Iterator[int]:
        while True:
            yield self._choice.choice((1, -1)) * self._choice.randint(1, 15)


def comparable(end: Transcript) -> Transcript:
    """Returns the part of a viewer's final state that is the same for all viewers of a job.

    The final event may have an attempt number of its own, as ids may have been lost before it. A viewer that joins late
    then sees no other attempt, so the attempt is left out.
    """
    is_apart = end.last_event_id is not None and not end.last_event_id.startswith(f"{end.attempt}-")
    return replace(end, attempt=None) if is_apart else end


def _left(system: Stack, web: Process) -> Left:
    redis = system.redis
    workers = [p for p in system.processes if p.name == "worker" and p.popen.poll() is None]
    return Left(
        web_descriptors=sum(descriptors(pid) for pid in children(web.pid)),
        worker_threads=max(len(list(Path(f"/proc/{p.pid}/task").iterdir())) for p in workers),
        worker_descriptors=max(descriptors(p.pid) for p in workers),
        redis_clients=int(redis.info("clients")["connected_clients"]),
        leases=int(redis.zcard(keys.LEASES)),
        slots=sum(int(redis.zcard(key)) for key in redis.scan_iter("planner:streams:*")),
        channels=len(redis.pubsub_channels("suggestion:*")),
        queued=int(redis.llen("rq:queue:suggestions")) + int(redis.zcard("planner:waiting")),
        executions=int(redis.zcard("rq:wip:suggestions")) + int(redis.llen("rq:queue:suggestions:intermediate")),
        kept_turns=sum(1 for _ in redis.scan_iter("suggestion:*:turns", count=1000)),
    )


def _settled(system: Stack, web: Process, before: Left) -> Left:
    """Waits until everything has been released, and returns what is left; pools may have grown up to their bounds."""

    def is_settled() -> bool:
        now = _left(system, web)
        held = (now.leases, now.slots, now.channels, now.queued, now.executions, now.kept_turns)
        return (
            not any(held)
            and now.web_descriptors <= before.web_descriptors + 64
            and now.redis_clients <= before.redis_clients + 80
            and now.worker_threads <= before.worker_threads + 100
            and now.worker_descriptors <= before.worker_descriptors + 64
        )

    try:
        wait_until(is_settled, seconds=LONGEST_SECONDS)
    except AssertionError:
        raise AssertionError(f"left over: {_left(system, web)}, before: {before}") from None
    return _left(system, web)


if __name__ == "__main__":
    sys.exit(main())

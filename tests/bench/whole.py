"""Measures the whole system, from the POST through web, Redis, worker and sandbox to the delta at the viewer."""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.bench.measures import cpu_seconds, family, median, percentile
from tests.bench.report import Goal, Part, Table, at_most
from tests.bench.watchers import Watched, Watchers
from tests.stack import Person, Process, Stack, stack
from worker.publishing.partial_answer import PartialAnswer

JOBS, JOBS_PER_SECOND = 300, 50
WORKERS = 3
ANSWER_CHARS = 2000
IDLE_CHARS, IDLE_INTERVAL_MS = 10, 50
BUSY_CHARS, BUSY_INTERVAL_MS = 40, 200
"""The same text a second comes in fewer pieces, since two cores cannot run 300 jobs of 20 a second and the model."""
IDLE_JOBS, IDLE_SECONDS = 12, 1.5
"""The number of idle jobs, and how long each is watched before it is cancelled."""
PAUSE_SECONDS = 0.1
WARM_UP_JOBS = 20
"""This is enough for every worker to get some, spread over a second."""
ELSE = "everything else on the machine"
WINDOW_US = 100_000
"""Text is held back for this long after a delta on purpose, so that this time does not count as a delay."""
TEXT = f"""\
Everything on one machine. *Idle*: one job at a time, the model writing {IDLE_CHARS} characters every
{IDLE_INTERVAL_MS} ms. *Busy*: {JOBS} jobs at once with a viewer each, {WORKERS} workers of 100 slots, one web process;
the model writes {BUSY_CHARS} characters every {BUSY_INTERVAL_MS} ms, {ANSWER_CHARS:,} in all, and {JOBS_PER_SECOND}
jobs are created a second. Viewers are one C program that posts each job and then opens its stream; the clock is the
machine's one. A later piece of text is due when the model has written it, or when the {WINDOW_US // 1000} ms after the
delta before it are over, whichever is later; the first is due when the model has written something that can be shown
(the first characters of its JSON cannot)."""


@dataclass
class Found:
    """Represents the samples of all rounds, in ms, and the CPU time in seconds by process and round."""

    rounds: int = 0
    idle_to_model: list[float] = field(default_factory=list)
    idle_first: list[float] = field(default_factory=list)
    idle_later: list[float] = field(default_factory=list)
    busy_from_post: list[float] = field(default_factory=list)
    busy_first: list[float] = field(default_factory=list)
    busy_later: list[float] = field(default_factory=list)
    overhead: list[float] = field(default_factory=list)
    finished_kb: list[float] = field(default_factory=list)
    """The Redis memory for each finished job, for each round."""
    whole: int = 0
    deltas: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: dict[str, list[float]] = field(default_factory=dict)


def measure(rounds: int) -> Part:
    found = Found(rounds)
    with tempfile.TemporaryDirectory() as name, stack(Path(name), is_quiet=True, JOBS_PER_MINUTE="100000") as system:
        bench = _Bench(system, Watchers(), found)
        for _ in range(rounds):
            bench.idle()
            bench.busy()
    return Part("The whole system", TEXT, [_time_table(found), _cpu_table(found)], _goals(found))


class _Bench:
    """Runs jobs and viewers on the system, and adds their figures to `Found`."""

    def __init__(self, system: Stack, watchers: Watchers, found: Found) -> None:
        self._system = system
        self._watchers = watchers
        self._found = found
        self._sandbox: Process | None = None
        self._start_sandbox(IDLE_CHARS, IDLE_INTERVAL_MS)
        self._web = system.start_web()
        self._workers = [system.start_worker() for _ in range(WORKERS)]
        self._alice = Person(system)

    def idle(self) -> None:
        self._start_sandbox(IDLE_CHARS, IDLE_INTERVAL_MS)
        # The first job of a worker is slower, and so is the first after a restart of the sandbox closed connections.
        warm_up = [f"Warm up {number} fast" for number in range(WARM_UP_JOBS)]
        self._watchers.ask_and_watch(self._system.web_port, warm_up, per_second=WARM_UP_JOBS)
        watched = [self._idle_job(f"Idle {number}") for number in range(IDLE_JOBS)]
        noted = self._noted()
        for each in watched:
            first, *later = self._lateness(each, noted[each.page]["id"])
            self._found.idle_to_model.append((noted[each.page]["receivedUs"] - each.posted) / 1000)
            self._found.idle_first.append(first)
            self._found.idle_later += later

    def _idle_job(self, page: str) -> Watched:
        watching = self._watchers.ask_and_watch(self._system.web_port, [page], seconds=IDLE_SECONDS)
        watched = watching.watched[0]
        assert watched.arrivals, f"no text within {IDLE_SECONDS} s: {watched}"
        self._alice.cancel(watched.job_id)
        time.sleep(PAUSE_SECONDS)
        return watched

    def busy(self) -> None:
        self._start_sandbox(BUSY_CHARS, BUSY_INTERVAL_MS)
        pages = [f"Busy {number}" for number in range(JOBS)]
        before = self._cpu()
        watching = self._watchers.ask_and_watch(self._system.web_port, pages, per_second=JOBS_PER_SECOND)
        spent = {name: seconds - before[name] for name, seconds in self._cpu().items()}
        spent["viewers (C)"] = watching.cpu_seconds
        # The time of other programs comes last: if it is long, the machine was busy and the figures are less reliable.
        spent[ELSE] = spent.pop(ELSE) - sum(spent.values())
        found, noted = self._found, self._noted()
        for name, seconds in spent.items():
            found.cpu.setdefault(name, []).append(seconds)
        whole = [each for each in watching.watched if each.is_whole]
        found.whole += len(whole)
        found.deltas.append(sum(each.deltas for each in whole))
        found.seconds.append((max(each.ended for each in whole) - min(each.posted for each in whole)) / 1e6)
        found.finished_kb.append(self._finished_kb([each.job_id for each in whole]))
        for each in whole:
            if each.was_started_over:
                continue
            request = noted[each.page]
            first, *later = self._lateness(each, request["id"])
            found.busy_first.append(first)
            found.busy_later += later
            found.busy_from_post.append((each.first_delta - each.posted) / 1000)
            model_us = request["endedUs"] - request["receivedUs"]
            found.overhead.append((each.ended - each.posted - model_us) / 1000)

    def _finished_kb(self, job_ids: list[str]) -> float:
        """Returns the Redis memory of one of these jobs' keys, in kB, with its log and what RQ keeps of it."""
        redis, total = self._system.redis, 0
        for job_id in job_ids:
            for key in redis.scan_iter(match=f"*{job_id}*", count=10_000):
                total += int(redis.memory_usage(key, samples=0) or 0)
        return total / max(1, len(job_ids)) / 1000

    def _lateness(self, watched: Watched, request_id: str) -> list[float]:
        url = f"{self._system.sandbox_url}/sandbox/requests/{request_id}/pieces"
        pieces = httpx.get(url).raise_for_status().json()
        return [late / 1000 for late in lateness_us(watched, pieces)]

    def _noted(self) -> dict[str, dict[str, Any]]:
        """Returns what the sandbox has recorded of the last request for each page."""
        return {request["page"]: request for request in self._system.sandbox_requests()}

    def _start_sandbox(self, chars: int, interval_ms: float) -> None:
        """Starts a sandbox of this pace, at the address of the previous one."""
        port = None
        if self._sandbox:
            port = httpx.URL(self._system.sandbox_url).port
            self._sandbox.stop()
        self._sandbox = self._system.start_sandbox(
            chars=chars, interval_ms=interval_ms, answer_chars=ANSWER_CHARS, port=port
        )

    def _cpu(self) -> dict[str, float]:
        assert self._sandbox
        return {
            "web": cpu_seconds(family(self._web.pid)),
            f"{WORKERS} workers": cpu_seconds(worker.pid for worker in self._workers),
            "Redis": cpu_seconds([self._system.redis_server.process.pid]),
            "sandbox": cpu_seconds([self._sandbox.pid]),
            ELSE: _machine_seconds(),
        }


def _machine_seconds() -> float:
    """Returns the CPU time in seconds that everything on this machine has spent, with the kernel."""
    user, nice, system, _idle, _waiting, irq, softirq = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


def lateness_us(watched: Watched, pieces: list[tuple[int, str]]) -> Iterator[float]:
    """Yields how late each delta arrived, in microseconds after it was due. `pieces` are the model's, with their times.

    A delta carries the text up to its `totalLength`, so the first piece that makes the text longer than the delta
    before it did is the one that was waiting longest. The last delta of a complete answer is left out, since the final
    event flushes it before it is due.
    """
    answer, grown = PartialAnswer(), []
    for at, piece in pieces:
        answer.write(piece)
        grown.append((len(answer.text()), at))
    known, not_before = 0, 0
    for arrival in watched.arrivals[:-1] if watched.ended else watched.arrivals:
        written = next(at for length, at in grown if length > known)
        yield arrival.at - max(written, not_before)
        known, not_before = arrival.total_length, arrival.timestamp_ms * 1000 + WINDOW_US


def _time_table(found: Found) -> Table:
    rows: list[tuple[str, ...]] = [
        _row("idle: POST to the model's request", found.idle_to_model),
        _row("idle: first model text to first delta at the viewer", found.idle_first),
        _row("idle: a later piece of text, model to viewer beyond the 100 ms window", found.idle_later),
        _row(f"{JOBS} jobs: POST to first delta at the viewer", found.busy_from_post),
        _row(f"{JOBS} jobs: first model text to first delta at the viewer", found.busy_first),
        _row(f"{JOBS} jobs: a later piece of text, beyond the 100 ms window", found.busy_later),
        _row(f"{JOBS} jobs: POST to final event, beyond the model's own time", found.overhead),
    ]
    whole = f"{found.whole} of {JOBS * found.rounds} answers arrived whole, no text missing and none twice."
    return Table("How long it takes, in ms", ("", "p50", "p99", "samples"), rows, whole)


def _row(name: str, samples: list[float]) -> tuple[str, ...]:
    return name, f"{median(samples):.1f}", f"{percentile(samples, 99):.1f}", str(len(samples))


def _cpu_table(found: Found) -> Table:
    seconds, deltas = median(found.seconds), median(found.deltas)
    rows: list[tuple[str, ...]] = [
        (name, f"{median(spent):.1f}", f"{median(spent) / seconds:.0%}", f"{median(spent) / deltas * 1000:.2f}")
        for name, spent in found.cpu.items()
    ]
    note = f"Medians of {found.rounds} rounds; {seconds:.1f} s and {deltas:,.0f} deltas each."
    head = ("", "CPU s", "of a core", "CPU s per 1,000 deltas")
    return Table(f"Where the time goes: {JOBS} jobs and their viewers", head, rows, note)


def _goals(found: Found) -> list[Goal]:
    return [
        at_most("POST to the model's request, p50, idle", 9, median(found.idle_to_model), " ms"),
        at_most("Redis memory of a finished job", 20, median(found.finished_kb), " KB"),
        at_most("first model text to first delta at the viewer, p50, idle", 10, median(found.idle_first), " ms"),
        at_most(
            "a later piece of text: model to viewer beyond the 100 ms window, p50", 5, median(found.idle_later), " ms"
        ),
    ]

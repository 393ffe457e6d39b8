"""Compares how our worker and RQ's own workers run jobs, with the same sandbox and the same Redis."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.bench.measures import median, percentile
from tests.bench.report import Goal, Part, Table, at_most
from tests.bench.workers import ForkedSimpleWorkers, OurWorker, SimpleWorkers, WorkerPool, Workers, running
from tests.stack import Process, Stack, stack

ANSWER_CHARS, CHARS, INTERVAL_MS = 2000, 10, 50
DELTAS = ANSWER_CHARS // CHARS
"""The number of pieces of text in an answer: 20 a second for 10 seconds."""
SHORT_CHARS = 300
"""The length of a piece of a short answer, which has three pieces without pauses."""
RIVALS = 50
IDLE_JOBS, FEW_IDLE_JOBS = 40, 8
SHORT_JOBS, FEW_SHORT_JOBS = 450, 12
BUSY_JOBS = 100
PROBE_SECONDS, PROBES = 0.1, 70
WARM_UP_SECONDS = 1.5
"""The jobs have this long to start before the first probe."""
LOOK_SECONDS, POLL_SECONDS, PAUSE_SECONDS, SETTLE_SECONDS = 1.0, 0.01, 0.05, 0.3
SLOTS = 100
OURS, PRELOADED, FORKED, STOCK = "ours", "RQ, preloaded", "RQ, preloaded and forked", "RQ, stock"
ORDER = (OURS, PRELOADED, FORKED, STOCK)
TEXT = f"""\
Jobs whose answer of {ANSWER_CHARS:,} characters the sandbox writes in pieces of {CHARS}, {1000 // INTERVAL_MS} a
second. Each job is one model request; ours publishes text every 100 ms, the others every piece as it comes, as their
documentation has it. *Stock* is `rq worker-pool`, which forks for every job and imports the SDK in the child;
*preloaded* are RQ's `SimpleWorker`s in a process each that have imported it before, as its performance notes advise;
*preloaded and forked* are the same from one parent, whose memory they share. Memory is what each kind would take alone
on the machine: shared pages count once."""


@dataclass(frozen=True)
class Run:
    """Represents jobs that ran at once: peak memory in MB, and `cpu` in seconds for 1,000 pieces of text."""

    jobs: int
    idle_mb: float
    running_mb: float
    cpu: float
    connections: int

    @property
    def mb_a_job(self) -> float:
        return (self.running_mb - self.idle_mb) / self.jobs


@dataclass
class Pace:
    """Represents the ms from enqueuing to the model's request, the short jobs run a minute and the CPU ms for each."""

    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    short_a_minute: list[float] = field(default_factory=list)
    short_cpu: list[float] = field(default_factory=list)


class Model:
    """Represents the sandbox, whose pace can be changed while its address stays the same."""

    def __init__(self, system: Stack) -> None:
        self._system = system
        self._process: Process | None = None
        self.write_long()

    def write_long(self) -> None:
        self._start(CHARS, ANSWER_CHARS)

    def write_short(self) -> None:
        self._start(SHORT_CHARS, SHORT_CHARS)

    def _start(self, chars: int, answer_chars: int) -> None:
        port = None
        if self._process:
            port = httpx.URL(self._system.sandbox_url).port
            self._process.stop()
        self._process = self._system.start_sandbox(
            chars=chars, interval_ms=INTERVAL_MS, answer_chars=answer_chars, port=port
        )

    def take_times(self, name: str, pages: str) -> dict[str, float]:
        """Returns the time `name` of each request whose page contains `pages`, in seconds since the epoch; deletes all.

        Raises AssertionError if a request did not complete, since unfinished work would make the figures look better.
        """
        noted = [request for request in self._system.sandbox_requests() if pages in request["page"]]
        outcomes = {request["outcome"] for request in noted}
        assert outcomes <= {"completed", "failed:refusal"}, outcomes
        httpx.delete(f"{self._system.sandbox_url}/sandbox/requests").raise_for_status()
        return {request["page"]: request[name] / 1e6 for request in noted}


def run_at_once(workers: Workers, model: Model, jobs: int) -> Run:
    cpu = workers.cpu_seconds()
    for number in range(jobs):
        workers.enqueue(f"page {number}")
    memory, connections = [0.0], [0]
    while workers.unfinished():
        time.sleep(LOOK_SECONDS)
        memory.append(workers.memory_mb())
        connections.append(workers.connections())
    time.sleep(SETTLE_SECONDS)
    cpu = workers.cpu_seconds() - cpu
    assert len(model.take_times("endedUs", "page")) == jobs
    return Run(jobs, workers.idle_mb, max(memory), cpu / (jobs * DELTAS) * 1000, max(connections))


def idle_milliseconds(workers: Workers, model: Model, jobs: int) -> list[float]:
    """Returns the ms from enqueuing to the model's request, for jobs run one after the other."""
    began: dict[str, float] = {}
    for number in range(jobs):
        page = f"idle {number} fast"
        began[page] = time.time()
        workers.enqueue(page)
        _finish(workers)
    return _since(began, model.take_times("receivedUs", "idle"))


def busy_milliseconds(workers: Workers, model: Model) -> list[float]:
    """Returns the ms from enqueuing to the model's request for short jobs that are enqueued while others run.

    The model refuses them, which is its shortest answer.
    """
    for number in range(BUSY_JOBS):
        workers.enqueue(f"page {number}")
    began: dict[str, float] = {}
    first = time.monotonic() + WARM_UP_SECONDS
    for number in range(PROBES):
        time.sleep(max(0.0, first + number * PROBE_SECONDS - time.monotonic()))
        page = f"probe {number} fast refusal"
        began[page] = time.time()
        workers.enqueue(page)
    _finish(workers)
    return _since(began, model.take_times("receivedUs", "probe"))


def short_jobs_a_minute(workers: Workers, model: Model, jobs: int) -> float:
    """Returns how many jobs of a full queue are run a minute, without the first and the last tenth."""
    with workers.held():
        for number in range(jobs):
            workers.enqueue(f"short {number} fast")
    _finish(workers)
    ended = sorted(model.take_times("endedUs", "short").values())
    assert len(ended) == jobs
    first, last = jobs // 10, jobs - 1 - jobs // 10
    return (last - first) / (ended[last] - ended[first]) * 60


def _finish(workers: Workers) -> None:
    while workers.unfinished():
        time.sleep(POLL_SECONDS)
    time.sleep(PAUSE_SECONDS)


def _since(began: dict[str, float], received: dict[str, float]) -> list[float]:
    return [(received[page] - moment) * 1000 for page, moment in began.items()]


class _Bench:
    """Does the runs in their order, and keeps their figures."""

    def __init__(self, system: Stack) -> None:
        self._system = system
        self._model = Model(system)
        self.runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
        self.paces: dict[str, Pace] = defaultdict(Pace)
        self.dropped = 0
        self.resident_mb = 0.0

    def run(self, rounds: int) -> None:
        with running(SimpleWorkers(self._system, RIVALS)) as preloaded:
            for number in range(rounds):
                self._in_turn(
                    number,
                    lambda: self._ours(50),
                    lambda: self._keep(PRELOADED, preloaded, RIVALS),
                    lambda: self._ours(BUSY_JOBS),
                    self._busy,
                )
                self._model.write_short()
                self._in_turn(number, self._our_pace, lambda: self._keep_pace(PRELOADED, preloaded))
                self._model.write_long()
            self.resident_mb = preloaded.resident_mb()
        with running(ForkedSimpleWorkers(self._system, RIVALS)) as forked:
            self._keep(FORKED, forked, RIVALS)
            self._model.write_short()
            self._keep_pace(FORKED, forked)
            self._model.write_long()
        for jobs in (1, 200):
            self._ours(jobs)
        self._stock(1)
        self._stock(50)
        self._stock(10, with_pace=True)

    @staticmethod
    def _in_turn(number: int, *steps: Callable[[], None]) -> None:
        """Takes the steps in reverse order in every other round, so that no kind of worker is always measured first."""
        for step in steps if number % 2 == 0 else steps[::-1]:
            step()

    def _ours(self, jobs: int) -> None:
        with running(OurWorker(self._system, max(jobs, SLOTS))) as worker:
            self._keep(OURS, worker, jobs)

    def _busy(self) -> None:
        with running(OurWorker(self._system, 2 * BUSY_JOBS)) as worker:
            self.paces[OURS].busy += busy_milliseconds(worker, self._model)
            self.dropped += worker.dropped()

    def _our_pace(self) -> None:
        with running(OurWorker(self._system, SLOTS)) as worker:
            idle_milliseconds(worker, self._model, 1)
            self._keep_pace(OURS, worker)

    def _stock(self, jobs: int, *, with_pace: bool = False) -> None:
        with running(WorkerPool(self._system, jobs)) as pool:
            self._keep(STOCK, pool, jobs)
            if with_pace:
                self._model.write_short()
                self._keep_pace(STOCK, pool, FEW_IDLE_JOBS, FEW_SHORT_JOBS)

    def _keep(self, name: str, workers: Workers, jobs: int) -> None:
        self.runs[name, jobs].append(run_at_once(workers, self._model, jobs))
        self.dropped += workers.dropped()

    def _keep_pace(self, name: str, workers: Workers, idle_jobs: int = IDLE_JOBS, short_jobs: int = SHORT_JOBS) -> None:
        pace = self.paces[name]
        pace.idle += idle_milliseconds(workers, self._model, idle_jobs)
        cpu = workers.cpu_seconds()
        pace.short_a_minute.append(short_jobs_a_minute(workers, self._model, short_jobs))
        pace.short_cpu.append((workers.cpu_seconds() - cpu) / short_jobs * 1000)
        self.dropped += workers.dropped()


def measure(rounds: int) -> Part:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True) as system:
        bench = _Bench(system)
        bench.run(rounds)
    return Part("Running jobs", TEXT, [_run_table(bench), _pace_table(bench)], _goals(bench))


def _run_table(bench: _Bench) -> Table:
    head = ("", "jobs", "MB in all", "MB a job more", "CPU s per 1,000 deltas", "Redis connections", "rounds")
    rows: list[tuple[str, ...]] = []
    for (name, jobs), runs in sorted(bench.runs.items(), key=lambda item: (ORDER.index(item[0][0]), item[0][1])):
        figures = (
            f"{median(run.running_mb for run in runs):,.0f}",
            f"{median(run.mb_a_job for run in runs):.2f}",
            f"{median(run.cpu for run in runs):.2f}",
            f"{median(run.connections for run in runs):.0f}",
        )
        rows.append((name, str(jobs), *figures, str(len(runs))))
    note = (
        "Medians of the rounds; differences under 20 % are noise. *MB a job more*: what the jobs add to the memory of "
        f"workers that have not run any. *Deltas* are the pieces the model wrote, {DELTAS} an answer. "
        f"By the sum of their resident sizes, the {RIVALS} preloaded workers take {bench.resident_mb:,.0f} MB. "
        f"Ours has {SLOTS} slots, and 200 in the row of 200 jobs; in the row of one job most of its CPU time is what a "
        "worker takes without any."
    )
    if bench.dropped:
        note += f" **Our worker gave up RQ's bookkeeping of {bench.dropped} jobs, which is a fault.**"
    return Table("Jobs at once", head, rows, note)


def _pace_table(bench: _Bench) -> Table:
    busy = f"with {BUSY_JOBS} jobs running, p50 / p99"
    head = (
        "",
        "enqueue to model request, ms: idle, p50 / p99",
        busy,
        "samples",
        "short jobs a minute",
        "CPU ms a short job",
    )
    rows: list[tuple[str, ...]] = []
    for name, pace in sorted(bench.paces.items(), key=lambda item: ORDER.index(item[0])):
        samples = f"{len(pace.idle)}, {len(pace.busy)}" if pace.busy else str(len(pace.idle))
        short = f"{median(pace.short_a_minute):,.0f}", f"{median(pace.short_cpu):.1f}"
        rows.append((name, _spread(pace.idle), _spread(pace.busy), samples, *short))
    note = (
        f"Idle: one job at a time. Busy: a short job every {PROBE_SECONDS * 1000:.0f} ms while {BUSY_JOBS} others run; "
        "the other kinds would need a process for each of these, and one more. The stock pool has 10 workers here, the "
        f"preloaded {RIVALS}, ours {SLOTS} slots. Short jobs have three pieces of text that come without a "
        "pause; the queue is filled before any worker may take from "
        "it. Our worker is one process and uses one core at most; the others use all cores."
    )
    return Table("Latency and throughput", head, rows, note)


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} / {percentile(values, 99):.1f}" if values else "-"


def _goals(bench: _Bench) -> list[Goal]:
    ours, theirs = bench.runs[OURS, RIVALS], bench.runs[PRELOADED, RIVALS]
    ratio = median(run.running_mb for run in ours) / median(run.running_mb for run in theirs)
    pace, to_model = bench.paces[OURS], "enqueue to model request"
    cpu = median(run.cpu for run in bench.runs[OURS, BUSY_JOBS])
    return [
        at_most(f"worker: memory for {RIVALS} running jobs over {RIVALS} preloaded SimpleWorkers", 1 / 20, ratio),
        at_most(f"{to_model}, idle, p50", 8, median(pace.idle), " ms"),
        at_most(f"{to_model}, with {BUSY_JOBS} jobs running, p99", 40, percentile(pace.busy, 99), " ms"),
        at_most("CPU per 1,000 model deltas in the worker", 0.30, cpu, " s"),
    ]

"""Measures how much of the time of an answer is not the model's, with six turns of a realistic pace."""

import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measures import median, memory_mb, percentile
from tests.bench.report import Goal, Part, Table, at_most
from tests.conftest import wait_until
from tests.stack import Person, Stack, stack

JOBS = 20
TURN_SECONDS, TOKENS_PER_SECOND = 2, 40
TURNS, CALLS = 6, 3
PAGE = "Checkout {number}, six tool turns, three tools at once"
FILES, FILE_BYTES = 24, 12_000
"""The project has this many files of this size; a job reads some 200 kB of them."""
MEMORY_MB = 1.0
OURS_MS = 500.0
TEXT = f"""\
{JOBS} jobs at once with a viewer each; one web process, one worker. Before each response the model takes
{TURN_SECONDS} s as a real one does, then writes {TOKENS_PER_SECOND} tokens a second. It looks at the project in
{TURNS} turns of {CALLS} tool calls, and then answers. *Of it ours* is all of the time in which the model was neither
asked nor writing: the queue, the tools, Redis, and the way to the viewer. The jobs go in step here, so their tools
all want the machine at once. `note` and `tool` events are signs of life."""


@dataclass
class Seen:
    """Represents what one viewer saw, in seconds since the POST; the sandbox states the model's own time."""

    page: str
    posted: float
    first_sign: float | None = None
    first_suggestion: float | None = None
    end: float | None = None
    to_model: float = 0.0
    model_seconds: float = 0.0


@dataclass
class Found:
    seen: list[Seen] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    """The memory that each job adds to the worker, for each round."""


def measure(rounds: int) -> Part:
    found = Found()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as project:
        _make_project(Path(project))
        settings = {"PROJECT_ROOT": project, "JOBS_PER_MINUTE": "100000"}
        with stack(Path(folder), is_quiet=True, **settings) as system:
            pace = ("--turn-seconds", str(TURN_SECONDS), "--tokens-per-second", str(TOKENS_PER_SECOND))
            system.start_sandbox(*pace)
            system.start_web()
            for number in range(rounds):
                _round(system, found, number)
    return Part("Whole answers", TEXT, [_table(found)], _goals(found))


def _make_project(root: Path) -> None:
    for number in range(FILES):
        path = root / f"src/checkout/checkout-part{number}.ts"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"export const checkoutPart{number} = (price: number) => price * {number}\n"
        path.write_text(line * (FILE_BYTES // len(line)))


def _round(system: Stack, found: Found, number: int) -> None:
    worker = system.start_worker()
    alice = Person(system)
    # The first job of a process is slower, and the modules that it imports do not count as a job's memory.
    alice.watch(alice.ask(f"Warm up {number} fast"))
    before = memory_mb([worker.pid])
    seen = [Seen(PAGE.format(number=number * JOBS + each), 0.0) for each in range(JOBS)]
    watching = [threading.Thread(target=_watch, args=(system, each)) for each in seen]
    for thread in watching:
        thread.start()
    pages = {each.page for each in seen}
    wait_until(lambda: _in_last_turn(system, pages), seconds=120)
    found.memory_mb.append((memory_mb([worker.pid]) - before) / JOBS)
    for thread in watching:
        thread.join()
    for each in seen:
        asked = system.requests_for(each.page)
        each.to_model = asked[0]["receivedUs"] / 1e6 - each.posted
        each.model_seconds = sum(request["endedUs"] - request["receivedUs"] for request in asked) / 1e6
    found.seen += seen
    alice.close()
    worker.stop()


def _in_last_turn(system: Stack, pages: set[str]) -> bool:
    last = [request for request in system.sandbox_requests() if request["page"] in pages and request["turn"] == TURNS]
    return len(last) >= JOBS


def _watch(system: Stack, seen: Seen) -> None:
    person = Person(system)
    seen.posted = time.time()
    job_id = person.ask(seen.page)
    with person.stream(job_id) as events:
        for event in events:
            now = time.time() - seen.posted
            match event.name:
                case "note" | "tool" | "delta":
                    seen.first_sign = seen.first_sign or now
                case "suggestion":
                    seen.first_suggestion = seen.first_suggestion or now
                case "complete":
                    seen.end = now
    person.close()


def _table(found: Found) -> Table:
    def row(name: str, samples: list[float]) -> tuple[str, ...]:
        return name, f"{median(samples):.2f}", f"{percentile(samples, 99):.2f}"

    seen = found.seen
    rows = [
        row("POST to the model's request", [each.to_model for each in seen]),
        row("POST to the first sign of life", [each.first_sign or 0 for each in seen]),
        row("POST to the first suggestion", [each.first_suggestion or 0 for each in seen]),
        row("POST to the end", [each.end or 0 for each in seen]),
        row("of it ours", _ours(seen)),
    ]
    note = (
        f"{sum(each.end is not None for each in seen)} of {len(seen)} answers arrived whole. A running job adds "
        f"{median(found.memory_mb):.2f} MB to its worker's memory."
    )
    return Table("How long a person waits, in seconds", ("", "p50", "p99"), rows, note)


def _ours(seen: list[Seen]) -> list[float]:
    return [(each.end or 0) - each.model_seconds for each in seen]


def _goals(found: Found) -> list[Goal]:
    name = f"whole answers: time that is ours in {TURNS + 1} turns, p50"
    return [
        at_most(name, OURS_MS, median(_ours(found.seen)) * 1000, " ms"),
        at_most("worker memory of a running job that has read 200 kB", MEMORY_MB, median(found.memory_mb), " MB"),
    ]

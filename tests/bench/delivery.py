"""Measures the delivery of ten events a second to each open stream by one process on one core.

Every server receives the same events in its own way: by a PUBLISH in Redis, or for nchan by a POST.
"""

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import load, servers
from tests.bench.jobs_in_redis import running_jobs
from tests.bench.measures import cpu_seconds, median, memory_mb
from tests.bench.report import Goal, Part, Table, at_least, at_most
from tests.stack import Stack, stack

STREAMS = (100, 1000, 3000, 5000, 9000)
"""The numbers of streams that are tried; the largest is below the default of MAX_CONNECTIONS."""
MOST = max(STREAMS)
EVENTS_PER_SECOND = 10
SECONDS = 5
"""A measurement takes this long, of which the first second does not count."""
OVERLOADED_MS = 1000.0
"""A server with a p99 above this counts as overloaded, and is not tried with more streams."""
WARM_UP_STREAMS = 20
OURS = "ours"
NCHAN_GOALS = ((100, 1.0), (1000, 0.65), (3000, 0.55), (5000, 0.5))
"""Each number of streams, with the goal for our CPU time per event as a ratio to nchan's."""


@dataclass(frozen=True)
class Run:
    """Represents one measurement of one server with a number of streams."""

    cpu_us: float
    """The CPU time for each event that was sent."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    stream_kb: float
    connections: int
    lost: int
    """The number of events that were missing, duplicate or out of order."""
    load_share: float
    """The share of a core that the load generator took."""

    @property
    def is_overloaded(self) -> bool:
        return self.p99_ms > OVERLOADED_MS or self.lost > 0


Runs = dict[tuple[str, int], list[Run]]


def measure(rounds: int) -> Part:
    runs: Runs = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True) as system:
        servers.pin([system.redis_server.process.pid], is_server=False)
        jobs = running_jobs(system.redis, system.redis_server.url, MOST)
        ids = Path(folder) / "ids"
        ids.write_text("\n".join(jobs))
        able, overloaded = [*servers.everybody(), servers.relay], set[servers.Start]()
        for count in STREAMS:
            able = [start for start in able if start not in overloaded]
            for start in able * rounds:
                with start(system) as server:
                    run = _run(system, server, count, ids)
                runs[server.name, count].append(run)
                if run.is_overloaded:
                    overloaded.add(start)
    return _part(runs, rounds)


def options(server: servers.Server, count: int, ids: Path, seconds: int) -> dict[str, Any]:
    where = {"port": server.port, "path": server.path, "header": server.header, "ids": ids}
    return {**where, **server.door, "streams": count, "rate": EVENTS_PER_SECOND, "seconds": seconds}


def _run(system: Stack, server: servers.Server, count: int, ids: Path) -> Run:
    load.open_once(**options(server, WARM_UP_STREAMS, ids, 0))
    memory, connections = memory_mb(server.pids), _connections(system)
    with load.running("streams", **options(server, count, ids, SECONDS)) as generator:
        servers.pin([generator.pid], is_server=False)
        generator.wait_for("open")
        memory, connections = memory_mb(server.pids) - memory, _connections(system) - connections
        generator.go_on()
        generator.wait_for("begin")
        cpu = cpu_seconds(server.pids)
        generator.wait_for("end")
        cpu = cpu_seconds(server.pids) - cpu
        figures = generator.figures()
    latency = figures["latency"]
    return Run(
        cpu_us=cpu / max(1, figures["received_in_time"]) * 1e6,
        p50_ms=latency["p50"] / 1000,
        p99_ms=latency["p99"] / 1000,
        max_ms=latency["max"] / 1000,
        stream_kb=memory / count * 1000,
        connections=connections,
        lost=sum(figures[kind] for kind in ("missing", "duplicates", "disordered", "refused", "lost")),
        load_share=figures["cpu"] / 1e6 / (SECONDS - 1),
    )


def _connections(system: Stack) -> int:
    return int(system.redis.info("clients")["connected_clients"])


def _part(runs: Runs, rounds: int) -> Part:
    return Part(
        "Delivery",
        "One process on a core of its own serves that many streams, each of another job, with ten events a second "
        "each. Everything else, the load generator too, runs on the other cores. Latency is from the moment an event "
        "is published to its arrival at the client's socket.",
        [_table(runs, count, rounds) for count in STREAMS],
        goals(runs),
    )


def _table(runs: Runs, count: int, rounds: int) -> Table:
    head = ("server", "CPU µs an event", "of ours", "p50 ms", "p99 ms", "max ms", "KB a stream", "Redis connections")
    rows = []
    for (name, streams), some in runs.items():
        if streams == count:
            ratio = middle(runs, name, count, "cpu_us") / middle(runs, OURS, count, "cpu_us")
            rows.append((*_row(name, some), f"{ratio:.2f}"))
    rows = [(*row[:2], row[-1], *row[2:-1]) for row in rows]
    wrong = sum(run.lost for some in runs.values() for run in some if not run.is_overloaded)
    busiest = max(run.load_share for (_, streams), some in runs.items() if streams == count for run in some)
    note = (
        f"Medians of {rounds} interleaved rounds. Missing, duplicate or out of order, where a server kept up: {wrong}. "
        f"The load generator took at most {busiest:.0%} of a core."
    )
    return Table(f"{count} streams", (*head, "lost"), rows, note)


def _row(name: str, some: list[Run]) -> tuple[str, ...]:
    def cell(field: str, form: str) -> str:
        return format(median(getattr(run, field) for run in some), form)

    overloaded = " (overloaded)" if any(run.is_overloaded for run in some) else ""
    return (
        name + overloaded,
        cell("cpu_us", ".1f"),
        cell("p50_ms", ".2f"),
        cell("p99_ms", ".1f"),
        cell("max_ms", ".0f"),
        cell("stream_kb", ".1f"),
        cell("connections", ".0f"),
        cell("lost", ".0f"),
    )


def middle(runs: Runs, name: str, count: int, field: str) -> float:
    return median(getattr(run, field) for run in runs[name, count])


def goals(runs: Runs) -> list[Goal]:
    def over(name: str, count: int = 1000) -> float | None:
        if (name, count) not in runs:
            return None
        return middle(runs, OURS, count, "cpu_us") / middle(runs, name, count, "cpu_us")

    flask, hub, nchan = "Flask, a connection a client", "sse-starlette, a hub", "nginx with nchan"
    most, most_of_nchan = _most_streams(runs, OURS), _most_streams(runs, nchan)
    return [
        at_most("CPU an event, 1000 streams, over Flask with a connection a client", 0.35, over(flask)),
        at_most("CPU an event, 1000 streams, over an sse-starlette hub", 0.35, over(hub)),
        *(
            at_most(f"CPU an event, {count} streams, over nchan", most, over(nchan, count))
            for count, most in NCHAN_GOALS
        ),
        at_most("CPU an event, 3000 streams, over a relay in C", 1.6, over("a relay in C", 3000)),
        at_most("publish to socket, 3000 streams, p50", 1, middle(runs, OURS, 3000, "p50_ms"), " ms"),
        at_most("publish to socket, 3000 streams, p99", 10, middle(runs, OURS, 3000, "p99_ms"), " ms"),
        at_least("streams on one core with p99 <= 50 ms", 5000, most),
        at_least("the same, against nchan's", max(1, most_of_nchan), most if most_of_nchan else None),
        at_most("memory an open stream", 22, middle(runs, OURS, 1000, "stream_kb"), " KB"),
    ]


def _most_streams(runs: Runs, name: str) -> int:
    """Returns the largest number of streams tried that was served with a p99 of at most 50 ms and no lost event."""
    fine = [
        count
        for (who, count), some in runs.items()
        if who == name and median(run.p99_ms for run in some) <= 50 and not any(run.lost for run in some)
    ]
    return max(fine, default=0)

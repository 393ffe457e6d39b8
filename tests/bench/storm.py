"""Measures storms: many clients open a stream within a second, or reconnect at once because a server was killed."""

import os
import signal
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench import load, servers
from tests.bench.delivery import options
from tests.bench.jobs_in_redis import TEXT, append, deltas, running_jobs
from tests.bench.measures import cpu_seconds, median
from tests.bench.report import Goal, Part, Table, at_least, at_most
from tests.stack import Stack, stack

CLIENTS = 2000
OVER_MS = 1000
WARM_UP = 50
RATES = (250, 500, 750, 1000, 1500, 2000, 3000, 4000)
"""The rates, in streams opened a second, are tried in this order until a server is late."""
LATE_MS = 50.0
RETURN_MS = 100.0
BEFORE, MISSED = 20, 5
"""The deltas that viewers have seen when their server is killed, and those written while they are disconnected."""

Figures = dict[str, list[dict[str, Any]]]


def measure(rounds: int) -> Part:
    opened: Figures = defaultdict(list)
    rates: dict[str, list[int]] = defaultdict(list)
    returned: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True) as system:
        servers.pin([system.redis_server.process.pid], is_server=False)
        jobs = running_jobs(system.redis, system.redis_server.url, CLIENTS)
        ids = Path(folder) / "ids"
        ids.write_text("\n".join(jobs))
        for _ in range(rounds):
            for start in servers.everybody():
                with start(system) as server:
                    opened[server.name].append(_storm(server, ids, OVER_MS))
                    rates[server.name].append(_most_a_second(server, ids))
        for number in range(rounds):
            append(
                system.redis, jobs, 2 + number * (BEFORE + MISSED), deltas(BEFORE, before=number * (BEFORE + MISSED))
            )
            returned.append(_return(system, jobs, ids, number))
    text = (
        f"{CLIENTS:,} clients open a stream within a second, each of another job. Ours checks who they are, "
        "counts their streams and reads the logs; the others only subscribe. Each server has one core."
    )
    tables = [_opened_table(opened, rates, rounds), _returned_table(returned)]
    return Part("Storms", text, tables, _goals(opened, rates, returned))


def _most_a_second(server: servers.Server, ids: Path) -> int:
    """Returns the highest rate at which 99 of 100 clients get their first byte in time, or 0 if there is none."""
    most = 0
    for rate in RATES:
        if _storm(server, ids, CLIENTS * 1000 // rate)["first_byte"]["p99"] / 1000 > LATE_MS:
            break
        most = rate
    return most


def _storm(server: servers.Server, ids: Path, over_ms: int) -> dict[str, Any]:
    load.open_once(**options(server, WARM_UP, ids, 0))
    cpu = cpu_seconds(server.pids)
    with load.running("streams", **{**options(server, CLIENTS, ids, 0), "open-ms": over_ms}) as generator:
        servers.pin([generator.pid], is_server=False)
        generator.wait_for("open")
        cpu = cpu_seconds(server.pids) - cpu
        generator.go_on()
        return {**generator.figures(), "server_cpu_ms": cpu * 1000}


def _return(system: Stack, jobs: list[str], ids: Path, number: int) -> dict[str, Any]:
    """Lets all clients watch one server, kills it, and measures how they reconnect to another with their cursors."""
    seen = number * (BEFORE + MISSED) + BEFORE
    with servers.ours(system) as first, servers.ours(system) as second:
        lengths = {"length_before": seen * len(TEXT), "length": (seen + MISSED) * len(TEXT)}
        given = {**options(first, CLIENTS, ids, 0), **lengths, "second_port": second.port}
        with load.running("return", **given) as generator:
            servers.pin([generator.pid], is_server=False)
            generator.wait_for("open")
            for pid in first.pids:
                os.kill(pid, signal.SIGKILL)
            append(system.redis, jobs, 2 + seen, deltas(MISSED, before=seen))
            return generator.figures()


def _opened_table(opened: Figures, rates: dict[str, list[int]], rounds: int) -> Table:
    rows = []
    for name, runs in opened.items():
        first = [run["first_byte"] for run in runs]
        cells = [f"{median(each[key] for each in first) / 1000:.1f}" for key in ("p50", "p99", "max")]
        cpu = median(run["server_cpu_ms"] for run in runs) / CLIENTS
        most = f"{median(rates[name]):,.0f}"
        rows.append((name, *cells, f"{cpu:.2f}", most, str(sum(run["refused"] + run["lost"] for run in runs))))
    head = ("server", "p50 ms", "p99 ms", "max ms", "CPU ms an open", "opens a second", "refused or lost")
    title = f"{CLIENTS:,} clients in a second, time to first byte"
    note = (
        f"Medians of {rounds} interleaved rounds. *Opens a second*: the highest of {', '.join(map(str, RATES))} at "
        f"which the p99 is at most {LATE_MS:.0f} ms."
    )
    return Table(title, head, rows, note)


def _returned_table(returned: list[dict[str, Any]]) -> Table:
    def cell(kind: str, key: str) -> str:
        return f"{median(run[kind][key] for run in returned) / 1000:.0f}"

    rows = [
        (
            *(cell("first_byte", key) for key in ("p50", "p99", "max")),
            *(cell("catch_up", key) for key in ("p50", "p99", "max")),
            "/".join(str(run["whole"]) for run in returned),
            str(sum(run["holes"] + run["refused"] for run in returned)),
        )
    ]
    head = (
        "first byte p50 ms",
        "p99 ms",
        "max ms",
        "caught up p50 ms",
        "p99 ms",
        "max ms",
        "whole",
        "holes or refused",
    )
    return Table(
        f"{CLIENTS:,} viewers whose server is killed, and who reconnect to another one with their cursor",
        head,
        rows,
        "From each one's own reconnection, which comes when its stream's `retry:` says, 500 to 1,500 ms after the "
        f"kill. {MISSED} deltas each were written meanwhile. `whole` counts those that have every character, by round.",
    )


def _goals(opened: Figures, rates: dict[str, list[int]], returned: list[dict[str, Any]]) -> list[Goal]:
    def p99(name: str) -> float:
        return median(run["first_byte"]["p99"] for run in opened[name])

    ratio = p99("ours") / p99("sse-starlette, a hub")
    # If the hub is late at the lowest rate already, that rate gives a lower bound of the ratio.
    hub = max(RATES[0], median(rates["sse-starlette, a hub"]))
    back = median(run["first_byte"]["p99"] for run in returned) / 1000
    return [
        at_most("storm: p99 to first byte, over sse-starlette", 0.125, ratio),
        at_least("opens a second at a p99 of 50 ms, over sse-starlette", 2, median(rates["ours"]) / hub),
        at_most("2,000 viewers back after a kill, p99 to first byte", RETURN_MS, back, " ms"),
    ]

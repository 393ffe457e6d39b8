"""Measures how many jobs can be created on one core, and how long a create takes at a steady rate."""

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import load, servers
from tests.bench.measures import cpu_seconds, median
from tests.bench.report import Goal, Part, Table, at_least
from tests.stack import BODY, JOBS, Stack, stack

CONNECTIONS = 16
RATE = 200
"""The rate in requests a second is a fraction of what each server can answer."""
SECONDS = 5
WARM_UP_SECONDS = 1
NO_LIMIT = str(10**9)
OURS, RIVAL = "ours", "Flask, four round trips"


@dataclass(frozen=True)
class Run:
    """Represents one measurement of one server."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    cpu_us_at_rate: float
    refused: int


Runs = dict[str, list[Run]]


def measure(rounds: int) -> Part:
    runs: Runs = defaultdict(list)
    limits = {"JOBS_PER_MINUTE": NO_LIMIT, "MAX_QUEUED_JOBS": NO_LIMIT}
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True, **limits) as system:
        servers.pin([system.redis_server.process.pid], is_server=False)
        for _ in range(rounds):
            for start in (servers.ours, servers.flask_create):
                with start(system) as server:
                    runs[server.name].append(_run(system, server))
    text = (
        "Both check a signed token, validate the body, store a record and queue a job by RQ. Ours also checks the "
        "idempotency key and the limits, in the same step, and writes its log and metrics. Each has one core."
    )
    return Part("Creating jobs", text, [_table(runs, rounds)], _goals(runs))


def _run(system: Stack, server: servers.Server) -> Run:
    _create(system, server, WARM_UP_SECONDS, 0)
    fast, cpu_us = _create(system, server, SECONDS, 0)
    steady, cpu_us_at_rate = _create(system, server, SECONDS, RATE)
    return Run(
        per_second=fast["answered"] / fast["seconds"],
        cpu_us=cpu_us,
        p50_ms=steady["latency"]["p50"] / 1000,
        p99_ms=steady["latency"]["p99"] / 1000,
        cpu_us_at_rate=cpu_us_at_rate,
        refused=fast["refused"] + steady["refused"],
    )


def _create(system: Stack, server: servers.Server, seconds: int, rate: int) -> tuple[dict[str, Any], float]:
    """Returns the figures of the load generator, and the server's CPU time for each request."""
    # The jobs of the previous run would only take memory in Redis.
    system.redis.flushall()
    path = JOBS if server.name == OURS else server.path
    request = {"port": server.port, "path": path, "header": server.header, "body": json.dumps(BODY)}
    cpu = cpu_seconds(server.pids)
    with load.running("create", **request, connections=CONNECTIONS, seconds=seconds, rate=rate) as generator:
        servers.pin([generator.pid], is_server=False)
        figures = generator.figures()
    return figures, (cpu_seconds(server.pids) - cpu) / figures["answered"] * 1e6


def _table(runs: Runs, rounds: int) -> Table:
    def cell(some: list[Run], field: str, form: str) -> str:
        return format(median(getattr(run, field) for run in some), form)

    forms = {"per_second": ".0f", "cpu_us": ".0f", "p50_ms": ".2f", "p99_ms": ".1f", "cpu_us_at_rate": ".0f"}
    rows = [(name, *(cell(some, field, form) for field, form in forms.items())) for name, some in runs.items()]
    steady = f"at {RATE} a second:"
    head = ("server", "requests/s", "CPU µs each", f"{steady} p50 ms", "p99 ms", "CPU µs each")
    refused = sum(run.refused for some in runs.values() for run in some)
    note = f"Medians of {rounds} interleaved rounds, {CONNECTIONS} connections kept alive. Refused: {refused}."
    return Table("POST to a queued job", head, rows, note)


def _goals(runs: Runs) -> list[Goal]:
    ours, rival = (median(run.per_second for run in runs[name]) for name in (OURS, RIVAL))
    return [at_least("create: requests/s over Flask with four round trips", 1.3, ours / rival)]

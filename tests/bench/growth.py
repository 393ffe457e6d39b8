"""Measures how the cost grows with the viewers of a job, the events of a log and the bytes of text."""

import asyncio
import http.client
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.gate import Report
from shared.state.gate_store import GateStore
from tests.bench import load, servers
from tests.bench.delivery import options
from tests.bench.jobs_in_redis import append, deltas, running_jobs
from tests.bench.measures import cpu_seconds, median, percentile
from tests.bench.report import Part, Table, at_most
from tests.stack import stack

VIEWERS = (1, 10, 100, 1000)
LOG_EVENTS = (10, 100, 1000, 4000)
REPLAY_BYTES = (4_000, 40_000, 400_000)
LOG_BYTES = 40_000
"""The text of each log has this size while its number of deltas is varied."""
EVENTS_PER_SECOND = 10
JOBS_WATCHED_TOGETHER = 1000
SECONDS = 5
APPENDS = 500
JOINS = 40
GATE_ASKS = 500


def measure(rounds: int) -> Part:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True) as system:
        servers.pin([system.redis_server.process.pid], is_server=False)
        url, redis = system.redis_server.url, system.redis
        with servers.ours(system) as server:
            ids = Path(folder) / "ids"
            ids.write_text("\n".join(running_jobs(redis, url, JOBS_WATCHED_TOGETHER)))
            fans = [[_per_event(server, viewers, ids) for _ in range(rounds)] for viewers in VIEWERS]
            appends = [median(_append_us(redis, url, events) for _ in range(rounds)) for events in LOG_EVENTS]
            gate = asyncio.run(_gate_ms(url))
            by_events = [_joining(redis, url, server, events, LOG_BYTES // events) for events in LOG_EVENTS]
            by_bytes = [_joining(redis, url, server, 100, size // 100) for size in REPLAY_BYTES]
    return _part(fans, appends, gate, by_events, by_bytes)


def _part(
    fans: list[list[float]],
    appends: list[float],
    gate: list[float],
    by_events: list[tuple[float, float]],
    by_bytes: list[tuple[float, float]],
) -> Part:
    return Part(
        "Growth",
        "Costs stay flat where they can: the cost of an event falls with the viewers that share it, an append does not "
        "read the log, and a viewer that joins gets the text, not each delta.",
        [
            _table(
                "Viewers of one job",
                "viewers a job",
                VIEWERS,
                "CPU µs an event and viewer",
                [(median(fan),) for fan in fans],
                ".1f",
            ),
            _table(
                "An append to a log, in Redis",
                "events in the log",
                LOG_EVENTS,
                "µs an append",
                [(us,) for us in appends],
                ".1f",
            ),
            Table(
                "Asking the gate before a request to the model, where nothing holds requests back",
                ("", "p50 ms", "p99 ms"),
                [("a request", f"{median(gate):.2f}", f"{percentile(gate, 99):.2f}")],
                f"{GATE_ASKS} requests, one after the other; the report that follows each is not waited for.",
            ),
            _joining_table("Joining late, the same 40 kB of text", "deltas in the log", LOG_EVENTS, by_events),
            _joining_table("Joining late, a hundred deltas", "bytes of text", REPLAY_BYTES, by_bytes),
        ],
        [at_most("asking the gate in free flow, p50", 0.5, median(gate), " ms")],
    )


def _per_event(server: servers.Server, viewers: int, ids: Path) -> float:
    """Measures the CPU time in microseconds of one event to one viewer; of a thousand streams `viewers` share a job."""
    given = {**options(server, JOBS_WATCHED_TOGETHER, ids, SECONDS), "jobs": JOBS_WATCHED_TOGETHER // viewers}
    with load.running("streams", **given) as generator:
        servers.pin([generator.pid], is_server=False)
        generator.wait_for("open")
        generator.go_on()
        generator.wait_for("begin")
        cpu = cpu_seconds(server.pids)
        generator.wait_for("end")
        cpu = cpu_seconds(server.pids) - cpu
        return cpu / max(1, int(generator.figures()["received_in_time"])) * 1e6


async def _gate_ms(url: str) -> list[float]:
    """Returns how long each of many requests waits for the gate's reply, in ms, while no limit is near."""
    store, took = GateStore(AsyncRedis.from_url(url)), []
    free = Report("accepted", limits={"requests": (1e6, 1e6)})
    for number in range(GATE_ASKS):
        began = time.perf_counter()
        delay = await store.ask("free", f"request-{number}", f"job-{number}", number, 1000)
        took.append((time.perf_counter() - began) * 1000)
        assert delay is None
        await store.report("free", f"request-{number}", f"job-{number}", free)
    await store.close()
    return took


def _append_us(redis: Redis, url: str, events: int) -> float:
    """Returns the microseconds that Redis reports for an append to a log that already holds this many events."""
    (job,) = running_jobs(redis, url, 1)
    append(redis, [job], 2, deltas(events))
    redis.config_resetstat()
    append(redis, [job], 2 + events, deltas(APPENDS, before=events))
    return float(redis.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])


def _joining(redis: Redis, url: str, server: servers.Server, events: int, bytes_each: int) -> tuple[float, float]:
    """Measures the ms from a request to the last byte of its replay, for a process's first viewer and a later one."""
    (job,) = running_jobs(redis, url, 1)
    append(redis, [job], 2, deltas(events, text="x" * bytes_each))
    last = b'"totalLength":%d}' % (events * bytes_each)
    first = median(_join_ms(server, job, last) for _ in range(JOINS))
    connection = _open(server, job, last)
    try:
        return first, median(_join_ms(server, job, last) for _ in range(JOINS))
    finally:
        connection.close()


def _join_ms(server: servers.Server, job: str, last: bytes) -> float:
    began = time.perf_counter()
    connection = _open(server, job, last)
    took = time.perf_counter() - began
    connection.close()
    # The server releases the viewer's slot and its feed shortly after the connection closes.
    time.sleep(0.02)
    return took * 1000


def _open(server: servers.Server, job: str, last: bytes) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    name, _, value = server.header.strip().partition(": ")
    connection.request("GET", server.path % job, headers={name: value, "Accept": "text/event-stream"})
    answer = connection.getresponse()
    seen = b""
    while last not in seen:
        seen = seen[-100:] + answer.read1()
    return connection


def _joining_table(title: str, by: str, sizes: tuple[int, ...], times: list[tuple[float, float]]) -> Table:
    note = (
        f"Medians of {JOINS}, one after the other, until the last byte of what was missed. For the first viewer the "
        "process reads the log from Redis; for the others it has it in memory."
    )
    head = (by, "the first viewer in a process, ms", "any other, ms")
    return Table(
        title,
        head,
        [(f"{size:,}", *(f"{ms:.2f}" for ms in both)) for size, both in zip(sizes, times, strict=True)],
        note,
    )


def _table(
    title: str, by: str, sizes: tuple[int, ...], what: str, figures: list[tuple[float, ...]], form: str
) -> Table:
    rows = [
        (f"{size:,}", *(format(figure, form) for figure in some)) for size, some in zip(sizes, figures, strict=True)
    ]
    return Table(title, (by, what), rows)

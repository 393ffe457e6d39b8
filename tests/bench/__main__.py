"""`make bench`: how long things take and what they cost, on this machine, through the whole system.

Prints a table. Figures of one run on a shared machine: compare ratios, not absolutes.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.stack import Person, Process, Stack, children, stack

IDLE_JOBS = 40
JOBS_AT_ONCE = 50
CREATES = 300


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_quiet=True) as system:
        system.start_sandbox(chars=50, interval_ms=5)
        web = system.start_web()
        worker = system.start_worker()
        alice = Person(system)
        alice.watch(alice.ask("fast, to warm up"))
        rows = [*_creating(alice), *_idle(system, alice), *_busy(system, web, worker)]
        alice.close()
    width = max(len(name) for name, _ in rows)
    for name, figure in rows:
        print(f"{name:{width}}  {figure}")


def _creating(alice: Person) -> list[tuple[str, str]]:
    times = []
    for number in range(CREATES):
        began = time.perf_counter()
        job_id = alice.ask(f"fast {number}")
        times.append(time.perf_counter() - began)
        alice.cancel(job_id)
    return [("create: POST to answer, p50 / p99 ms", _spread(times))]


def _idle(system: Stack, alice: Person) -> list[tuple[str, str]]:
    """Times by the sandbox's clock and ours, which are this machine's one."""
    to_model, to_viewer = [], []
    for number in range(IDLE_JOBS):
        page = f"idle {number}"
        began = time.time()
        job_id = alice.ask(page)
        with alice.stream(job_id) as events:
            arrived = next(time.time() for event in events if event.name == "delta")
        request = next(request for request in system.requests_for(page))
        to_model.append(request["receivedAt"] / 1000 - began)
        to_viewer.append(arrived - request["firstTextAt"] / 1000)
        alice.cancel(job_id)
    return [
        ("idle: POST to the model's request, p50 / p99 ms", _spread(to_model)),
        ("idle: first text of the model to first delta at the viewer, p50 / p99 ms", _spread(to_viewer)),
    ]


def _busy(system: Stack, web: Process, worker: Process) -> list[tuple[str, str]]:
    workers, webs = [worker.pid], children(web.pid)
    memory = _resident(workers)
    cpu = _cpu_seconds(workers), _cpu_seconds(webs)
    deltas: list[int] = []

    def watch(number: int) -> None:
        person = Person(system, f"user {number}")
        events = person.watch(person.ask(f"busy {number}, slow"))
        deltas.append(sum(event.name == "delta" for event in events))
        person.close()

    took = _together(watch, JOBS_AT_ONCE)
    count = sum(deltas)
    return [
        (f"{JOBS_AT_ONCE} jobs at once: seconds, deltas", f"{took:.1f}, {count}"),
        ("worker: MB more a running job", f"{(_resident(workers) - memory) / 1e6 / JOBS_AT_ONCE:.2f}"),
        ("worker: CPU seconds per 1,000 deltas", f"{(_cpu_seconds(workers) - cpu[0]) / count * 1000:.2f}"),
        ("web: CPU seconds per 1,000 deltas delivered", f"{(_cpu_seconds(webs) - cpu[1]) / count * 1000:.2f}"),
        ("Redis connections in all", str(system.redis.info("clients")["connected_clients"])),
    ]


def _together(action: Callable[[int], None], count: int) -> float:
    threads = [threading.Thread(target=action, args=(number,)) for number in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered) * 1000:.1f} / {ordered[int(len(ordered) * 0.99)] * 1000:.1f}"


def _resident(pids: list[int]) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

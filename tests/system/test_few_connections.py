"""Tests that a Redis which allows 20 connections is enough for a web process and a worker under load."""

from collections import Counter
from pathlib import Path

import httpx

from shared.state import keys
from tests.conftest import free_port, wait_until
from tests.stack import Person, Process, Watcher, children, stack

WEB, WORKER = 9, 8


def test_the_processes_stay_within_their_connection_limits_while_many_jobs_run(tmp_path: Path) -> None:
    port = free_port()
    with stack(tmp_path, WORKER_CONCURRENCY="20") as system:
        # Two more connections are for this test's own client and for what it starts.
        system.redis.config_set("maxclients", WEB + WORKER + 2)
        system.start_sandbox(chars=40, interval_ms=10)
        web = system.start_web(REDIS_MAX_CONNECTIONS=str(WEB))
        worker = system.start_worker(REDIS_MAX_CONNECTIONS=str(WORKER), METRICS_PORT=str(port))
        people = [Person(system, f"user {number}") for number in range(5)]
        watchers = [Watcher(system, p.ask(f"{p.name} {n}"), name=p.name) for n in range(5) for p in people]
        most: Counter[int] = Counter()

        def is_done() -> bool:
            for url in (f"http://127.0.0.1:{system.web_port}", f"http://127.0.0.1:{port}"):
                assert "planner_redis_up 1.0" in httpx.get(f"{url}/metrics").text
            for process in (web, worker):
                most[process.pid] = max(most[process.pid], connections(process, system.redis_server.port))
            return all(watcher.final for watcher in watchers)

        wait_until(is_done)
        assert [watcher.join().status for watcher in watchers] == ["completed"] * 25
        assert 0 < most[web.pid] <= WEB and 0 < most[worker.pid] <= WORKER, most
        assert not system.redis.exists(keys.LEASES)
        assert int(system.redis.info("stats")["rejected_connections"]) == 0
        for process in (web, worker):
            assert not process.has_said("Redis is away"), process.lines
        for person in people:
            person.close()


def connections(process: Process, port: int) -> int:
    """Returns how many connections to that port the process and its children have open."""
    inodes = set()
    for pid in (process.pid, *children(process.pid)):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except FileNotFoundError:
                continue
            if target.startswith("socket:"):
                inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[9] in inodes and int(row[2].split(":")[1], 16) == port and row[3] == "01" for row in rows)

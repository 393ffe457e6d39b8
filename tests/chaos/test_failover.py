"""Tests that nothing needs a restart when a primary behind one address is demoted while jobs run."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from tests.conftest import RedisServer, free_port, start_redis, wait_until
from tests.relay import Relay
from tests.stack import BODY, JOBS, Person, Stack, Watcher, stack

BACK_SECONDS = 15


class Pair:
    """Represents a primary and its replica behind one address."""

    def __init__(self, system: Stack, relay: Relay, folder: Path) -> None:
        self._relay = relay
        self.old: RedisServer = system.redis_server
        self.new = start_redis(free_port(), folder)
        with Redis(port=self.new.port) as new:
            new.replicaof("127.0.0.1", self.old.port)
            wait_until(lambda: new.info("replication")["master_link_status"] == "up")

    def fail_over(self, old_primary: str) -> None:
        """Promotes the replica. The old primary follows it (`kept`), also loses its clients (`cut`), or is `killed`."""
        with Redis(port=self.new.port) as new, Redis(port=self.old.port) as old:
            new.replicaof("NO", "ONE")
            old.replicaof("127.0.0.1", self.new.port)
            self._relay.point_to(self.new.port)
            if old_primary == "cut":
                self._relay.cut()
            if old_primary == "killed":
                self.old.process.kill()

    def close(self) -> None:
        self.new.process.kill()
        self.new.process.wait()


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(0)
    yield relay
    relay.close()


@pytest.mark.parametrize("old_primary", ["kept", "cut", "killed"])
def test_a_failover_delivers_what_runs_and_takes_new_jobs_without_a_restart(
    tmp_path: Path, relay: Relay, old_primary: str
) -> None:
    with stack(tmp_path, REDIS_URL=f"redis://127.0.0.1:{relay.port}/0") as system:
        relay.point_to(system.redis_server.port)
        system.start_sandbox(chars=8, interval_ms=10)
        web, worker = system.start_web(), system.start_worker()
        alice = Person(system)
        pair = Pair(system, relay, tmp_path)
        try:
            watchers = [Watcher(system, alice.ask(f"fails over {number}")) for number in range(3)]
            wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
            pair.fail_over(old_primary)
            began = time.monotonic()
            wait_until(lambda: alice.http.post(JOBS, json=BODY).status_code == 202, seconds=BACK_SECONDS)
            new = Watcher(system, alice.ask("after the failover fast"))
            assert [watcher.join().status for watcher in watchers] == ["completed"] * 3
            assert new.join(BACK_SECONDS).status == "completed"
            assert all(watcher.saw("delta") for watcher in watchers)
            wait_until(lambda: alice.http.get("/readyz").status_code == 200)
            assert (web.popen.poll(), worker.popen.poll()) == (None, None)
            print(f"whole again after {time.monotonic() - began:.1f} s")
        finally:
            alice.close()
            pair.close()


def test_a_primary_that_is_demoted_without_a_successor_shows_in_probes_and_metrics(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        metrics_port = free_port()
        system.start_sandbox()
        system.start_web()
        system.start_worker(METRICS_PORT=str(metrics_port))
        web, worker = (f"http://127.0.0.1:{port}" for port in (system.web_port, metrics_port))
        system.redis.replicaof("127.0.0.1", free_port())
        for url in (web, worker):
            wait_until(lambda: "planner_redis_up 0.0" in httpx.get(f"{url}/metrics").text)  # noqa: B023
            wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503)  # noqa: B023
        assert httpx.get(f"{web}/readyz").json()["redis"] == "replica"
        assert httpx.get(f"{web}/healthz").status_code == httpx.get(f"{worker}/healthz").status_code == 200
        system.redis.replicaof("NO", "ONE")
        for url in (web, worker):
            wait_until(lambda: "planner_redis_up 1.0" in httpx.get(f"{url}/metrics").text)  # noqa: B023
            wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)  # noqa: B023

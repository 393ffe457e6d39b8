"""Tests connections to Redis that fall silent without being closed, as when a firewall has dropped their state."""

from pathlib import Path

from tests.conftest import wait_until
from tests.relay import Relay
from tests.stack import BODY, JOBS, Person, Stack, Watcher, stack

HEALED_SECONDS = 30


def test_connections_that_fall_silent_are_replaced_and_running_jobs_are_delivered_in_full(tmp_path: Path) -> None:
    relay = Relay(0)
    try:
        with stack(tmp_path, REDIS_URL=f"redis://127.0.0.1:{relay.port}/0") as system:
            relay.point_to(system.redis_server.port)
            silence(system, relay)
    finally:
        relay.close()


def silence(system: Stack, relay: Relay) -> None:
    system.start_sandbox(chars=8, interval_ms=10)
    system.start_web()
    system.start_worker()
    alice = Person(system)
    pages = [f"quiet connections {number}" for number in range(3)]
    watchers = [Watcher(system, alice.ask(page)) for page in pages]
    stuck = Watcher(system, alice.ask("quiet connections, stall"))
    wait_until(lambda: all(watcher.saw("delta") for watcher in (*watchers, stuck)))
    relay.silence()
    # The first requests fail on the silent connections, and are refused.
    wait_until(lambda: alice.http.post(JOBS, json=BODY).status_code == 202)
    new = Watcher(system, alice.ask("after connections fell quiet, fast"), is_patient=True)
    assert [watcher.join(HEALED_SECONDS).status for watcher in (*watchers, new)] == ["completed"] * 4
    for page in pages:
        assert len(system.requests_for(page)) == 1
    alice.cancel(stuck.job_id)
    assert stuck.join(HEALED_SECONDS).status == "cancelled"
    alice.close()

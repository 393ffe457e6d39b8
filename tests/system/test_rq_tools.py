"""Tests that no job is lost or hangs when an operator uses RQ's own command, or when Redis comes back empty."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import clean_environment, wait_until
from tests.stack import Person, Stack, Watcher, running_stack


def rq(system: Stack, *arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "rq"), *arguments, "--url", system.redis_server.url]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=clean_environment(), cwd=system.folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path, has_worker=False) as it:
        yield it


def test_waiting_jobs_return_to_a_queue_that_was_emptied_and_their_viewers_see_them_complete(system: Stack) -> None:
    alice = Person(system)
    watchers = [Watcher(system, alice.ask(f"waits, number {number} fast")) for number in range(3)]
    wait_until(lambda: all(watcher.saw("queued") for watcher in watchers))
    assert "3 jobs removed" in rq(system, "empty", "suggestions")
    wait_until(lambda: system.redis.llen("rq:queue:suggestions") == 3, seconds=20)
    system.start_worker()
    assert {watcher.join().status for watcher in watchers} == {"completed"}
    alice.close()


def test_a_worker_registers_again_when_redis_comes_back_empty(system: Stack) -> None:
    system.start_worker()
    assert "\n1 workers" in rq(system, "info")
    system.redis.flushall()
    wait_until(lambda: "\n1 workers" in rq(system, "info"), seconds=20)
    alice = Person(system)
    assert Watcher(system, alice.ask("after the flush fast")).join().status == "completed"
    alice.close()

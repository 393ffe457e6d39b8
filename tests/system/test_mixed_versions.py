"""Tests two versions on one Redis, each as web process and as worker, with kills and drains between them.

The other version is the commit `OTHER` of this repository, run with this version's packages.
"""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.state import keys
from tests.conftest import free_port, wait_until
from tests.stack import ROOT, Person, Process, Stack, Watcher, answers, stack
from tests.system.record_state import start

OTHER = "367b536"
"""This commit is from before records had a version, jobs kept their turns and workers published their settings."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provides the folder with the files of the other version."""
    checkout = tmp_path_factory.mktemp("other")
    archive = subprocess.run(["git", "archive", OTHER], cwd=ROOT, capture_output=True)
    if archive.returncode != 0:
        # A copy of the repository without its history has no other version to run; pytest's summary then says so.
        pytest.skip(f"the repository's history is not here: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "x", "-C", str(checkout)], input=archive.stdout, check=True)
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    return checkout


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Stack]:
    with stack(tmp_path) as it:
        it.start_sandbox(chars=8, interval_ms=10)
        yield it


def web(system: Stack, other: Path | None) -> int:
    """Starts a web process of the other version, or of this one if it is None. Returns its port."""
    port = free_port()
    if other is None:
        system.start_web(port)
    else:
        start(system, other, "web", PORT=str(port))
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), seconds=90)
    return port


def worker(system: Stack, other: Path | None) -> Process:
    if other is None:
        return system.start_worker(DRAIN_SECONDS="0")
    process = start(system, other, "worker", DRAIN_SECONDS="0")
    wait_until(lambda: process.has_said("ready"), seconds=90)
    return process


@pytest.mark.parametrize("is_upgrade", [True, False], ids=["upgrade", "rollback"])
def test_a_deploy_in_either_direction_loses_no_job_and_no_viewer(system: Stack, other: Path, is_upgrade: bool) -> None:
    """Kills one worker and drains the next; a worker of the other version follows each, and both show every job."""
    old, new = (other, None) if is_upgrade else (None, other)
    ports = [web(system, old), web(system, new)]
    people = [Person(system, port=port) for port in ports]
    for person in people:
        person.http.event_hooks = {}  # the other version's responses need not match this version's OpenAPI document
    first = worker(system, old)
    ids = [person.ask("deploy") for person in people]
    # Only this version writes its name into a record, which shows that each version has created one job.
    assert [system.redis.hexists(keys.record(job_id), "version") for job_id in ids] == [not is_upgrade, is_upgrade]
    watchers = [Watcher(system, job_id, port=port) for job_id in ids for port in ports]
    wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
    first.send(signal.SIGKILL)
    second = worker(system, new)
    wait_until(lambda: all(watcher.saw("started", cause="worker_lost") for watcher in watchers))
    assert second.stop() == 0
    worker(system, old)
    jobs = [watcher.join(60) for watcher in watchers]
    assert [job.status for job in jobs] == ["completed"] * 4
    for here, there in zip(jobs[::2], jobs[1::2], strict=True):
        assert here.text == there.text and here.text
    for process in system.processes:
        assert not process.has_said("Traceback"), process.lines
    for person in people:
        person.close()

"""`make run`: the whole system in one terminal, and nothing left of it afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import clean_environment, free_port, wait_until
from tests.stack import ROOT, Process, children

COMMAND = [sys.executable, "scripts/run.py"]


@pytest.fixture
def run() -> Iterator[Process]:
    process = start(free_port())
    wait_until(lambda: process.has_said("Ready") or process.popen.poll() is not None, seconds=30)
    assert process.popen.poll() is None, process.lines
    yield process
    if process.popen.poll() is None:
        process.stop(seconds=30)  # a killed one would leave its own processes behind
    process.cleanup()


def start(port: int) -> Process:
    popen = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=clean_environment(PORT=str(port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Process("run", popen)


def family(pid: int) -> dict[int, str]:
    """The process's descendants: their ids and what they run."""
    found: dict[int, str] = {}
    for child in children(pid):
        found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        found |= family(child)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_leaves_no_process_behind(run: Process, number: signal.Signals) -> None:
    started = family(run.pid)
    assert len(started) >= 4
    assert run.stop(number, seconds=30) == 0
    assert [command for pid, command in started.items() if is_running(pid)] == []


def test_when_one_dies_all_stop_and_it_says_which(run: Process) -> None:
    started = family(run.pid)
    worker = next(pid for pid, command in started.items() if command.endswith("-m worker "))
    os.kill(worker, signal.SIGKILL)
    assert run.wait(30) == 1
    assert run.has_said("worker ended with code -9")
    assert [command for pid, command in started.items() if is_running(pid)] == []


def test_a_second_copy_on_the_same_port_fails_with_a_clear_line(run: Process) -> None:
    port = next(line for line in run.lines if "Ready" in line).split("localhost:")[1].split("/")[0]
    second = start(int(port))
    assert second.wait(10) == 1
    wait_until(lambda: second.has_said(f"PORT {port} is taken"))
    second.cleanup()
    assert run.popen.poll() is None

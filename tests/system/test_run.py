"""Tests `make run`, which runs the whole system in one terminal and leaves no process behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.conftest import clean_environment, free_port, wait_until
from tests.forks import FORKS
from tests.stack import BODY, ROOT, Process, children

COMMAND = [sys.executable, "scripts/run.py"]


@pytest.fixture
def run() -> Iterator[Process]:
    process = start(free_port())
    wait_until(lambda: process.has_said("Ready") or process.popen.poll() is not None, seconds=30)
    assert process.popen.poll() is None, process.lines
    yield process
    if process.popen.poll() is None:
        process.stop(seconds=30)  # if it were killed, its child processes would stay behind
    process.cleanup()


def start(port: int, **variables: str) -> Process:
    popen = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=clean_environment(**{"PORT": str(port), **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Process("run", popen)


def family(pid: int) -> dict[int, str]:
    """Returns the command of each descendant of the process, by its process id."""
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


def test_all_processes_stop_when_one_dies_and_the_output_says_which(run: Process) -> None:
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


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"REDIS_URL": "redis://:hunter2@127.0.0.1:{free}/0"}, "REDIS_URL: redis://127.0.0.1:{free}/0 refuses the"),
        ({"REDIS_URL": "redis://:hunter2@planner.invalid/0"}, "REDIS_URL: redis://planner.invalid/0 has a host name"),
        ({"REDIS_URL": "hunter2"}, "REDIS_URL must start with"),
        ({"PORT": "hunter2"}, "PORT must be a whole number"),
        ({"PROJECT_ROOT": "/hunter2"}, "PROJECT_ROOT is not a directory"),
        ({"AUTH_MODE": "jwt"}, "AUTH_MODE=jwt needs either AUTH_SECRET or AUTH_JWKS_URL"),
        ({"ANTHROPIC_API_KEY": "hunter2 hunter2"}, "ANTHROPIC_API_KEY has a space"),
    ],
)
def test_a_wrong_setting_is_reported_at_once_by_its_name_and_nothing_is_started(
    variables: dict[str, str], line: str
) -> None:
    free = str(free_port())
    settings = {name: value.replace("{free}", free) for name, value in variables.items()}
    environment = clean_environment(**{"PORT": str(free_port()), **settings})
    run = Process("run", FORKS.start("scripts.run", env=environment))
    assert run.wait(20) == 1
    run.cleanup()
    [said] = run.lines
    assert said.startswith(f"make run: {line.replace('{free}', free)}") and "hunter2" not in said


def test_a_key_that_the_provider_refuses_is_reported_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(10_000)
                client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        run = start(free_port(), ANTHROPIC_API_KEY="hunter2", ANTHROPIC_BASE_URL=url)
        assert run.wait(20) == 1
        run.cleanup()
    assert run.lines == [f"make run: ANTHROPIC_API_KEY: {url} refuses the key (401)"]


def test_the_output_names_the_queue_and_what_a_stop_waits_for_and_a_second_stop_acts_at_once(run: Process) -> None:
    wait_until(lambda: run.has_said("rq info -u unix:///"))
    base = next(line for line in run.lines if "Ready" in line).split("open ")[1].split("/ ")[0]
    with httpx.Client(base_url=base.replace("localhost", "127.0.0.1")) as person:
        person.get("/")
        asked = person.post("/api/feature-planner/suggest-feature", json={**BODY, "pageOrComponent": "silent"})
        job = asked.json()["jobId"]
        headers = {"Accept": "application/json"}
        path = f"/api/feature-planner/suggest-feature/{job}"
        wait_until(lambda: person.get(path, headers=headers).json()["status"] == "in_progress")
    started = family(run.pid)
    run.send(signal.SIGINT)
    wait_until(lambda: run.has_said("the worker lets its jobs finish, for at most 25 s; Ctrl-C again stops at once"))
    assert run.stop(signal.SIGINT, seconds=15) == 0
    assert [command for pid, command in started.items() if is_running(pid)] == []

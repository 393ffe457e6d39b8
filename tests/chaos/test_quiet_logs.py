"""Tests how few lines an outage of Redis and a failing job cause in the logs of the real processes."""

import re
import signal
import threading
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port, start_redis, wait_until
from tests.stack import BODY, JOBS, Person, Process, Stack, Watcher, stack

OUTAGE_SECONDS = 7.0
LINE = re.compile(r"\d\d:\d\d:\d\d (\w+) +([\w.]+): (.*)")


def unusual_lines(process: Process, since: int) -> list[str]:
    """Returns what the process logged from that line on, except the usual line for each request and attempt."""
    lines = []
    for line in process.lines[since:]:
        match = LINE.match(line)
        # A line of another form belongs to a traceback, or comes from a library that logs by itself.
        if match is None:
            lines.append(line)
        elif match[1] not in ("info", "debug"):
            lines.append(match[3])
    return lines


def use(system: Stack, metrics_port: int, stopping: threading.Event) -> None:
    """Requests jobs, metrics and readiness, as users and monitoring do, until it is stopped."""
    person = Person(system)
    urls = [f"http://127.0.0.1:{system.web_port}{path}" for path in ("/readyz", "/metrics")]
    urls += [f"http://127.0.0.1:{metrics_port}{path}" for path in ("/readyz", "/metrics")]
    while not stopping.wait(0.2):
        person.http.post(JOBS, json=BODY)
        for url in urls:
            httpx.get(url, timeout=20)
    person.close()


@pytest.mark.parametrize("how", ["frozen", "gone"])
def test_each_process_logs_one_line_when_an_outage_of_redis_begins_and_one_when_it_ends(
    tmp_path: Path, how: str
) -> None:
    metrics_port = free_port()
    with stack(tmp_path, KEEPALIVE_SECONDS="1") as system:
        system.start_sandbox(chars=8, interval_ms=10)
        processes = [system.start_web(), system.start_worker(METRICS_PORT=str(metrics_port))]
        person = Person(system)
        watchers = [Watcher(system, person.ask(f"{how} {number}")) for number in range(5)]
        wait_until(lambda: all(watcher.saw("delta") for watcher in watchers))
        since = {process.name: len(process.lines) for process in processes}
        stopping = threading.Event()
        user = threading.Thread(target=use, args=(system, metrics_port, stopping))
        user.start()
        if how == "frozen":
            system.redis_server.process.send_signal(signal.SIGSTOP)
            stopping.wait(OUTAGE_SECONDS)
            system.redis_server.process.send_signal(signal.SIGCONT)
        else:
            system.redis_server.process.kill()
            system.redis_server.process.wait()
            stopping.wait(OUTAGE_SECONDS)
            system.redis_server = start_redis(system.redis_server.port, tmp_path)
        for process in processes:
            wait_until(lambda process=process: process.has_said("Redis answers again"))  # type: ignore[misc]
        stopping.set()
        user.join()
        for process in processes:
            lines = unusual_lines(process, since[process.name])
            assert lines[0].startswith("Redis is away: "), lines
            assert sum(line.startswith("Redis answers again") for line in lines) == 1, lines
            # On a busy machine the outage may last long enough for the repeated warning.
            assert all(line.startswith("Redis ") for line in lines), lines
            assert len(lines) <= 4, lines
        for watcher in watchers:
            watcher.join()
        person.close()


@pytest.mark.parametrize(
    ("page", "reason", "follows"),
    [
        ("no such model", "HTTP 404", "none: the job has failed"),
        ("broken stream once", "", "another attempt, on this worker"),
    ],
)
def test_a_failing_attempt_logs_its_job_its_reason_and_what_follows_in_one_line(
    system: Stack, page: str, reason: str, follows: str
) -> None:
    worker = system.start_worker()
    person = Person(system)
    job_id = person.ask(page)
    Watcher(system, job_id).join()

    def found() -> list[str]:
        return [line for line in worker.lines if "attempt ended" in line and " reason=" in line]

    # Viewers receive the final event before it is logged.
    wait_until(lambda: bool(found()))
    (line,) = found()
    assert f"job_id={job_id}" in line
    assert f"reason={reason}" in line
    assert f"next={follows}" in line
    person.close()

"""Tests processes that were started without standard streams, as some service managers and daemons start them."""

import shlex
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port, wait_until
from tests.stack import PROCFILE, Person, answers, stack

WEB, WORKER = (shlex.split(PROCFILE[half]) for half in ("web", "worker"))


@pytest.mark.parametrize(
    ("closed", "worker_command"),
    [("<&-", WORKER), ("<&- >&- 2>&-", WORKER), ("<&- >&- 2>&-", [sys.executable, "-P", "-m", "worker"])],
)
def test_processes_without_standard_streams_do_their_work_and_stop_in_order(
    tmp_path: Path, closed: str, worker_command: list[str]
) -> None:
    """If a file or socket of the worker had the number 0, libuv would abort the process when it closes that."""
    without = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    with stack(tmp_path) as it:
        it.start_sandbox(chars=100)
        it.web_port = free_port()
        web = it.start("web", [*without, *WEB], PORT=str(it.web_port))
        worker = it.start("worker", [*without, *worker_command])
        wait_until(lambda: answers(f"http://127.0.0.1:{it.web_port}/healthz"))
        alice = Person(it)
        assert alice.watch(alice.ask("fast"))[-1].name == "complete"
        alice.close()
        assert worker.stop() == 0
        assert web.stop(signal.SIGTERM) == 0

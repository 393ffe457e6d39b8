"""Tests the processes that stay to read files: what they answer, and what becomes of one that hangs or dies."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import wait_until
from tests.worker.agent.projects import make_project, readers, refusal, run, text
from worker.agent import file_access, file_readers


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Provides a project, and that no process is left from another test."""
    file_readers.end_idle()
    assert not readers()
    yield make_project(tmp_path)
    file_readers.end_idle()


async def read(root: Path, path: str = "src/cart.ts", seconds: float = 30) -> bytes:
    fields = (b"read", os.fsencode(root), os.fsencode(path), b"1", b"0")
    return await file_readers.ask(*fields, seconds=seconds)


def stop_the_only_reader() -> int:
    """Freezes the process that waits, so that it does not answer the next request; returns its id."""
    [pid] = readers()
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_files_are_read_one_after_the_other_by_the_same_process(root: Path) -> None:
    assert "CheckoutPage" in text(root, "Read", file_path="src/Checkout.tsx")
    first = readers()
    assert len(first) == 1
    assert "# Checkout" in text(root, "Read", file_path="docs/guide.md")
    assert "größer" in text(root, "Grep", pattern="größer")
    assert readers() == first


def test_of_many_processes_that_read_at_once_only_a_few_stay(root: Path) -> None:
    async def many() -> list[bytes]:
        return await asyncio.gather(*(read(root) for _ in range(60)))

    answers = run(many())
    assert len(answers) == 60 and all(b"CheckoutPage" in answer for answer in answers)
    wait_until(lambda: len(readers()) <= file_readers.MAX_IDLE)
    assert len(readers()) == file_readers.MAX_IDLE


@pytest.mark.parametrize(("name", "arguments"), [("Grep", {"pattern": "CheckoutPage"}), ("Glob", {"pattern": "**"})])
def test_files_that_cannot_be_checked_in_time_are_not_reported_as_absent(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, str]
) -> None:
    monkeypatch.setattr("worker.agent.project.KEEP_SECONDS", 0.5)
    run(read(root))
    stop_the_only_reader()
    assert "could not be checked in time" in refusal(root, name, **arguments)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_that_was_killed_while_it_waited_is_replaced(root: Path, number: int) -> None:
    run(read(root))
    [killed] = readers()
    os.kill(killed, number)
    wait_until(lambda: not readers())  # a process that waits to be reaped has no command line
    assert b"CheckoutPage" in run(read(root))
    assert len(readers()) == 1 and killed not in readers()


def test_a_process_that_does_not_answer_in_time_is_killed_and_delays_nobody_else(root: Path) -> None:
    run(read(root))
    frozen = stop_the_only_reader()

    async def both() -> None:
        late = asyncio.create_task(read(root, seconds=2))
        await asyncio.sleep(0)
        assert b"CheckoutPage" in await read(root)
        assert not late.done()
        with pytest.raises(TimeoutError):
            await late

    run(both())
    assert frozen not in readers() and len(readers()) == 1


def test_the_model_reads_that_a_file_took_too_long(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.agent.file_access.READ_SECONDS", -0.5)
    run(read(root))
    stop_the_only_reader()
    assert "takes too long" in refusal(root, "Read", file_path="src/cart.ts")


def test_a_file_that_turns_out_to_be_latin_late_has_no_more_time_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read once more from its beginning. The clock here goes on by 3 s with each block of 1 MB."""
    file = tmp_path / "file"
    file.write_bytes(b"a line of 16 b.\n" * 65_536 + b"caf\xe9\n" + b"another line...\n" * 200_000)
    clock = count(0, 3)
    monkeypatch.setattr(file_access, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with file.open("rb") as opened:
        found = file_access.read(opened.fileno(), 1_000_000, None)
    assert found["encoding"] == "latin-1" and found["is_late"]
    assert next(clock) == 9, "it was read on after its time was up"


def test_the_process_of_a_cancelled_call_is_killed(root: Path) -> None:
    run(read(root))
    frozen = stop_the_only_reader()

    async def cancelled() -> None:
        reading = asyncio.create_task(read(root))
        await asyncio.sleep(0)
        done, _ = await asyncio.wait([reading], timeout=0.2)
        assert not done
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    run(cancelled())
    assert frozen not in readers()
    assert b"CheckoutPage" in run(read(root))


def test_a_cancelled_call_leaves_the_other_processes_alone_and_starts_none(root: Path) -> None:
    """Its own process is killed, which does not mean that another one has to be asked."""

    async def cancelled() -> None:
        await asyncio.gather(*(read(root) for _ in range(2 * file_readers.MAX_IDLE)))
        for pid in readers():
            os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(read(root))
        await asyncio.sleep(0)
        done, _ = await asyncio.wait([reading], timeout=0.2)
        assert not done
        before = readers()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert len(before) == file_readers.MAX_IDLE
        assert readers() < before and len(readers()) == file_readers.MAX_IDLE - 1

    run(cancelled())


def test_a_call_that_is_cancelled_after_its_answer_does_not_kill_a_process_that_others_use(root: Path) -> None:
    """The thread of the call has ended, and its event loop has not yet noticed."""
    request = file_readers.Request(b"\0".join((b"read", os.fsencode(root), b"src/cart.ts", b"1", b"0")), 30)
    request.run(lambda: None)
    before = readers()
    request.stop()
    assert b"CheckoutPage" in run(read(root)) and readers() == before


def test_a_call_that_was_cancelled_before_it_began_leaves_no_process(root: Path) -> None:
    request = file_readers.Request(b"\0".join((b"read", os.fsencode(root), b"src/cart.ts", b"1", b"0")), 30)
    request.stop()
    request.run(lambda: None)
    assert not readers()
    with pytest.raises(ConnectionError):
        request.result()


def test_requests_and_answers_may_be_larger_than_a_sockets_buffer(root: Path) -> None:
    paths = [b"src/cart.ts", *(b"src/%d-%s" % (number, b"x" * 200) for number in range(20_000)), b"docs/guide.md"]
    answer = run(file_readers.ask(b"keep", os.fsencode(root), *paths, seconds=30))
    assert answer.split(b"\0") == [b"src/cart.ts", b"docs/guide.md"]
    (root / "large.txt").write_text("😀" * 1_500 + "\n" + "😀" * 1_500)
    assert run(read(root, "large.txt")).count(b"1f600") == 3_000


def test_no_process_stays_when_the_worker_is_killed(root: Path) -> None:
    program = f"""
import asyncio, os, time
from tests.worker.agent.projects import readers
from worker.agent import file_access, file_readers
asyncio.run(file_readers.ask(b"read", {os.fsencode(root)!r}, b"src/cart.ts", b"1", b"0", seconds=30))
print(*readers(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        worker.kill()
        wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_processes_see_nothing_of_the_workers_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    run(read(root))
    [pid] = readers()
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"LC_ALL" in environment and b"canary" not in environment

"""Tests the thread of the event loop that the jobs of a worker share."""

import asyncio
import threading

import pytest

from worker.jobs import loop_thread
from worker.jobs.loop_thread import LoopThread


def test_a_task_that_does_not_end_does_not_keep_the_loop_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "END_SECONDS", 0.1)
    loop, released = LoopThread(), asyncio.Event()

    async def start_a_task_that_ignores_its_cancel() -> asyncio.Task[None]:
        task = asyncio.create_task(ignore_cancel())
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it outlives its loop on purpose
        await asyncio.sleep(0)
        return task

    async def ignore_cancel() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    loop.start()
    loop.run(start_a_task_that_ignores_its_cancel())
    stopping = threading.Thread(target=loop.stop, daemon=True)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive() and not loop.is_running

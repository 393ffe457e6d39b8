"""Runs the event loop that all jobs of a process share, in its own thread."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

BEAT_SECONDS = 0.5
END_SECONDS = 5.0
"""How long tasks may take to end when the loop is stopped."""


class LoopThread:
    """Runs an event loop in a thread. It can be started and stopped once."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name="loop", daemon=True)
        self._beat = time.monotonic()
        self._is_stopped = False

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the loop, cancels its tasks and waits for the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs the coroutine on the loop and returns its result. The calling thread waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def call(self, function: Callable[[], object]) -> None:
        """Calls the function on the loop, without waiting for it."""
        self._loop.call_soon_threadsafe(function)

    @property
    def is_running(self) -> bool:
        """Returns whether the loop's thread is running and the loop has not been stopped."""
        return self._thread.is_alive() and not self._is_stopped

    def is_alive(self, within_seconds: float) -> bool:
        """Returns whether the loop has handled events within this time: a loop that hangs must not keep its leases."""
        return time.monotonic() - self._beat < within_seconds

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._note)
        self._loop.run_forever()
        self._is_stopped = True  # set before the loop's tasks end, which would otherwise be taken for parts that died
        self._loop.run_until_complete(_end_tasks())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _note(self) -> None:
        self._beat = time.monotonic()
        self._loop.call_later(BEAT_SECONDS, self._note)


async def _end_tasks() -> None:
    """Cancels all other tasks and waits for them, at most END_SECONDS.

    Not every task ends when it is cancelled: one may ignore it, or asyncio itself may wait for something without end.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS)

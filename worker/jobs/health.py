"""Checks whether the parts of a worker process work, for its main thread and for probes."""

import time

from shared.state.outages import outages
from worker.jobs.concurrent_worker import ConcurrentWorker
from worker.jobs.heartbeat import LOOP_STALL_SECONDS, Heartbeat
from worker.jobs.loop_thread import LoopThread
from worker.publishing.log_writer import LogWriter

TURN_SECONDS = 30.0
"""The thread that takes jobs begins a turn each second; with a silent Redis a turn may take a few times 5 s."""
UNSENT_SECONDS = 60.0


class Health:
    """Checks the parts of a running worker. Its methods may be called from any thread."""

    def __init__(self, *, loop: LoopThread, writer: LogWriter, heartbeat: Heartbeat, worker: ConcurrentWorker) -> None:
        self._loop = loop
        self._writer = writer
        self._heartbeat = heartbeat
        self._worker = worker

    @property
    def oldest_unwritten_seconds(self) -> float:
        """Returns the age of the oldest event that Redis has not stored yet, 0 where there is none."""
        return self._writer.oldest_seconds

    def find_dead_part(self) -> str | None:
        """Returns the name of a part that has ended and without which no job can run; None if all are running."""
        parts = {
            "event loop": self._loop.is_running,
            "log writer": self._writer.is_alive,
            "heartbeat": self._heartbeat.is_alive,
        }
        return next((name for name, is_alive in parts.items() if not is_alive), None)

    def reasons_not_ready(self) -> list[str]:
        """Returns the reasons why the process takes no jobs now; empty where it does."""
        found = self.problems()
        if outages.is_away:
            found.append(f"Redis is {outages.state}")
        if self._worker.is_stopping:
            found.append("the process is stopping")
        return found

    def problems(self) -> list[str]:
        """Returns what is wrong with the process; empty where it is healthy. An outage of Redis is no problem of it."""
        found: list[str] = []
        if (part := self.find_dead_part()) is not None:
            found.append(f"the {part} has ended")
        if not self._loop.is_alive(LOOP_STALL_SECONDS):
            found.append("the event loop stands still")
        if time.monotonic() - self._worker.last_turn > TURN_SECONDS:
            found.append("the thread that takes jobs stands still")
        if self._writer.oldest_seconds > UNSENT_SECONDS and not outages.is_away:
            found.append(f"an event has waited {self._writer.oldest_seconds:.0f} s to be written")
        return found

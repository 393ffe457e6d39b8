"""Runs the thread that renews a worker's registration and leases in Redis, and sweeps for abandoned jobs."""

import logging
import threading
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from shared.state.job_store import JobStore
from shared.state.outages import log_failure, outages
from shared.state.sweeper import SWEEP_SECONDS, Sweeper
from worker.jobs.job_runner import JobRunner
from worker.jobs.loop_thread import LoopThread

log = logging.getLogger(__name__)

RENEW_SECONDS = 2.0
LOOP_STALL_SECONDS = 5.0


class Heartbeat:
    """Renews leases of 8 s every 2 s while the event loop runs. A worker that hangs thus loses its jobs to others."""

    def __init__(self, runner: JobRunner, loop: LoopThread, store: JobStore, show_presence: Callable[[], None]) -> None:
        """Builds the heartbeat. `store` and `show_presence` must not share connections with the slots.

        Otherwise the renewal of a lease might have to wait for a connection.
        """
        self._runner = runner
        self._loop = loop
        self._store = store
        self._sweeper = Sweeper(store)
        self._show_presence = show_presence
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Returns whether the heartbeat's thread is running."""
        return self._thread.is_alive()

    def _run(self) -> None:
        renew_at = sweep_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + RENEW_SECONDS
                self._do("renewing the leases", self._renew)
            # While Redis is silent, each of the two waits for its time-out.
            if time.monotonic() >= sweep_at and not self._stopping.is_set():
                self._do("looking for abandoned jobs", self._sweeper.sweep)
                # It counts from the end of a sweep: if Redis stood still in it, workers renew before the next one.
                sweep_at = time.monotonic() + SWEEP_SECONDS
            self._stopping.wait(max(0.2, min(renew_at, sweep_at) - time.monotonic()))

    @staticmethod
    def _do(what: str, duty: Callable[[], None]) -> None:
        try:
            duty()
        except RedisError as error:
            log_failure(what, error, "and is tried again")
        except Exception:
            log.exception("%s failed and is tried again", what)

    def _renew(self) -> None:
        if not self._loop.is_alive(LOOP_STALL_SECONDS):
            log.error(
                "the event loop stands still, so leases are not renewed; other workers run the jobs when they expire"
            )
            return
        self._runner.renew(self._store)
        self._show_presence()
        outages.over()

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
        self._last_sweep = 0.0

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
        while not self._stopping.is_set():
            began = time.monotonic()
            for what, duty in (("renewing the leases", self._renew), ("looking for abandoned jobs", self._sweep)):
                if self._stopping.is_set():  # while Redis is silent, each duty waits for its time-out
                    return
                try:
                    duty()
                except RedisError as error:
                    log_failure(what, error, "and is tried again")
                except Exception:
                    log.exception("%s failed and is tried again", what)
            self._stopping.wait(max(0.2, RENEW_SECONDS - (time.monotonic() - began)))

    def _renew(self) -> None:
        if not self._loop.is_alive(LOOP_STALL_SECONDS):
            log.error(
                "the event loop stands still, so leases are not renewed; other workers run the jobs when they expire"
            )
            return
        self._runner.renew(self._store)
        self._show_presence()
        outages.over()

    def _sweep(self) -> None:
        if time.monotonic() - self._last_sweep >= SWEEP_SECONDS:
            self._sweeper.sweep()
            self._last_sweep = time.monotonic()

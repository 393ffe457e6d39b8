"""Handles requests to stop a worker process: one SIGTERM or SIGINT to stop soon, a second one to stop now."""

import signal
import threading
from types import FrameType


class Shutdown:
    """Knows whether the process has been asked to stop. Signal handlers only set flags, so no signal loses a job."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._urgent = threading.Event()

    def install(self) -> None:
        """Installs the handlers of both signals. Without them a process with the id 1 would ignore the signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def is_asked(self) -> bool:
        """Returns whether a stop was asked for, so that no more jobs are taken."""
        return self._asked.is_set()

    @property
    def is_urgent(self) -> bool:
        """Returns whether a stop was asked for twice, so that running jobs are not waited for."""
        return self._urgent.is_set()

    def ask(self) -> None:
        """Asks for a stop. A second call asks for one that does not wait for jobs."""
        if self._asked.is_set():
            self._urgent.set()
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Waits until a stop is asked for, at most `seconds`. Returns whether it was."""
        return self._asked.wait(seconds)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.ask()

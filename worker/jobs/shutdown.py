"""How a worker process is asked to stop: by SIGTERM or SIGINT, once to stop soon and twice to stop now."""

import signal
import threading
from types import FrameType


class Shutdown:
    """Whether the process has been asked to stop. Its handlers only set flags, so no job is lost by a signal."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._urgent = threading.Event()

    def install(self) -> None:
        """Takes both signals from here on. Without it a process with the id 1 would ignore them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def is_asked(self) -> bool:
        """Returns whether to take no more jobs."""
        return self._asked.is_set()

    @property
    def is_urgent(self) -> bool:
        """Returns whether not to wait for the jobs that run."""
        return self._urgent.is_set()

    def ask(self) -> None:
        """Asks for a stop; asked again, for one that does not wait."""
        if self._asked.is_set():
            self._urgent.set()
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Waits until a stop is asked for, at most so long. Returns whether it is."""
        return self._asked.wait(seconds)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.ask()

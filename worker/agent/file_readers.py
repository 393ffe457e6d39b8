"""Reads files of the project by processes that stay for the next file: they run `file_access`.

Starting Python for each file took 12 ms of CPU, which was most of what a worker did for a job that reads much. A
process answers one request at a time. One that is late, or whose job ends meanwhile, is killed and replaced, so a disk
that hangs delays only the job that asked. They end when the worker does, because it closes their standard input.
"""

import atexit
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

from worker.agent import file_access
from worker.agent.processes import KILL_SECONDS, Work, done, environment

MAX_IDLE = 4
"""So many processes of a worker stay; more are started while more files are read at once. Each takes some 4 MB."""


async def ask(*fields: bytes, seconds: float) -> bytes:
    """Returns the answer of `file_access` to this request.

    Raises TimeoutError after `seconds`, and OSError where no process can be started or it ended without an answer.
    Cancelling kills the process.
    """
    return await done(Request(b"\0".join(fields), seconds))


class _Reader:
    """Represents one process, and the socket that is its standard input and output."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        # Python runs isolated and without site-packages, so that neither the environment nor packages are loaded.
        command = [sys.executable, "-I", "-S", "-B", file_access.__file__]
        try:
            with theirs:
                self.popen = subprocess.Popen(  # noqa: S603 -- no shell, and nothing from outside is in the command
                    command,
                    cwd="/",
                    env=environment(),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                )
        except BaseException:
            self._socket.close()
            raise

    def ask(self, request: bytes, deadline: float) -> bytes:
        """Returns the answer. Raises TimeoutError after the deadline, ConnectionError where the process has ended."""
        self._wait_at_most_until(deadline)
        self._socket.sendall(len(request).to_bytes(file_access.LENGTH_BYTES) + request)
        length = int.from_bytes(self._receive(file_access.LENGTH_BYTES, deadline))
        return bytes(self._receive(length, deadline))

    def end(self) -> None:
        """Kills the process. One that hangs in the kernel does not die; it is left to itself after KILL_SECONDS."""
        self._socket.close()
        self.popen.kill()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(KILL_SECONDS)

    def _receive(self, length: int, deadline: float) -> bytearray:
        received = bytearray()
        while len(received) < length:
            self._wait_at_most_until(deadline)
            piece = self._socket.recv(length - len(received))
            if not piece:
                raise ConnectionError("the process that reads files has ended")
            received += piece
        return received

    def _wait_at_most_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the file was not read in time")
        self._socket.settimeout(left)


class _Readers:
    """Holds the processes that wait for a request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []

    def take(self) -> _Reader | None:
        """Returns a process that waits, the one used last; None where there is none."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, reader: _Reader) -> None:
        """Keeps the process for the next request, or ends it where enough of them wait."""
        with self._lock:
            is_kept = len(self._idle) < MAX_IDLE
            if is_kept:
                self._idle.append(reader)
        if not is_kept:
            reader.end()


_readers = _Readers()


@atexit.register
def end_idle() -> None:
    """Ends the processes that wait for a request."""
    while reader := _readers.take():
        reader.end()


class Request(Work[bytes]):
    """Represents one request, and the process that is answering it."""

    def __init__(self, request: bytes, seconds: float) -> None:
        super().__init__(seconds)
        self._request = request

    def _run(self) -> bytes:
        # A process that waited may have been killed meanwhile, by Ctrl-C or for want of memory: then the next one is
        # asked, and at last a new one.
        while waiting := _readers.take():
            try:
                return self._answer(waiting)
            except ConnectionError:
                if self._is_unwanted:  # `stop` has killed it
                    raise
        return self._answer(_Reader())

    def _answer(self, reader: _Reader) -> bytes:
        self._use(reader.popen)
        try:
            answer = reader.ask(self._request, self._deadline)
        except BaseException:
            self._release()
            reader.end()
            raise
        if self._release():
            _readers.give_back(reader)
        else:
            reader.end()
        return answer

    def _release(self) -> bool:
        """Makes `stop` leave the process alone, as others may use it now. Returns whether it was not stopped before."""
        with self._lock:
            self._popen = None
            return not self._is_unwanted

"""Runs the short processes that search the project, each limited in bytes and time, and killed when not needed.

All access to the project's files runs in other processes, these or those of `file_readers`: then a slow disk or a huge
file delays only the job that asked, and neither the event loop that all jobs share nor the worker's stop at SIGTERM.

Each process has a thread that starts it and stays with it to its end. asyncio's own processes are not used: where one
is cancelled while it starts, asyncio waits for it without end (seen with Python 3.11), and so would a worker's stop.
"""

import asyncio
import os
import selectors
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO, Generic, TypeVar
from weakref import WeakKeyDictionary

MAX_PROCESSES = 16
"""All jobs of this worker together run no more processes at once."""
KILL_SECONDS = 1.0
"""A process that hangs in the kernel does not die; after this long the caller goes on without it."""
_MAX_PROBLEM_BYTES = 4096
_PIECE_BYTES = 65_536

T = TypeVar("T")

_permits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@dataclass(frozen=True)
class Output:
    """Holds what a process wrote, and how it ended."""

    data: bytes
    problem: str
    """The beginning of its standard error."""
    exit_code: int | None
    """The exit code; None if the process was killed before its end."""
    is_cut: bool = False
    """Whether the output was cut off at the limit of bytes."""
    is_late: bool = False
    """Whether its time was up; `data` is what it had written by then."""


async def run(
    command: Sequence[str | bytes], *, folder: str, given: bytes = b"", max_bytes: int, seconds: float
) -> Output:
    """Runs the command in the folder with `given` on its standard input. Raises OSError where it cannot be started.

    Cancelling kills the process.
    """
    return await done(_ShortProcess(command, folder, given, max_bytes, seconds))


def environment() -> dict[str, str]:
    """Returns the environment of a process that reads the project: it sees none of the worker's settings."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}


class Work(ABC, Generic[T]):
    """Represents what a thread of its own does by means of a process: see `done`."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_unwanted = False
        self._result: T | None = None
        self._error: Exception | None = None

    def run(self, on_end: Callable[[], None]) -> None:
        """Does the work in the calling thread, and returns when it is done or its time is up."""
        try:
            self._result = self._run()
        except Exception as error:
            self._error = error
        finally:
            on_end()

    def stop(self) -> None:
        """Kills the process, or has it killed as soon as it is used. May be called from any thread."""
        with self._lock:
            self._is_unwanted = True
            if self._popen is not None:
                self._popen.kill()

    def result(self) -> T:
        """Returns the result of work that is done. Raises what it raised."""
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    @abstractmethod
    def _run(self) -> T: ...

    def _use(self, popen: "subprocess.Popen[bytes]") -> None:
        """Makes `stop` kill this process."""
        with self._lock:
            self._popen = popen
            if self._is_unwanted:
                popen.kill()

    def _left(self) -> float:
        return self._deadline - time.monotonic()


async def done(work: Work[T]) -> T:
    """Returns the work's result, or raises what it raised; OSError where no thread can be started for it.

    Cancelling stops the work.
    """
    async with _permit():
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def on_end() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        try:
            threading.Thread(target=work.run, args=(on_end,), name="process", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left for this process
            raise OSError(str(error)) from error
        try:
            await ended.wait()
        except asyncio.CancelledError:
            work.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await ended.wait()
            raise
        return work.result()


class _ShortProcess(Work[Output]):
    """Represents a process that is started for one purpose, and its end."""

    def __init__(
        self, command: Sequence[str | bytes], folder: str, given: bytes, max_bytes: int, seconds: float
    ) -> None:
        super().__init__(seconds)
        self._command = command
        self._folder = folder
        self._given = given
        self._max_bytes = max_bytes

    def _run(self) -> Output:
        popen = subprocess.Popen(  # noqa: S603 -- no shell, and the callers bound the arguments
            self._command,
            cwd=self._folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._use(popen)
        data, problem = bytearray(), bytearray()
        try:
            self._converse(popen, data, problem)
            is_cut = len(data) > self._max_bytes
            code = None if is_cut else self._exit_code(popen)
        finally:
            _end(popen)
        is_late = code is None and not is_cut
        text = "" if is_late or is_cut else problem[:_MAX_PROBLEM_BYTES].decode(errors="replace")
        del data[self._max_bytes :]
        return Output(bytes(data), text, code, is_cut, is_late)

    def _converse(self, popen: "subprocess.Popen[bytes]", data: bytearray, problem: bytearray) -> None:
        """Feeds the process and collects what it writes: to the end, to the limit of bytes, or until its time is up."""
        assert popen.stdin is not None and popen.stdout is not None and popen.stderr is not None
        rest = memoryview(self._given)
        with selectors.DefaultSelector() as selector:
            selector.register(popen.stdout, selectors.EVENT_READ, data)
            selector.register(popen.stderr, selectors.EVENT_READ, problem)
            os.set_blocking(popen.stdin.fileno(), False)
            selector.register(popen.stdin, selectors.EVENT_WRITE)
            while selector.get_map() and len(data) <= self._max_bytes and (left := self._left()) > 0:
                for key, _ in selector.select(left):
                    if key.data is None:
                        rest = rest[_written(key.fd, rest) :]
                        is_over = not rest
                    else:
                        piece = os.read(key.fd, _PIECE_BYTES)
                        if key.data is data or len(problem) < _MAX_PROBLEM_BYTES:
                            key.data.extend(piece)
                        is_over = not piece
                    if is_over:
                        _close(selector, key.fileobj)

    def _exit_code(self, popen: "subprocess.Popen[bytes]") -> int | None:
        """Returns the exit code of a process that has closed its pipes; None where its time is up first."""
        with suppress(subprocess.TimeoutExpired):
            return popen.wait(max(0.0, self._left()))
        return None


def _written(number: int, rest: memoryview) -> int:
    """Writes to the descriptor. Returns how many bytes it took; all of them where nobody reads them any more."""
    try:
        return os.write(number, rest[:_PIECE_BYTES]) if rest else 0
    except BrokenPipeError:
        return len(rest)


def _close(selector: selectors.BaseSelector, pipe: object) -> None:
    selector.unregister(pipe)  # type: ignore[arg-type]
    pipe.close()  # type: ignore[attr-defined]


def _end(popen: "subprocess.Popen[bytes]") -> None:
    """Closes the pipes, and kills the process if it still runs."""
    pipes: tuple[IO[bytes] | None, ...] = (popen.stdin, popen.stdout, popen.stderr)
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
    if popen.poll() is None:
        popen.kill()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(KILL_SECONDS)


@asynccontextmanager
async def _permit() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    async with _permits.setdefault(loop, asyncio.Semaphore(MAX_PROCESSES)):
        yield

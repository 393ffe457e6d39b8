"""Runs the short processes that read the project, each limited in bytes and time, and killed when not needed.

All access to the project's files runs in such a process: then a slow disk or a huge file delays only the job that
asked, and neither the event loop that all jobs share nor the worker's stop at SIGTERM.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

MAX_PROCESSES = 16
"""All jobs of this worker together run no more processes at once."""
KILL_SECONDS = 1.0
"""A process that hangs in the kernel does not die; after this long the caller goes on without it."""
_MAX_PROBLEM_BYTES = 4096
_PIECE_BYTES = 65_536

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
    async with _permit():
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        data, is_late = bytearray(), False
        try:
            async with asyncio.timeout(seconds):
                problem, _ = await asyncio.gather(_collect(process, data, max_bytes), _feed(process, given))
        except TimeoutError:
            problem, is_late = "", True
        finally:
            code = process.returncode
            if code is None:
                await _kill(process)
        is_cut = len(data) > max_bytes
        return Output(bytes(data[:max_bytes]), problem, None if is_cut or is_late else code, is_cut, is_late)


async def _feed(process: asyncio.subprocess.Process, given: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
    process.stdin.close()


async def _collect(process: asyncio.subprocess.Process, data: bytearray, max_bytes: int) -> str:
    """Fills `data` until the process has ended or the limit is reached. Returns its standard error."""
    assert process.stdout is not None and process.stderr is not None
    while len(data) <= max_bytes and (piece := await process.stdout.read(_PIECE_BYTES)):
        data += piece
    if len(data) > max_bytes:
        return ""
    problem = await process.stderr.read(_MAX_PROBLEM_BYTES)
    await _read_to_the_end(process)
    await process.wait()
    return problem.decode(errors="replace")


async def _kill(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with suppress(ProcessLookupError):
        process.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await _read_to_the_end(process)
            await process.wait()


async def _read_to_the_end(process: asyncio.subprocess.Process) -> None:
    """Discards the rest of the output: a pipe is closed only when its end has been read, not when the process ends."""
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        while await pipe.read(_PIECE_BYTES):
            pass


@asynccontextmanager
async def _permit() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    async with _permits.setdefault(loop, asyncio.Semaphore(MAX_PROCESSES)):
        yield

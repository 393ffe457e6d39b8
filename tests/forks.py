"""Starts processes of the system by forking a process that has already loaded their packages.

Loading takes most of the time of a start. A started process behaves like `python -m MODULE`: it has its own
environment, its own output and its own exit code.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from select import select

ROOT = Path(__file__).parent.parent
LOADED = ("worker.parts", "worker.checks", "api.checks", "api.app")
"""The fork server imports these modules. None of them opens a connection or starts a thread when it is imported."""
MAX_REQUEST_BYTES = 100_000


class Forked:
    """Represents a started process, with the part of subprocess.Popen that the tests use."""

    def __init__(self, output: int, status: int) -> None:
        self.stdout = open(output, encoding="utf-8")  # noqa: SIM115 -- closed by who started the process
        self._status = open(status, "rb", buffering=0)  # noqa: SIM115
        self.pid = int(self._line())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, which is negative for a signal, or None while the process runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._ended(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._line())
            self._status.close()
        return self.returncode

    def _line(self) -> bytes:
        return self._status.readline()


class Forks:
    """Runs the fork server, which starts with the first request and exits with this process at the latest."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
                 f"from tests.forks import serve; serve({theirs.fileno()})"],
                env={"PATH": os.environ["PATH"]},
                pass_fds=[theirs.fileno()],
            )  # fmt: skip
        return self._socket

    def start(self, module: str, *arguments: str, env: Mapping[str, str]) -> Forked:
        """Starts `python -m MODULE ARGUMENTS...` in the root of the project."""
        request = json.dumps({"module": module, "arguments": arguments, "env": dict(env)}).encode()
        assert len(request) < MAX_REQUEST_BYTES
        (output, its_output), (status, its_status) = os.pipe(), os.pipe()
        try:
            socket.send_fds(self._connected(), [request], [its_output, its_status])
        finally:
            os.close(its_output)
            os.close(its_status)
        return Forked(output, status)

    def close(self) -> None:
        if self._socket is not None and self._server is not None:
            self._socket.close()
            self._server.wait()


FORKS = Forks()


def serve(number: int) -> None:
    """Forks once for each request on the socket with this file descriptor, until the socket is closed."""
    for module in LOADED:
        __import__(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the processes in between
    requests = socket.socket(fileno=number)
    run: Callable[[], None] | None = None
    while run is None:
        request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            run = _started(json.loads(request), *descriptors)
        for descriptor in descriptors if run is None else ():
            os.close(descriptor)
    run()


def _started(request: dict[str, object], output: int, status: int) -> Callable[[], None]:
    """Forks a second time, and returns the function that the new process has to call.

    The process in between reports the pid and the exit code of the new one.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.close(output)
        os.write(status, b"%d\n" % child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(status, b"%d\n" % code)
        os._exit(0)
    os.close(status)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    module, arguments, env = request["module"], request["arguments"], request["env"]
    assert isinstance(module, str) and isinstance(arguments, list) and isinstance(env, dict)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    sys.argv = [module, *arguments]
    return lambda: _run(module)


def _run(module: str) -> None:
    runpy.run_module(module, run_name="__main__", alter_sys=True)

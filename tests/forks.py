"""Starts processes of the system by forking a process that has already loaded their packages.

Loading takes most of the time of a start. A started process behaves like `python -m MODULE`: it has its own
environment, its own output and its own exit code.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any, NoReturn
from uuid import uuid4

ROOT = Path(__file__).parent.parent
LOADED = {
    "worker": (
        "worker.parts",
        "worker.checks",
        "api.checks",
        "api.app",
        "worker.sandbox.app",
        "uvicorn.protocols.http.h11_impl",
    ),
    "web": ("gunicorn.app.wsgiapp", "gunicorn.workers.ggevent", "api.server.gunicorn_options", "shared.settings"),
}
"""What a fork server of each kind imports. No module opens a connection or starts a thread when it is imported."""
LOADED_PATCHED = ("sentry_sdk.integrations.flask", "api.app", "shared.telemetry.tracing", "shared.state.diagnosis")
"""What the fork server for web processes imports after gevent has patched the library, as gunicorn's workers do."""
SETTINGS = "_gevent_saved_patch_all_module_settings"
"""Under this name gevent notes what it has been asked to patch; it patches nothing of it again."""
PATCHED_ONCE = {SETTINGS, "_thread", "threading", "_threading_local", "logging"}
"""These modules stay patched, since gevent could not patch them twice; gunicorn's master starts no threads."""
READ_WHEN_LOADED = {"WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"}
"""gunicorn reads these variables when it is loaded, so a process that has them cannot be forked. It reads PORT then
too, but gunicorn.conf.py overrides that."""
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
            with suppress(ProcessLookupError):  # it has ended, and its exit code is on its way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._line())
            self._status.close()
        return self.returncode

    def _line(self) -> bytes:
        line = self._status.readline()
        if not line:
            raise RuntimeError("the fork server has ended, or its child; see its output")
        return line


class Forks:
    """Uses a fork server, which exits with the process that has started it at the latest.

    The server loads its modules with the first request. All test processes share the one of their controller.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._requests = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._server: subprocess.Popen[bytes] | None = None
        self._address = ""

    def address(self) -> str:
        """Returns the address of the server's socket. It starts a server if there is none."""
        if not self._address:
            # An abstract address needs no file, whose path may be too long for a socket where TMPDIR is.
            address = f"\0forks-{uuid4().hex}"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as requests:
                requests.bind(address)
                self.use(address)
                self._server = subprocess.Popen(
                    [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
                     f"from tests.forks import serve; serve({self._kind!r}, {requests.fileno()})"],
                    env={"PATH": os.environ["PATH"]},
                    pass_fds=[requests.fileno()],
                    stdin=subprocess.PIPE,  # its end tells the server to exit
                )  # fmt: skip
            atexit.register(self.close)
        return self._address

    def use(self, address: str) -> None:
        """Uses the server of another process from now on."""
        self._address = address
        self._requests.connect(address)

    def start(self, module: str, *arguments: str, env: Mapping[str, str]) -> Forked:
        """Starts `python -m MODULE ARGUMENTS...` in the root of the project."""
        request = json.dumps({"module": module, "arguments": arguments, "env": dict(env)}).encode()
        assert len(request) < MAX_REQUEST_BYTES
        self.address()
        (output, its_output), (status, its_status) = os.pipe(), os.pipe()
        try:
            socket.send_fds(self._requests, [request], [its_output, its_status])
        finally:
            os.close(its_output)
            os.close(its_status)
        return Forked(output, status)

    def close(self) -> None:
        self._requests.close()
        if self._server is not None:
            assert self._server.stdin
            self._server.stdin.close()
            self._server.wait()


FORKS = Forks("worker")
WEB_FORKS = Forks("web")


def _load_patched() -> None:
    """Imports what gunicorn's workers import after gevent has patched the library, and takes the patches back.

    So gunicorn's master runs with the original library, and its workers patch it again, as if nothing had been loaded.
    """
    from gevent import monkey

    monkey.patch_all()
    with tempfile.TemporaryDirectory() as folder:  # each process uses a folder of its own once its pid differs
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        for module in LOADED_PATCHED:
            __import__(module)
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    saved: dict[str, dict[str, Any]] = vars(monkey)["saved"]  # gevent has no public way to take its patches back
    tempfile.tempdir = None  # each process reads TMPDIR itself
    saved[SETTINGS] = {"thread": saved[SETTINGS]["thread"]}
    for name in saved.keys() - PATCHED_ONCE:
        for attribute, original in saved.pop(name).items():
            setattr(sys.modules[name], attribute, original)
    warnings.filterwarnings("ignore", "Patching more than once", monkey.MonkeyPatchWarning)


def serve(kind: str, number: int) -> None:
    """Forks once for each request on the socket with this file descriptor, until standard input ends."""
    requests = socket.socket(fileno=number)
    if sys.stdin in select([requests, sys.stdin], [], [])[0]:
        return
    _load(kind)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the processes in between
    run: Callable[[], None] | None = None
    while run is None:
        if sys.stdin in select([requests, sys.stdin], [], [])[0]:
            return
        request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
        if os.fork() == 0:
            requests.close()
            run = _started(json.loads(request), *descriptors)
        for descriptor in descriptors if run is None else ():
            os.close(descriptor)
    run()


def _load(kind: str) -> None:
    gc.disable()  # as in a worker, imports leave no garbage
    for module in LOADED[kind]:
        __import__(module)
    if kind == "web":
        _load_patched()
    gc.freeze()
    gc.enable()


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
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
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
    os.execv = _execute  # type: ignore[assignment]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _execute(_: str, command: Sequence[str]) -> NoReturn:
    """Stands for os.execv: it runs `PYTHON -P -m MODULE ARGUMENTS...` in this process."""
    _python, _safe_path, _m, module, *arguments = command
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()

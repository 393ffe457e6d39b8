"""Each mistake in a process's environment has one clear line and a non-zero exit code, at once."""

import resource
import shlex
import signal
import subprocess
from functools import partial

import httpx
import pytest

from tests.conftest import SECRET, RedisServer, clean_environment, free_port, wait_until
from tests.stack import PROCFILE, ROOT, Process

NEEDED = {"web": {"AUTH_MODE": "jwt", "AUTH_SECRET": SECRET}, "worker": {"ANTHROPIC_API_KEY": "none"}}


def start(half: str, *, files: int | None = None, **variables: str) -> Process:
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files)) if files else None
    popen = subprocess.Popen(
        shlex.split(PROCFILE[half]),
        cwd=ROOT,
        env=clean_environment(**{**NEEDED[half], "PORT": str(free_port()), "LOG_FORMAT": "console", **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )
    return Process(half, popen)


def line_of(process: Process) -> str:
    """The one line that says why the process has ended."""
    assert process.wait(20) not in (0, None)
    process.cleanup()
    assert not any("Traceback" in line for line in process.lines), process.lines
    [line] = [line for line in process.lines if line.startswith(f"{process.name}: ")]
    return line


@pytest.mark.parametrize("half", ["web", "worker"])
@pytest.mark.parametrize(
    ("credentials", "path", "reason"),
    [("nobody:hunter2@", "/0", "refuses the user or the password"), ("", "/99", "has no database of that number")],
)
def test_what_redis_refuses_for_good_ends_a_process_by_name(
    redis_server: RedisServer, half: str, credentials: str, path: str, reason: str
) -> None:
    line = line_of(start(half, REDIS_URL=f"redis://{credentials}127.0.0.1:{redis_server.port}{path}"))
    assert line.startswith(f"{half}: REDIS_URL: redis://127.0.0.1:{redis_server.port}{path} ")
    assert "hunter2" not in line and line.endswith(reason)


def test_few_files_lower_the_number_of_connections_and_very_few_end_the_process(redis_server: RedisServer) -> None:
    assert "ulimit -n" in line_of(start("web", files=150, REDIS_URL=redis_server.url))
    port = free_port()
    web = start("web", files=400, REDIS_URL=redis_server.url, PORT=str(port))
    try:
        wait_until(lambda: _is_up(port))
        assert web.has_said("MAX_CONNECTIONS is lowered to 300")
    finally:
        web.stop()
        web.cleanup()


def test_tls_in_the_web_process_is_refused_by_name(redis_server: RedisServer) -> None:
    arguments = f"--certfile {ROOT}/README.md --keyfile {ROOT}/README.md"
    assert "--certfile" in line_of(start("web", REDIS_URL=redis_server.url, GUNICORN_CMD_ARGS=arguments))


def test_a_worker_that_waits_for_redis_says_what_is_wrong_and_can_be_stopped() -> None:
    worker = start("worker", REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    try:
        wait_until(lambda: worker.has_said("refuses the connection"))
        assert not worker.has_said("hunter2")
        assert worker.stop(signal.SIGTERM) == 0
    finally:
        worker.cleanup()


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx.TransportError:
        return False

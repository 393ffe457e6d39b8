"""Tests that each mistake in a process's environment ends it at once, with one clear line and a non-zero exit code."""

import resource
import shlex
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.conftest import SECRET, RedisServer, bearer, clean_environment, free_port, token, wait_until
from tests.forks import FORKS, WEB_FORKS
from tests.stack import BODY, JOBS, PROCFILE, ROOT, Process

NEEDED = {"web": {"AUTH_MODE": "jwt", "AUTH_SECRET": SECRET}, "worker": {"ANTHROPIC_API_KEY": "none"}}


def start(half: str, *, files: int | None = None, **variables: str) -> Process:
    """Starts a process as the Procfile does, with that limit of open files."""
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files)) if files else None
    popen = subprocess.Popen(
        shlex.split(PROCFILE[half]),
        cwd=ROOT,
        env=environment(half, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )
    return Process(half, popen)


def fork(half: str, **variables: str) -> Process:
    """Runs the Procfile's command in a process that has loaded the packages, which takes a tenth of the time.

    gunicorn read WEB_CONCURRENCY when it was loaded, so a valid number has no effect here.
    """
    forks = WEB_FORKS if half == "web" else FORKS
    return Process(half, forks.start("shared.cli", half, env=environment(half, **variables)))


def environment(half: str, **variables: str) -> dict[str, str]:
    return clean_environment(**{**NEEDED[half], "PORT": str(free_port()), "LOG_FORMAT": "console", **variables})


def line_of(process: Process) -> str:
    """Returns the one line that says why the process has ended."""
    assert process.wait(20) not in (0, None)
    process.cleanup()
    assert not any("Traceback" in line for line in process.lines), process.lines
    [line] = [line for line in process.lines if line.startswith(f"{process.name}: ")]
    return line


@pytest.mark.parametrize("half", ["web", "worker"])
@pytest.mark.parametrize(
    ("credentials", "path", "reason"),
    [("nobody:hunter2@", "/0", "refuses the user or the password"), ("", "/99", "has no database with that number")],
)
def test_a_permanent_refusal_by_redis_ends_a_process_with_the_name_of_the_setting(
    redis_server: RedisServer, half: str, credentials: str, path: str, reason: str
) -> None:
    line = line_of(fork(half, REDIS_URL=f"redis://{credentials}127.0.0.1:{redis_server.port}{path}"))
    assert line.startswith(f"{half}: REDIS_URL: redis://127.0.0.1:{redis_server.port}{path} ")
    assert "hunter2" not in line and line.endswith(reason)


@pytest.mark.parametrize("half", ["web", "worker"])
def test_a_redis_user_without_the_rights_ends_a_process_with_the_missing_acl_rules(
    redis_server: RedisServer, redis: Redis, half: str
) -> None:
    rules = "reset on >hunter2 +@all ~suggestion:* ~agent:* resetchannels"
    redis.execute_command("ACL", "SETUSER", "limited", *rules.split())
    line = line_of(start(half, REDIS_URL=f"redis://limited:hunter2@127.0.0.1:{redis_server.port}/0"))
    assert line.endswith("grant it: ~planner:* ~rq:* &suggestion:* &rq:pubsub:*") and "hunter2" not in line


def test_a_low_limit_of_open_files_lowers_the_connections_and_a_very_low_one_ends_the_process(
    redis_server: RedisServer,
) -> None:
    assert "ulimit -n" in line_of(start("web", files=150, REDIS_URL=redis_server.url))
    port = free_port()
    web = start("web", files=400, REDIS_URL=redis_server.url, PORT=str(port))
    try:
        wait_until(lambda: _is_up(port))
        assert web.has_said("MAX_CONNECTIONS is lowered to 300")
    finally:
        web.stop()
        web.cleanup()


@pytest.mark.parametrize(
    "arguments",
    [
        f"--certfile {ROOT}/README.md --keyfile {ROOT}/README.md",
        "--worker-class sync",
        "--worker-class gevent",
        "--preload",
        "--timeout 2",
        "--graceful-timeout 1",
        "--worker-connections 1000",
        "--workers 0",
        "--protocol uwsgi",
    ],
)
def test_an_option_of_gunicorn_that_would_break_streams_is_refused_by_name(
    redis_server: RedisServer, arguments: str
) -> None:
    line = line_of(fork("web", REDIS_URL=redis_server.url, GUNICORN_CMD_ARGS=arguments))
    assert arguments.split()[0] in line


@pytest.mark.parametrize("arguments", ["--bogus 1", "--bind '127.0.0.1"])
def test_malformed_options_of_gunicorn_are_refused_by_the_name_of_their_variable(
    redis_server: RedisServer, arguments: str
) -> None:
    line = line_of(fork("web", REDIS_URL=redis_server.url, GUNICORN_CMD_ARGS=arguments))
    assert line.startswith("web: GUNICORN_CMD_ARGS: ")


def test_a_host_that_cannot_be_listened_on_is_named_by_its_own_setting(redis_server: RedisServer) -> None:
    host = "203.0.113.7"  # an address reserved for documentation, which no machine has
    port = str(free_port())
    line = line_of(fork("worker", REDIS_URL=redis_server.url, METRICS_PORT=port, METRICS_HOST=host))
    assert line.startswith(f"worker: METRICS_HOST {host} cannot be used: ")


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("SSL_CERT_FILE", "/is/not/there", "cannot be read: No such file or directory"),
        ("SSL_CERT_FILE", str(ROOT / "README.md"), "holds no certificates"),
        ("SSL_CERT_DIR", "/is/not/there", "is not a directory"),
    ],
)
def test_certificates_that_cannot_be_used_end_a_worker_with_the_name_of_the_setting(
    redis_server: RedisServer, name: str, path: str, reason: str
) -> None:
    other = "SSL_CERT_DIR" if name == "SSL_CERT_FILE" else "SSL_CERT_FILE"
    variables: dict[str, Any] = {name: path, other: ""}
    assert line_of(fork("worker", REDIS_URL=redis_server.url, **variables)) == f"worker: {name} {path} {reason}"


@pytest.mark.parametrize("number", ["two", "0", "-1", "1.5"])
def test_a_malformed_number_of_processes_is_refused_by_name(redis_server: RedisServer, number: str) -> None:
    assert "WEB_CONCURRENCY" in line_of(fork("web", REDIS_URL=redis_server.url, WEB_CONCURRENCY=number))


@pytest.mark.parametrize("bind", ["[::1]:{port}", "unix:{folder}/web.sock", "localhost:{port}"])
def test_a_web_process_listens_where_bind_says_even_if_its_port_is_taken(
    redis_server: RedisServer, tmp_path: Path, bind: str
) -> None:
    address = bind.format(port=free_port(), folder=tmp_path)
    uds = address.removeprefix("unix:") if address.startswith("unix:") else None
    with socket.create_server(("", free_port())) as taken, httpx.Client(transport=httpx.HTTPTransport(uds=uds)) as http:
        web = fork(
            "web",
            REDIS_URL=redis_server.url,
            PORT=str(taken.getsockname()[1]),
            WEB_CONCURRENCY=" ",
            GUNICORN_CMD_ARGS=f"--bind {address}",
        )
        try:
            url = "http://localhost" if uds else f"http://{address}"
            wait_until(lambda: web.has_said("Listening at"))
            headers = bearer(token())
            job = http.post(url + JOBS, json=BODY, headers=headers).json()["jobId"]
            headers["Accept"] = "text/event-stream"
            with http.stream("GET", f"{url}{JOBS}/{job}", headers=headers) as stream:
                assert any("event: connected" in line for line in stream.iter_lines())
        finally:
            web.stop()
            web.cleanup()


def test_an_address_that_is_taken_is_named(redis_server: RedisServer) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        line = line_of(fork("web", REDIS_URL=redis_server.url, GUNICORN_CMD_ARGS=f"--bind [::1]:{port}"))
    assert line.endswith(f"{port} is taken")


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "unix:/tmp/planner.sock"])
def test_the_demo_listens_on_loopback_alone(redis_server: RedisServer, bind: str) -> None:
    line = line_of(fork("web", REDIS_URL=redis_server.url, AUTH_MODE="demo", GUNICORN_CMD_ARGS=f"--bind {bind}"))
    assert line.startswith("web: AUTH_MODE=demo serves only loopback")


def test_a_worker_that_waits_for_redis_says_what_is_wrong_and_can_be_stopped() -> None:
    worker = fork("worker", REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
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


def test_a_temporary_folder_that_is_not_writable_ends_the_web_process_with_its_name(redis_server: RedisServer) -> None:
    line = line_of(fork("web", REDIS_URL=redis_server.url, TMPDIR="/proc"))
    assert line.startswith("web: TMPDIR: /proc cannot be written to")

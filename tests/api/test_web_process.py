"""Tests the web process as the Procfile starts it."""

import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis

from tests.conftest import SECRET, RedisServer, bearer, clean_environment, free_port, token, wait_until
from tests.forks import WEB_FORKS

ROOT = Path(__file__).parent.parent.parent
COMMAND = shlex.split("gunicorn -c api/gunicorn.conf.py api.wsgi:app")
AGENT = "/api/feature-planner/suggestion-agent"


@dataclass(frozen=True)
class Web:
    port: int
    process: "subprocess.Popen[str]"
    http: httpx.Client


def start(**variables: str) -> "subprocess.Popen[str]":
    environment = clean_environment(**variables)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(COMMAND, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def failure(**variables: str) -> list[str]:
    """Returns the lines of a process that fails to start. It is forked from one that has loaded the packages."""
    process = WEB_FORKS.start(*COMMAND, env=clean_environment(**variables))
    with process.stdout:
        said = process.stdout.read()
    assert process.wait(20) == 1
    return said.splitlines()


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def web(redis_server: RedisServer) -> Iterator[Web]:
    port = free_port()
    # Warnings are errors here, so that a late or a second patch by gevent makes the test fail.
    process = start(
        REDIS_URL=redis_server.url,
        AUTH_MODE="jwt",
        AUTH_SECRET=SECRET,
        PORT=str(port),
        PYTHONWARNINGS="error,ignore::ResourceWarning",  # gunicorn leaves a file open until the interpreter exits
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=bearer(token())) as client:
        try:
            wait_until(lambda: is_up(client))
            yield Web(port, process, client)
        finally:
            client.close()  # gunicorn would wait for the idle connection
            process.terminate()
            output, errors = process.communicate(timeout=15)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "Warning" not in output and "Traceback" not in output


def test_the_process_is_alive_and_ready(web: Web, redis: Redis) -> None:
    assert web.http.get("/healthz").json()["status"] == "ok"
    assert web.http.get("/readyz").json() == {"status": "ok", "redis": "ok", "workers": 0}


@pytest.mark.parametrize(("length", "status"), [(16 * 1024, 422), (16 * 1024 + 1, 413), (200_000, 413)])
def test_a_chunked_body_has_the_same_limit_to_the_byte(web: Web, length: int, status: int) -> None:
    body = b'{"name": "' + b"x" * (length - 12) + b'"}'
    chunks = iter([body[:10], body[10:]])
    response = web.http.put(AGENT, content=chunks, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_body_shorter_than_it_claims_is_400(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        head = f"PUT {AGENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_second_server_on_the_same_port_fails_at_once_in_one_line(web: Web, redis_server: RedisServer) -> None:
    process = start(REDIS_URL=redis_server.url, AUTH_MODE="jwt", AUTH_SECRET=SECRET, PORT=str(web.port))
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    assert errors.splitlines() == [f"web: PORT {web.port} is taken"]


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"REDIS_URL": "redis://localhost"}, "AUTH_MODE"),
        ({"AUTH_MODE": "demo"}, "REDIS_URL"),
        ({"AUTH_MODE": "demo", "REDIS_URL": "http://localhost"}, "REDIS_URL"),
        ({"AUTH_MODE": "demo", "REDIS_URL": "redis://localhost:x"}, "REDIS_URL"),
        ({"AUTH_MODE": "demo", "REDIS_URL": "redis://localhost", "PORT": "http"}, "PORT"),
        ({"AUTH_MODE": "jwt", "REDIS_URL": "redis://localhost"}, "AUTH_SECRET"),
        (
            {"AUTH_MODE": "jwt", "REDIS_URL": "redis://localhost", "AUTH_JWKS_URL": "file:///etc"},
            "AUTH_JWKS_URL",
        ),
    ],
)
def test_an_invalid_setting_stops_the_process_with_one_line_that_names_it(variables: dict[str, str], name: str) -> None:
    errors = failure(**variables)
    assert len(errors) == 1 and errors[0].startswith("web: ") and name in errors[0]


def test_in_demo_mode_the_process_listens_on_loopback_only(redis_server: RedisServer) -> None:
    port = free_port()
    process = start(REDIS_URL=redis_server.url, AUTH_MODE="demo", PORT=str(port))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until(lambda: is_up(client))
            assert client.get("/").status_code == 200
            assert client.get("/api/feature-planner/options").status_code == 200
        process.terminate()
        output, errors = process.communicate(timeout=15)
    finally:
        process.kill()
    assert f"http://127.0.0.1:{port}" in output
    assert errors == "" and process.returncode == 0

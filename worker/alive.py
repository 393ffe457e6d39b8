"""Tells by its exit code whether the worker of this host works. It runs every few seconds, so it imports little."""

import socket
import sys
from http.client import HTTPConnection, HTTPException
from typing import cast

from redis.exceptions import RedisError

from shared.errors import SettingsError
from shared.settings import WorkerSettings, load
from shared.state import keys
from shared.state.connections import connect
from shared.state.outages import outages

ANSWER_SECONDS = 5
HEARTBEAT_SECONDS = 15
"""A worker whose last heartbeat is older has stopped working: it sends one every 2 s."""


def is_alive() -> int:
    """Returns the exit code of an exec probe: 1 where a worker of this host has a problem or cannot be found.

    Without METRICS_PORT it looks for the host's worker in Redis. It returns 0 while Redis is away, since restarting the
    worker would not help.
    """
    try:
        settings = load(WorkerSettings)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    keys.use_prefix(settings.redis_prefix)
    problem = _asked(settings) if settings.metrics_port is not None else _looked_up(settings)
    if problem:
        print(f"worker: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _asked(settings: WorkerSettings) -> str | None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)  # noqa: S104
    connection = HTTPConnection(host, settings.metrics_port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return None if answer.status == 200 else answer.read(2_000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"METRICS_PORT {settings.metrics_port} does not answer: {type(error).__name__}"
    finally:
        connection.close()


def _looked_up(settings: WorkerSettings) -> str | None:
    redis = connect(settings.redis_url, max_connections=1, timeout_seconds=ANSWER_SECONDS)
    try:
        seconds, microseconds = redis.time()
        since = (seconds - HEARTBEAT_SECONDS) * 1000 + microseconds // 1000
        alive = cast(list[bytes], redis.zrangebyscore(keys.WORKERS, since, "+inf"))
    except RedisError as error:
        outages.note(error)
        return None
    mine = f"{socket.gethostname()}.".encode()
    if any(name.startswith(mine) for name in alive):
        return None
    return f"no worker of this host has sent a heartbeat in {HEARTBEAT_SECONDS} s"

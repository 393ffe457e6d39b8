"""Connections to Redis with bounds on everything, and which of its errors are outages."""

import re
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from shared import sentinel_url
from shared.state import primary, sentinels

_OUTAGES = (
    ClusterDownError,
    ConnectionError,  # loading, wrong password and too many clients are among its subclasses
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)

# redis-py has no class for these, and Redis 6 wraps what a command in a script answers in its own text.
_OUTAGE_TEXT = re.compile(
    r"(?:^|[\s:-])(?:BUSY|MISCONF|NOREPLICAS|OOM command not allowed|READONLY You|LOADING Redis|MASTERDOWN) ?"
)

_FULL_TEXT = re.compile(r"(?:^|[\s:-])OOM command not allowed")

_NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = 2.0, kind: type[Redis] = Redis) -> Redis:
    """Returns a client that connects lazily, answers in bytes and never waits for long.

    One retry, and only where the connection broke: a pooled one may be stale, while a Redis that is
    silent would only double the wait, and a command that timed out may have been carried out.
    """
    return kind(connection_pool=_pool(url, timeout_seconds, max_connections=max_connections, timeout=timeout_seconds))


def open_connection(url: str, *, timeout_seconds: float) -> Any:
    """Opens one connection that speaks RESP2, for callers that read its socket without redis-py.

    `is_outdated` says of it later that it may lead to a primary that was demoted. Raises redis.RedisError.
    """
    # By way of a pool, which knows what in the URL is for itself.
    connection: Any = _pool(url, timeout_seconds, protocol=2).make_connection()
    connection.connect()
    return connection


def connect_async(url: str, *, timeout_seconds: float) -> AsyncRedis:
    """Returns a client for an event loop. It never tries again by itself."""
    options = _options(url, timeout_seconds, is_async=True)
    return AsyncRedis.from_pool(AsyncConnectionPool(**options, retry=AsyncRetry(NoBackoff(), 0)))


def _pool(url: str, timeout_seconds: float, **options: Any) -> BlockingConnectionPool:
    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
    return BlockingConnectionPool(**{**_options(url, timeout_seconds, is_async=False), **options, "retry": retry})


def _options(url: str, timeout_seconds: float, *, is_async: bool) -> dict[str, Any]:
    """Returns what a pool has to know of an address, the kind of its connections included."""
    # With these notifications on, redis-py would not check whether answers are left over on a connection.
    options: dict[str, Any] = {} if url.startswith("unix:") else {"maint_notifications_config": _NO_NOTIFICATIONS}
    if sentinel_url.is_sentinel(url):
        sentinel = sentinel_url.parse(url)
        options["sentinel"] = sentinel
        url = sentinel.primary
        kinds = sentinels.ASYNC_KINDS if is_async else sentinels.KINDS
    else:
        kinds = primary.ASYNC_KINDS if is_async else primary.KINDS
    # The processes' own bounds go before what the address says.
    times = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return {**parse_url(url), **options, **times, "connection_class": kinds[url.partition(":")[0]]}


def is_outage(error: RedisError) -> bool:
    """Returns whether Redis is away or refuses everybody, as opposed to a mistake in what was asked."""
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, ResponseError) and _OUTAGE_TEXT.search(str(error)) is not None


def is_full(error: BaseException) -> bool:
    """Whether Redis refuses what needs memory, since it has none left. What runs is kept, and nothing new begins."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and _FULL_TEXT.search(str(error)) is not None
    )

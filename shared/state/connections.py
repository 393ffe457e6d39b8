"""Opens connections to Redis with limits on number and time, and tells outages from other errors of Redis."""

import re
from contextlib import suppress
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
    """Returns a client that connects when it is first used and returns bytes. Every wait ends after `timeout_seconds`.

    It retries once, and only when the connection broke, since a pooled one may be stale. It does not retry after a
    time-out: that would double the wait, and Redis may have carried out the command.
    """
    return kind(connection_pool=_pool(url, timeout_seconds, max_connections=max_connections, timeout=timeout_seconds))


def open_connection(url: str, *, timeout_seconds: float) -> Any:
    """Opens one connection that speaks RESP2, for callers that read its socket without redis-py.

    `is_outdated` says of it later that it may lead to a primary that was demoted. Raises redis.RedisError.
    """
    # A pool is used because it separates its own options from the connection's.
    connection: Any = _pool(url, timeout_seconds, protocol=2).make_connection()
    connection.connect()
    return connection


def connect_async(url: str, *, timeout_seconds: float) -> AsyncRedis:
    """Returns a client for an event loop. It does not retry."""
    options = _options(url, timeout_seconds, is_async=True)
    return AsyncRedis.from_pool(AsyncConnectionPool(**options, retry=AsyncRetry(NoBackoff(), 0)))


async def close_async(redis: AsyncRedis) -> None:
    """Closes the client's connections. Over TLS this waits for the server, but no longer than the client's time-out."""
    with suppress(RedisError):  # a server that does not answer must not keep the caller from closing the rest
        await redis.aclose()


def _pool(url: str, timeout_seconds: float, **options: Any) -> BlockingConnectionPool:
    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
    return BlockingConnectionPool(**{**_options(url, timeout_seconds, is_async=False), **options, "retry": retry})


def _options(url: str, timeout_seconds: float, *, is_async: bool) -> dict[str, Any]:
    """Returns the options of a pool for an address, the class of its connections included."""
    # With these notifications on, redis-py would not check whether answers are left over on a connection.
    options: dict[str, Any] = {} if url.startswith("unix:") else {"maint_notifications_config": _NO_NOTIFICATIONS}
    if sentinel_url.is_sentinel(url):
        sentinel = sentinel_url.parse(url)
        options["sentinel"] = sentinel
        url = sentinel.primary
        kinds = sentinels.ASYNC_KINDS if is_async else sentinels.KINDS
    else:
        kinds = primary.ASYNC_KINDS if is_async else primary.KINDS
    # The processes' own limits override what the address says.
    times = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return {**parse_url(url), **options, **times, "connection_class": kinds[url.partition(":")[0]]}


def is_outage(error: RedisError) -> bool:
    """Returns whether Redis cannot be reached or refuses all clients, as opposed to a mistake in the command."""
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, ResponseError) and _OUTAGE_TEXT.search(str(error)) is not None


def is_full(error: BaseException) -> bool:
    """Returns whether Redis has refused a command because its memory is full. Running jobs go on; no new ones start."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and _FULL_TEXT.search(str(error)) is not None
    )

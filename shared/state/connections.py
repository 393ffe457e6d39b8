"""Connections to Redis with bounds on everything, and which of its errors are outages."""

import re

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
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
from redis.retry import Retry

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


def connect(url: str, *, max_connections: int = 32, timeout_seconds: float = 2.0, kind: type[Redis] = Redis) -> Redis:
    """A client that connects lazily, answers in bytes and never waits for long.

    One retry, and only where the connection broke: a pooled one may be stale, while a Redis that is
    silent would only double the wait, and a command that timed out may have been carried out.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    )
    return kind(connection_pool=pool)


def is_outage(error: RedisError) -> bool:
    """Whether Redis is away or refuses everybody, as opposed to a mistake in what was asked."""
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, ResponseError) and _OUTAGE_TEXT.search(str(error)) is not None

"""Defines connections that ask Redis Sentinel for the primary each time they are opened."""

from typing import Any

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.connection import parse_url
from redis.sentinel import Sentinel

from shared.sentinel_url import SentinelUrl
from shared.state.primary import AsyncTcpConnection, AsyncTlsConnection, TcpConnection, TlsConnection


def _node(url: str, timeout_seconds: float | None) -> dict[str, Any]:
    """Returns the options of the connections to the Sentinels."""
    options = parse_url(url)
    is_tls = options.pop("connection_class", None) is not None
    times = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return {**options, **times, "ssl": is_tls}


def _ask(kind: Any, sentinel: SentinelUrl, timeout_seconds: float | None) -> Any:
    """Returns redis-py's client of these Sentinels."""
    nodes = [_node(url, timeout_seconds) for url in sentinel.nodes]
    addresses = [(node.pop("host"), node.pop("port")) for node in nodes]
    return kind(addresses, sentinel_kwargs=nodes[0])


class _Located:
    """Finds the primary before a socket is opened."""

    host: Any
    port: Any
    socket_connect_timeout: Any

    def __init__(self, *, sentinel: SentinelUrl, **options: Any) -> None:
        super().__init__(**options)
        self._sentinel = sentinel


class _SyncLocated(_Located):
    """Finds the primary for a blocking connection."""

    def _connect(self) -> Any:
        with _ask(Sentinel, self._sentinel, self.socket_connect_timeout) as sentinels:
            self.host, self.port = sentinels.discover_master(self._sentinel.service)
        parent: Any = super()
        return parent._connect()


class _AsyncLocated(_Located):
    """Finds the primary for a connection of asyncio."""

    async def _connect(self) -> None:
        async with _ask(AsyncSentinel, self._sentinel, self.socket_connect_timeout) as sentinels:
            self.host, self.port = await sentinels.discover_master(self._sentinel.service)
        parent: Any = super()
        await parent._connect()


class LocatedTcpConnection(_SyncLocated, TcpConnection):
    """Connects over TCP."""


class LocatedTlsConnection(_SyncLocated, TlsConnection):
    """Connects over TLS."""


class AsyncLocatedTcpConnection(_AsyncLocated, AsyncTcpConnection):
    """Connects over TCP, for asyncio."""


class AsyncLocatedTlsConnection(_AsyncLocated, AsyncTlsConnection):
    """Connects over TLS, for asyncio."""


KINDS: dict[str, Any] = {"redis": LocatedTcpConnection, "rediss": LocatedTlsConnection}
ASYNC_KINDS: dict[str, Any] = {"redis": AsyncLocatedTcpConnection, "rediss": AsyncLocatedTlsConnection}
"""Maps the scheme of an address to its connections."""

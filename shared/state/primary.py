"""Defines connections to the primary that notice when the server has become a replica.

A demoted primary that keeps running keeps its clients too, and answers every write with READONLY. redis-py treats that
as an ordinary answer and keeps the connection, so that a process would never find the new primary behind the same
address. Here such an answer closes the connection, and with it all others of the process, since connections that only
read or listen would not notice.
"""

import re
from collections.abc import Iterable
from typing import Any

from redis import connection as sync
from redis.asyncio import connection as asynchronous
from redis.exceptions import ConnectionError, ResponseError

_ELSEWHERE = re.compile(r"(?:^|[\s:-])(?:READONLY You|MASTERDOWN |NOREPLICAS |UNBLOCKED )")
"""Redis 6 wraps what a command in a script answers in a text of its own, hence not only at the beginning."""
_REPLICA_ROLES = {b"slave", b"replica"}


class NotPrimaryError(ConnectionError):
    """Signals that the server is a replica. The address may lead to the new primary when it is connected anew."""


class _Demotions:
    """Counts the demotions that this process has noticed."""

    count = 0


def is_not_primary(error: Exception) -> bool:
    """Returns whether the error says that another server is, or will become, the primary."""
    text = f"{getattr(error, 'status_code', None) or ''} {error}".lstrip()
    return _ELSEWHERE.search(text) is not None


def _is_replica(hello: Any) -> bool:
    """Returns whether the server introduces itself as a replica; `hello` is a map, or names and values in turns."""
    facts = hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2], strict=True))
    return facts.get(b"role", facts.get("role")) in _REPLICA_ROLES


def _checked(response: Any) -> Any:
    """Returns the response. Raises the first error among the answers of a transaction that says to ask elsewhere."""
    for part in response if type(response) is list else ():
        if isinstance(part, ResponseError) and is_not_primary(part):
            raise part
    return response


class _PrimaryConnection:
    """Holds what the connections below have in common."""

    _demotions = 0

    @property
    def is_outdated(self) -> bool:
        """Returns whether a demotion was noticed since this connection was opened: it may lead to the old primary."""
        return self._demotions != _Demotions.count

    def _note_demotion(self) -> None:
        # Of many connections that notice the same demotion, only the first counts it.
        if not self.is_outdated:
            _Demotions.count += 1


class _SyncPrimaryConnection(_PrimaryConnection, sync.AbstractConnection):
    """Checks the server when it connects, and each answer."""

    def connect(self) -> None:
        if self.is_connected and self.is_outdated:
            self.disconnect()
        super().connect()

    def on_connect_check_health(self, check_health: bool = True) -> None:
        self._demotions = _Demotions.count
        super().on_connect_check_health(check_health)
        self.send_command("HELLO", check_health=False)
        try:
            hello = super().read_response(disable_decoding=True)
        except ResponseError:
            return  # a proxy may not know HELLO; then the first write shows whether this is a primary
        if _is_replica(hello):
            self._note_demotion()
            raise NotPrimaryError("the address leads to a replica")

    def can_read(self, timeout: float = 0) -> bool:
        # A connection that listens stays out of its pool, so `connect` does not get to check it.
        if self.is_connected and self.is_outdated:
            self.disconnect()
            raise NotPrimaryError("the primary was demoted")
        return bool(super().can_read(timeout))

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return _checked(super().read_response(*args, **kwargs))
        except ResponseError as error:
            if not is_not_primary(error):
                raise
            self._note_demotion()
            self.disconnect()
            raise NotPrimaryError(str(error)) from error


class _AsyncPrimaryConnection(_PrimaryConnection, asynchronous.AbstractConnection):
    """Does the same for asyncio."""

    async def connect(self) -> None:
        if self.is_connected and self.is_outdated:
            await self.disconnect(nowait=True)
        await super().connect()

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        self._demotions = _Demotions.count
        await super().on_connect_check_health(check_health)
        await self.send_command("HELLO", check_health=False)
        try:
            hello = await super().read_response(disable_decoding=True)
        except ResponseError:
            return
        if _is_replica(hello):
            self._note_demotion()
            raise NotPrimaryError("the address leads to a replica")

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # The check that redis-py makes before it uses a connection does not notice that it was reset. On asyncio's loop
        # the write or the read then raises OSError; uvloop raises RuntimeError, which would not count as an outage.
        # redis-py calls this method only where socket_timeout is set, as `connections` always does.
        if self._writer is not None and self._writer.transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        await super()._send_packed_command(command)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return _checked(await super().read_response(*args, **kwargs))
        except ResponseError as error:
            if not is_not_primary(error):
                raise
            self._note_demotion()
            await self.disconnect(nowait=True)
            raise NotPrimaryError(str(error)) from error


class TcpConnection(_SyncPrimaryConnection, sync.Connection):
    """Connects over TCP."""


class TlsConnection(_SyncPrimaryConnection, sync.SSLConnection):
    """Connects over TLS."""


class UnixConnection(_SyncPrimaryConnection, sync.UnixDomainSocketConnection):
    """Connects over a Unix socket."""


class AsyncTcpConnection(_AsyncPrimaryConnection, asynchronous.Connection):
    """Connects over TCP, for asyncio."""


class AsyncTlsConnection(_AsyncPrimaryConnection, asynchronous.SSLConnection):
    """Connects over TLS, for asyncio."""


class AsyncUnixConnection(_AsyncPrimaryConnection, asynchronous.UnixDomainSocketConnection):
    """Connects over a Unix socket, for asyncio."""


KINDS: dict[str, Any] = {"redis": TcpConnection, "rediss": TlsConnection, "unix": UnixConnection}
ASYNC_KINDS: dict[str, Any] = {"redis": AsyncTcpConnection, "rediss": AsyncTlsConnection, "unix": AsyncUnixConnection}
"""Maps the scheme of an address to its connections."""

"""Calls scripts from an event loop over one connection. Calls made while Redis answers are sent in the next batch."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.state.connections import close_async
from shared.state.scripts import Argument, Script

MAX_BATCH = 200

Call = tuple[Script, tuple[Argument, ...], asyncio.Future[Any]]


class ScriptPipeline:
    """Sends calls in the order in which they were made. It belongs to one event loop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: deque[Call] = deque()
        self._sender: asyncio.Task[None] | None = None

    def call(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> asyncio.Future[Any]:
        """Returns the script's answer; the future raises redis.RedisError.

        The call is made whether the future is awaited or not.
        """
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._waiting.append((script, (len(keys), *keys, *args), future))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return future

    async def close(self) -> None:
        """Sends the calls that are waiting, and closes the connection."""
        if self._sender is not None:
            await asyncio.wait({self._sender})
        await close_async(self._redis)

    async def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                replies = await self._replies(batch)
            except Exception as error:  # whatever it is, no call may wait for an answer without end
                replies = [error if isinstance(error, RedisError) else RedisError(type(error).__name__)] * len(batch)
            for (_, _, future), reply in zip(batch, replies, strict=True):
                if future.done():
                    continue
                if isinstance(reply, Exception):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)

    async def _replies(self, batch: Sequence[Call]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for script, arguments, _ in batch:
            pipeline.execute_command("EVALSHA", script.sha, *arguments)
        replies = await pipeline.execute(raise_on_error=False)
        for place, (script, arguments, _) in enumerate(batch):
            if isinstance(replies[place], NoScriptError):
                replies[place] = await self._redis.eval(script.text, *arguments)  # type: ignore[arg-type]
        return replies


def _seen(future: asyncio.Future[Any]) -> None:
    """Retrieves an exception that no caller awaits, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()

"""Tests that every call of a ScriptPipeline is answered."""

import asyncio
from typing import NoReturn

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.state.script_pipeline import ScriptPipeline
from shared.state.scripts import script


class _BrokenRedis(Redis):
    """Raises an error that is none of Redis' own, as a loop or a library may."""

    def pipeline(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("the handler is closed")


def test_a_call_is_answered_with_an_error_of_redis_whatever_error_ends_its_batch() -> None:
    async def call() -> None:
        pipeline = ScriptPipeline(_BrokenRedis())
        for _ in range(2):  # the first error must not end the task that sends the next
            with pytest.raises(RedisError, match="RuntimeError"):
                await asyncio.wait_for(pipeline.call(script("append"), [], []), 10)
        await pipeline.close()

    asyncio.run(call())

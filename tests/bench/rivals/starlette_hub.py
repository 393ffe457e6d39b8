"""Serves streams with Starlette, sse-starlette and a hub: one redis.asyncio pub/sub connection, a queue per client.

It is run by uvicorn as it installs by default, and with uvloop and httptools, its fastest options.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route


class Hub:
    def __init__(self, redis: Redis) -> None:
        self.pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self.queues: dict[str, set[asyncio.Queue[ServerSentEvent]]] = defaultdict(set)

    async def run(self) -> None:
        await self.pubsub.subscribe("keep-open")
        async for message in self.pubsub.listen():
            event_id, name, data = message["data"].decode().split(" ", 2)
            for queue in self.queues[message["channel"].decode()]:
                queue.put_nowait(ServerSentEvent(data=data, event=name, id=event_id))

    async def listen(self, channel: str) -> AsyncIterator[ServerSentEvent]:
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
        self.queues[channel].add(queue)
        await self.pubsub.subscribe(channel)
        try:
            yield ServerSentEvent(retry=1000)
            while True:
                yield await queue.get()
        finally:
            self.queues[channel].discard(queue)
            if not self.queues[channel]:
                del self.queues[channel]
                await self.pubsub.unsubscribe(channel)


hub = Hub(Redis.from_url(os.environ["REDIS_URL"]))


async def stream(request: Request) -> EventSourceResponse:
    return EventSourceResponse(hub.listen(f"suggestion:{request.path_params['job_id']}:live"))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    yield
    task.cancel()


app = Starlette(routes=[Route("/stream/{job_id}", stream)], lifespan=lifespan)

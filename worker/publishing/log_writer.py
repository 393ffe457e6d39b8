"""Appends the events of all jobs of a process over one connection.

What comes while a batch is on its way goes out together with the next: one round trip serves whoever waits. A batch
whose answer was lost is sent again; the script takes the same event twice as one.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, TimeoutError

from shared.state import keys
from shared.state.outcomes import AttemptStatus
from shared.state.scripts import Argument, script

log = logging.getLogger(__name__)

MAX_BATCH = 200
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


@dataclass(frozen=True)
class Append:
    """One event for one log. `final_status` and `usage` are '' where there is none to set."""

    job_id: str
    attempt: int
    sequence: int
    name: str
    data: bytes
    ttl_ms: int
    final_status: str = ""
    usage: str = ""
    run: str = ""

    def keys_and_args(self) -> tuple[Argument, ...]:
        job = self.job_id
        where = (keys.record(job), keys.log(job), keys.channel(job), keys.LEASES)
        args = (
            job,
            self.attempt,
            self.sequence,
            self.name,
            self.data,
            self.ttl_ms,
            self.final_status,
            self.usage,
            self.run,
        )
        return (len(where), *where, *args)


Waiting = tuple[Append, asyncio.Future[AttemptStatus]]
"""An event, and where its answer is waited for."""


class LogWriter:
    """Runs on the worker's event loop, from `start` to `stop`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = script("append")
        self._waiting: deque[Waiting] = deque()
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write_for_ever())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._redis.aclose()

    def append(self, event: Append) -> asyncio.Future[AttemptStatus]:
        """Queues the event behind all earlier ones; the answer tells how its attempt stands.

        While Redis is away it waits: nothing is dropped, and nothing overtakes.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        self._has_work.set()
        return future

    async def _write_for_ever(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                await self._write(batch)

    async def _write(self, batch: list[Waiting]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                batch = await self._send(batch)
            except (ConnectionError, TimeoutError, OSError) as error:
                log.warning("Redis is away, %d events wait: %s", len(batch), type(error).__name__)
            if not batch:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _send(self, batch: list[Waiting]) -> list[Waiting]:
        """Sends the batch, answers those who wait, and gives back what has to be sent again."""
        pipeline = self._redis.pipeline(transaction=False)
        for event, _ in batch:
            pipeline.execute_command("EVALSHA", self._script.sha, *event.keys_and_args())
        replies = await pipeline.execute(raise_on_error=False)
        refused: list[Waiting] = []
        held_up: set[str] = set()
        for (event, future), reply in zip(batch, replies, strict=True):
            if isinstance(reply, Exception) or event.job_id in held_up:
                # What came after a refused event of the same job was refused for that alone, and goes again with it.
                held_up.add(event.job_id)
                refused.append((event, future))
                if isinstance(reply, Exception) and not isinstance(reply, NoScriptError):
                    log.error("Redis refused an event of job %s: %s", event.job_id, reply)
            elif not future.done():
                future.set_result(AttemptStatus(reply.decode()))
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self._redis.script_load(self._script.text)
        return refused

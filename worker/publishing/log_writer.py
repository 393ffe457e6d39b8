"""Appends the events of all jobs of a process over one connection.

Events that come while a batch is under way are sent together in the next one. A batch whose answer was lost is sent
again; the script appends an event only once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.state import keys
from shared.state.connections import close_async, is_outage
from shared.state.outages import outages
from shared.state.outcomes import AttemptStatus
from shared.state.scripts import Argument, script

log = logging.getLogger(__name__)

MAX_BATCH = 200
MAX_REFUSALS = 5
"""After this many refusals of one event, outages not counted, its job is given up so that others can be written."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


@dataclass(frozen=True)
class Append:
    """Holds one event for one log. `final_status` and `usage` are '' where there is none to set."""

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
        """Returns the arguments of EVALSHA after the hash of the script."""
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


@dataclass
class _Waiting:
    """Holds an event that Redis has not confirmed yet."""

    event: Append
    answer: asyncio.Future[AttemptStatus]
    since: float = field(default_factory=time.monotonic)
    refusals: int = 0


class LogWriter:
    """Writes the events of all jobs, on the worker's event loop from `start` to `stop`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = script("append")
        self._waiting: deque[_Waiting] = deque()
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_script_known = True
        self._batch_size = MAX_BATCH

    def start(self) -> None:
        """Starts writing."""
        self._task = asyncio.create_task(self._write_until_stopped())

    async def stop(self) -> None:
        """Stops writing. Events that are not written yet get the answer LOST."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.give_up()
        await close_async(self._redis)

    def give_up(self) -> None:
        """Answers LOST to every event that is not written yet, so that its job runs again on another worker."""
        for waiting in list(self._waiting):
            _answer(waiting, AttemptStatus.LOST)
        self._waiting.clear()

    @property
    def is_alive(self) -> bool:
        """Returns whether the writer's task still runs. It may be called from any thread."""
        return self._task is not None and not self._task.done()

    @property
    def oldest_seconds(self) -> float:
        """Returns the age in seconds of the oldest unwritten event, 0 where there is none. Any thread may call it."""
        try:
            return time.monotonic() - self._waiting[0].since
        except IndexError:
            return 0.0

    def append(self, event: Append) -> asyncio.Future[AttemptStatus]:
        """Queues the event behind all earlier ones. The future's result is the status of the event's attempt.

        While Redis is unreachable the event waits: none is discarded, and the order is kept.
        """
        future: asyncio.Future[AttemptStatus] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, future))
        self._has_work.set()
        return future

    async def _write_until_stopped(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            if not self._waiting:
                self._has_work.clear()
                await self._has_work.wait()
            if await self._write_batch():
                pause = FIRST_PAUSE_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _write_batch(self) -> bool:
        """Sends a batch of the waiting events. Returns False where some of them have to be sent again after a pause."""
        batch = [self._waiting[i] for i in range(min(self._batch_size, len(self._waiting)))]
        try:
            replies = await self._send(batch)
        except Exception as error:
            if isinstance(error, OSError) or (isinstance(error, RedisError) and is_outage(error)):
                outages.note(error)
                return False
            # No error may end the writer. The events are sent one by one from now on, to find the one at fault.
            log.error(
                "a batch of %d events could not be sent; they are sent one by one: %s: %s",
                len(batch),
                type(error).__name__,
                error,
            )
            self._batch_size = 1
            replies = [error] if len(batch) == 1 else []
        else:
            self._batch_size = MAX_BATCH
        return self._take(batch, replies)

    async def _send(self, batch: list[_Waiting]) -> list[object]:
        pipeline = self._redis.pipeline(transaction=False)
        for waiting in batch:
            # If Redis does not know the script, EVAL loads it for the others, and needs no right to SCRIPT LOAD.
            is_known = self._is_script_known or waiting is not batch[0]
            command = ("EVALSHA", self._script.sha) if is_known else ("EVAL", self._script.text)
            pipeline.execute_command(*command, *waiting.event.keys_and_args())
        replies: list[object] = await pipeline.execute(raise_on_error=False)
        self._is_script_known = not any(isinstance(reply, NoScriptError) for reply in replies)
        return replies

    def _take(self, batch: list[_Waiting], replies: Sequence[object]) -> bool:
        """Answers events that were written, keeps those to send again, and gives up jobs refused too often."""
        held_up: set[str] = set()
        given_up: set[str] = set()
        for waiting, reply in zip(batch, replies, strict=False):
            job_id = waiting.event.job_id
            if isinstance(reply, Exception) and job_id not in held_up:
                held_up.add(job_id)
                if self._is_refused_too_often(waiting, reply):
                    given_up.add(job_id)
            elif job_id not in held_up and isinstance(reply, bytes):
                # Later events of the same job were refused only because of the first, and are sent again with it.
                _answer(waiting, AttemptStatus(reply.decode()))
        for waiting in list(self._waiting) if given_up else []:
            if waiting.event.job_id in given_up:
                _answer(waiting, AttemptStatus.REFUSED)
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.answer.done())
        return bool(replies) and held_up <= given_up

    @staticmethod
    def _is_refused_too_often(waiting: _Waiting, error: Exception) -> bool:
        if isinstance(error, NoScriptError):
            return False
        if isinstance(error, RedisError) and is_outage(error):
            outages.note(error)
            return False
        waiting.refusals += 1
        if waiting.refusals < MAX_REFUSALS:
            return False
        log.error(
            "Redis refuses the events of job %s, so the job fails: %s: %s",
            waiting.event.job_id,
            type(error).__name__,
            error,
        )
        return True


def _answer(waiting: _Waiting, status: AttemptStatus) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(status)

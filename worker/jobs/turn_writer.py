"""Keeps the whole turns of a running job in Redis while the model is asked for the next one."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from shared.state.outages import log_failure
from shared.state.outcomes import Attempt
from worker.agent.kept_turns import KeptTurn

log = logging.getLogger(__name__)

KeepTurn = Callable[[Attempt, int, bytes], int | None]
"""Keeps the turn of a number and answers with the number that comes next, or None where no more can be kept. It waits
for Redis, so it is called in another thread."""


class TurnWriter:
    """Writes the turns of one job, in their order. What Redis did not take is written again with the next turn.

    A turn that is missing costs only money: the next attempt begins that much earlier.
    """

    def __init__(self, keep: KeepTurn, kept: int) -> None:
        """`kept` is how many turns there were when the job began to run here."""
        self._keep = keep
        self._next = kept
        self._order = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()

    def write(self, attempt: Attempt, turns: Sequence[KeptTurn]) -> None:
        """Begins to write the last of these turns, and those before it that are not kept yet."""
        writing = asyncio.create_task(self._write(attempt, tuple(turns)))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, attempt: Attempt, turns: Sequence[KeptTurn]) -> None:
        async with self._order:
            # A conversation that began again has fewer turns than are kept.
            following: int | None = min(self._next, len(turns) - 1)
            try:
                while following is not None and following < len(turns):
                    self._next = following
                    packed = turns[following].pack()
                    following = await asyncio.to_thread(self._keep, attempt, following, packed)
            except RedisError as error:
                log_failure("keeping a turn of the conversation", error)
            except Exception as error:
                log.warning("a turn of the conversation could not be kept: %s", type(error).__name__)
            else:
                self._next = self._next if following is None else following

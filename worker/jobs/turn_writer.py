"""Stores the whole turns of a running job in Redis while the model works on the next one."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from shared.state.outages import log_failure
from shared.state.outcomes import Attempt
from worker.agent.kept_turns import KeptTurn

log = logging.getLogger(__name__)

KeepTurn = Callable[[Attempt, int, bytes], int | None]
"""Stores the turn with this number. Returns the number to store next, or None where no more can be stored. It waits for
Redis, so it is called in another thread."""


class TurnWriter:
    """Stores the turns of one job, in their order. A turn that could not be stored is tried again with the next one.

    If a turn is missing, the next attempt continues from an earlier turn, which costs tokens but loses nothing.
    """

    def __init__(self, keep: KeepTurn, kept: int) -> None:
        """Builds the writer. `kept` is the number of turns that were stored when this worker took the job."""
        self._keep = keep
        self._next = kept
        self._order = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()

    def write(self, attempt: Attempt, turns: Sequence[KeptTurn]) -> None:
        """Starts storing the last of these turns, and those before it that are not stored yet. It does not wait."""
        writing = asyncio.create_task(self._write(attempt, tuple(turns)))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, attempt: Attempt, turns: Sequence[KeptTurn]) -> None:
        async with self._order:
            # A conversation that began anew has fewer turns than are stored.
            following: int | None = min(self._next, len(turns) - 1)
            try:
                while following is not None and following < len(turns):
                    self._next = following
                    packed = turns[following].pack()
                    following = await asyncio.to_thread(self._keep, attempt, following, packed)
            except RedisError as error:
                log_failure("storing a turn of the conversation", error, "and is tried again with the next turn")
            except Exception as error:
                log.warning("a turn of the conversation could not be stored: %s", type(error).__name__)
            else:
                self._next = self._next if following is None else following

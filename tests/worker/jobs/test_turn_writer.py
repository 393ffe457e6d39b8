"""Tests that the turns of a job reach Redis in order, through failures of Redis and a loss of its data."""

import asyncio
import time

from shared.contract.schemas import JobInput, TokenUsage
from shared.contract.values import FeatureType, PriorityLevel
from shared.state.outcomes import Attempt
from tests.worker.agent.test_kept_turns import TURN
from worker.agent.kept_turns import unpack
from worker.jobs.turn_writer import TurnWriter

INPUT = JobInput(page_or_component="p", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW)
ATTEMPT = Attempt("job", 1, None, 0, "alice", INPUT, TokenUsage(), "job:1")
TURNS = [TURN] * 3


class Kept:
    """Stands in for Redis: keeps at most `room` turns in a list, and raises while `is_away` is set."""

    def __init__(self) -> None:
        self.turns: list[bytes] = []
        self.room = 10
        self.is_away = False
        self.calls = 0

    def __call__(self, attempt: Attempt, number: int, turn: bytes) -> int | None:
        assert attempt is ATTEMPT and unpack(turn) == TURN
        self.calls += 1
        time.sleep(0.01)  # long enough for another call to begin meanwhile
        if self.is_away:
            raise ConnectionError
        if number == 0:
            self.turns.clear()
        if number == len(self.turns):
            if number == self.room:
                return None
            self.turns.append(turn)
        return len(self.turns)


def written(writer: TurnWriter, *counts: int) -> None:
    """Starts a write for each count, of that many turns, without waiting in between; then waits for all of them."""

    async def write() -> None:
        for count in counts:
            writer.write(ATTEMPT, TURNS[:count])
        await asyncio.gather(*writer._writing)

    asyncio.run(write())


def test_turns_that_redis_did_not_store_are_written_with_the_next_one() -> None:
    kept = Kept()
    writer = TurnWriter(kept, 0)
    kept.is_away = True
    written(writer, 1)
    written(writer, 2)
    kept.is_away = False
    written(writer, 3)
    assert len(kept.turns) == 3


def test_turns_that_redis_has_lost_are_written_again() -> None:
    kept = Kept()
    writer = TurnWriter(kept, 0)
    written(writer, 1)
    written(writer, 2)
    kept.turns.clear()
    written(writer, 3)
    assert len(kept.turns) == 3


def test_a_slow_turn_is_not_overtaken_by_the_next() -> None:
    kept = Kept()
    writer = TurnWriter(kept, 0)
    written(writer, 1, 2)
    assert len(kept.turns) == 2 == kept.calls


def test_a_writer_continues_after_the_stored_turns_and_begins_anew_with_a_new_conversation() -> None:
    kept = Kept()
    kept.turns = [TURN.pack()] * 2
    writer = TurnWriter(kept, 2)
    written(writer, 3)
    assert len(kept.turns) == 3 and kept.calls == 1
    written(writer, 1)
    assert len(kept.turns) == 1


def test_a_writer_stops_when_there_is_no_more_room() -> None:
    kept = Kept()
    kept.room = 1
    written(writer := TurnWriter(kept, 0), 3)
    written(writer, 3)
    assert len(kept.turns) == 1 and kept.calls == 3

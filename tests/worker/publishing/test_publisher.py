"""Tests what the publisher delays, what it publishes at once, and when it stops."""

import asyncio
import json

import pytest

from shared.contract.events import Cancelled
from shared.contract.schemas import TokenUsage
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed
from shared.state.event_log import MAX_LOG_BYTES
from shared.state.outcomes import AttemptStatus
from tests.worker.publishing.recording_writer import RecordingWriter
from worker.publishing.publisher import Lifetimes, Publisher


def publisher(writer: RecordingWriter, *, interval_seconds: float = 60) -> Publisher:
    return Publisher(
        writer,  # type: ignore[arg-type]
        "job",
        1,
        lifetimes=Lifetimes(600, lambda status: 1),
        interval_seconds=interval_seconds,
        on_answer=lambda answer: None,
    )


def texts(writer: RecordingWriter) -> list[str]:
    return [json.loads(append.data)["text"] for append in writer.appends if append.name == "delta"]


CANCELLED = Cancelled(token_usage=TokenUsage(), timestamp=1)


async def appended(writer: RecordingWriter, count: int) -> None:
    while len(writer.appends) < count:
        await asyncio.sleep(0)


def test_the_first_text_is_published_at_once_and_the_rest_before_the_final_event() -> None:
    async def run() -> None:
        writer = RecordingWriter()
        it = publisher(writer)
        it.write('{"context":"one')
        await appended(writer, 1)
        for piece in (" two", " three", '"'):
            it.write(piece)
            await asyncio.sleep(0)
        await it.finish(CANCELLED)
        assert texts(writer) == ["one", " two three"]
        assert [append.name for append in writer.appends] == ["delta", "delta", "cancelled"]
        assert [append.sequence for append in writer.appends] == [1, 2, 3]

    asyncio.run(run())


def test_an_answer_too_large_for_its_log_is_a_clear_error() -> None:
    async def run() -> None:
        writer = RecordingWriter()
        it = publisher(writer, interval_seconds=0)
        it.write('{"context":"')
        with pytest.raises(AttemptFailed) as failure:
            for _ in range(2 * MAX_LOG_BYTES // 10_000):
                it.write("x" * 10_000)
                sent = len(writer.appends)
                await appended(writer, sent + 1)
        assert failure.value.code is ErrorCode.BAD_OUTPUT
        await it.stop()
        assert sum(len(append.data) for append in writer.appends) < MAX_LOG_BYTES + 20_000

    asyncio.run(run())


def test_a_final_event_that_the_log_refuses_says_that_the_job_is_lost() -> None:
    async def run() -> None:
        writer = RecordingWriter()
        writer.answer = AttemptStatus.LOST
        assert await publisher(writer).finish(CANCELLED) is AttemptStatus.LOST

    asyncio.run(run())


def test_usage_is_sent_once_with_the_next_event() -> None:
    async def run() -> None:
        writer = RecordingWriter()
        it = publisher(writer)
        it.spent(TokenUsage(total_tokens=7))
        it.write('{"context":"one')
        await appended(writer, 1)
        await it.finish(CANCELLED)
        assert [bool(append.usage) for append in writer.appends] == [True, False]

    asyncio.run(run())

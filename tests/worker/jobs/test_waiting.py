"""Tests what viewers see of a job that waits for its provider, and that the wait does not use up its time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from shared.clock import now_ms
from shared.contract.values import WaitReason
from tests.worker.jobs.builders import ANSWER, FakeAgent, run, running, until, wait_forever
from tests.worker.publishing.recording_writer import RecordingWriter
from worker.agent.feature_agent import AgentEvent, Answered
from worker.agent.provider_waits import Resumes, Waits
from worker.jobs.job_context import Outcome, Stop


class WaitingAgent(FakeAgent):
    """Represents an agent that announces a wait of each length in `waits_ms`, and resumes after `pause`."""

    def __init__(self, *waits_ms: int, pause: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)) -> None:
        super().__init__()
        self.waits_ms = waits_ms
        self.pause = pause

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        for wait_ms in self.waits_ms:
            yield Waits(WaitReason.RATE_LIMITED, now_ms() + wait_ms)
            await self.pause()
        yield Resumes(1)
        yield Answered(ANSWER)


def test_a_wait_is_published_once_and_again_when_it_becomes_longer() -> None:
    writer = RecordingWriter()
    assert run(running(WaitingAgent(30_000, 30_000, 45_000), writer)) is Outcome.ENDED
    assert writer.published == ["1-1 started", "1-2 waiting", "1-3 waiting", "1-4 complete"]
    waiting = json.loads(writer.appends[1].data)
    assert waiting["reason"] == "rate_limited" and waiting["until"] - waiting["timestamp"] == pytest.approx(
        30_000, abs=2000
    )


def test_a_short_wait_is_not_published() -> None:
    writer = RecordingWriter()
    assert run(running(WaitingAgent(500, 1500, 1900), writer)) is Outcome.ENDED
    assert writer.published == ["1-1 started", "1-2 complete"]


def test_the_time_limit_is_suspended_during_a_wait() -> None:
    agent, writer = WaitingAgent(5000, pause=lambda: asyncio.sleep(0.5)), RecordingWriter()
    assert run(running(agent, writer, timeout_seconds=0.3)) is Outcome.ENDED
    assert writer.published[-1] == "1-3 complete"


def test_the_time_limit_resumes_after_a_wait() -> None:
    class Slow(WaitingAgent):
        async def events(self) -> AsyncGenerator[AgentEvent, None]:
            async for event in super().events():
                if isinstance(event, Answered):
                    await wait_forever()
                yield event

    writer = RecordingWriter()
    assert run(running(Slow(5000), writer, timeout_seconds=0.2)) is Outcome.ENDED
    assert b"TIMEOUT" in writer.appends[-1].data


@pytest.mark.parametrize("reason", [Stop.CANCEL, Stop.DRAIN])
def test_a_stop_during_a_wait_acts_at_once(reason: Stop) -> None:
    agent, writer = WaitingAgent(60_000, pause=wait_forever), RecordingWriter()
    job = running(agent, writer)

    async def stop() -> None:
        await until(lambda: len(writer.published) > 1)
        job.stop(reason)

    assert run(job, stop) is (Outcome.ENDED if reason is Stop.CANCEL else Outcome.DRAINED)
    assert agent.is_closed and agent.asked == 1
    assert writer.published[2:] == (["1-3 cancelled"] if reason is Stop.CANCEL else [])


def test_a_worker_that_is_about_to_stop_gives_back_a_job_that_waits() -> None:
    agent, writer = WaitingAgent(60_000, pause=wait_forever), RecordingWriter()
    job = running(agent, writer)

    async def release() -> None:
        await until(lambda: len(writer.published) > 1)
        job.release_if_waiting()

    assert run(job, release) is Outcome.DRAINED


def test_a_worker_that_is_about_to_stop_also_gives_back_a_job_that_begins_to_wait_later() -> None:
    agent, writer = WaitingAgent(60_000, pause=wait_forever), RecordingWriter()
    job = running(agent, writer)
    job.release_if_waiting()
    assert run(job) is Outcome.DRAINED
    assert writer.published == ["1-1 started"]

"""Tests a running job, with an agent that follows a script: stops at every moment, failures and time-outs."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from shared.contract.schemas import TokenUsage
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed
from shared.state.outcomes import AttemptStatus
from tests.worker.jobs.builders import ANSWER, FakeAgent, run, running, until, wait_forever
from tests.worker.publishing.recording_writer import RecordingWriter
from worker.agent.feature_agent import AgentEvent, Answered
from worker.agent.turn import Spent, Wrote
from worker.jobs import running_job
from worker.jobs.job_context import Agent, Outcome, Stop

OVERLOADED = AttemptFailed(ErrorCode.MODEL_OVERLOADED, "busy", worth_retrying=True)


class ScriptedAgent(FakeAgent):
    """Represents an agent each of whose attempts takes the next step of a script: it raises an error or waits."""

    def __init__(self, *script: Exception | Callable[[], Awaitable[object]] | None) -> None:
        super().__init__()
        self.script = list(script)

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        step = self.script[self.asked - 1]
        yield Spent(TokenUsage(input_tokens=1, total_tokens=1))
        yield Wrote('{"context":"text')
        await asyncio.sleep(0)
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step()
        yield Answered(ANSWER)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_job, "RETRY_SECONDS", 0.0)


def test_a_cancel_that_comes_before_the_first_step_is_not_lost() -> None:
    agent, writer = ScriptedAgent(wait_forever), RecordingWriter()
    job = running(agent, writer)
    job.stop(Stop.CANCEL)
    assert run(job) is Outcome.ENDED
    assert writer.published == ["1-1 started", "1-2 cancelled"]
    assert agent.asked == 0


@pytest.mark.parametrize("reason", [Stop.DRAIN, Stop.LOST])
def test_a_drained_or_lost_job_gets_no_final_event(reason: Stop) -> None:
    agent, writer = ScriptedAgent(wait_forever), RecordingWriter()
    job = running(agent, writer)

    async def stop() -> None:
        await until(lambda: len(writer.published) > 1)
        job.stop(reason)

    outcome = run(job, stop)
    assert outcome is (Outcome.DRAINED if reason is Stop.DRAIN else Outcome.LOST)
    assert writer.published == ["1-1 started", "1-2 delta"]
    assert agent.is_closed


def test_a_cancel_closes_the_call_of_the_model_and_reports_the_usage() -> None:
    agent, writer = ScriptedAgent(wait_forever), RecordingWriter()
    job = running(agent, writer)

    async def stop() -> None:
        await until(lambda: len(writer.published) > 1)
        job.stop(Stop.CANCEL)

    assert run(job, stop) is Outcome.ENDED
    assert writer.published[-1] == "1-3 cancelled"
    assert b'"inputTokens":1' in writer.appends[-1].data
    assert agent.is_closed


def test_a_cancel_that_an_append_reports_ends_the_job() -> None:
    agent, writer = ScriptedAgent(wait_forever), RecordingWriter()
    writer.answer = AttemptStatus.CANCEL_ASKED
    assert run(running(agent, writer)) is Outcome.ENDED
    assert writer.published[-1].endswith("cancelled")


def test_a_cancel_in_the_pause_before_another_attempt_ends_the_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_job, "RETRY_SECONDS", 1000.0)
    agent, writer = ScriptedAgent(OVERLOADED), RecordingWriter()
    job = running(agent, writer)

    async def stop() -> None:
        await until(lambda: agent.is_closed)
        for _ in range(10):
            await asyncio.sleep(0)
        job.stop(Stop.CANCEL)

    assert run(job, stop) is Outcome.ENDED
    assert [event for event in writer.published if "delta" not in event] == ["1-1 started", "1-3 cancelled"]


class SilentAgent(FakeAgent):
    """Represents an agent whose first attempt fails or goes on after its model has used tokens and said nothing."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        if self.asked > 1:
            yield Answered(ANSWER)
        yield Spent(TokenUsage(input_tokens=7, total_tokens=7))
        if self.fails:
            raise OVERLOADED
        await wait_forever()


def test_what_a_failed_attempt_has_spent_is_stored_with_the_start_of_the_next_one() -> None:
    writer = RecordingWriter()
    assert run(running(SilentAgent(fails=True), writer)) is Outcome.ENDED
    [started] = [append for append in writer.appends if (append.attempt, append.name) == (2, "started")]
    assert TokenUsage.model_validate_json(started.usage).input_tokens == 7


def test_a_drained_job_knows_what_it_has_spent() -> None:
    agent = SilentAgent(fails=False)
    job = running(agent, RecordingWriter())

    async def stop() -> None:
        await until(lambda: job.usage.input_tokens)
        job.stop(Stop.DRAIN)

    assert run(job, stop) is Outcome.DRAINED
    assert job.usage.input_tokens == 7


def test_a_failure_worth_retrying_gets_another_attempt_and_usage_adds_up() -> None:
    agent, writer = ScriptedAgent(OVERLOADED, None), RecordingWriter()
    assert run(running(agent, writer)) is Outcome.ENDED
    assert [event for event in writer.published if "delta" not in event] == [
        "1-1 started",
        "2-1 started",
        "2-3 complete",
    ]
    assert b'"inputTokens":2' in writer.appends[-1].data
    assert b'"retryCount":1' in writer.appends[-1].data


def test_the_time_of_a_job_counts_from_its_first_attempt() -> None:
    writer = RecordingWriter()
    assert run(running(ScriptedAgent(None), writer, ran_ms=60_000)) is Outcome.ENDED
    assert json.loads(writer.appends[-1].data)["executionTimeMs"] >= 60_000


def test_a_job_fails_when_its_attempts_are_used_up() -> None:
    agent, writer = ScriptedAgent(OVERLOADED, OVERLOADED, OVERLOADED), RecordingWriter()
    assert run(running(agent, writer)) is Outcome.ENDED
    assert writer.published[-1] == "3-3 error"
    assert b"MODEL_OVERLOADED" in writer.appends[-1].data
    assert agent.asked == 3


def test_a_job_that_is_taken_away_while_it_asks_for_another_attempt_is_lost() -> None:
    agent, writer = ScriptedAgent(OVERLOADED), RecordingWriter()
    assert run(running(agent, writer, is_ours=False)) is Outcome.LOST
    assert not any("error" in event for event in writer.published)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (AttemptFailed(ErrorCode.BAD_OUTPUT, "cut"), b"BAD_OUTPUT"),
        (RuntimeError("a mistake of ours"), b"INTERNAL"),
        (TimeoutError("of somebody else's"), b"INTERNAL"),
    ],
)
def test_what_is_not_worth_retrying_ends_at_once(step: Exception, code: bytes) -> None:
    agent, writer = ScriptedAgent(step), RecordingWriter()
    assert run(running(agent, writer)) is Outcome.ENDED
    assert code in writer.appends[-1].data
    assert agent.asked == 1


def test_an_attempt_beyond_its_time_ends_as_timed_out_and_closes_the_model() -> None:
    agent, writer = ScriptedAgent(wait_forever), RecordingWriter()
    assert run(running(agent, writer, timeout_seconds=0.01)) is Outcome.ENDED
    assert b"TIMEOUT" in writer.appends[-1].data
    assert agent.is_closed


WHOLE = '{"title":"t","rationale":"r","description":"d","implementationConsiderations":[],"files":[]}'


def writes(*pieces: str, then: Callable[[], Awaitable[object]] | Exception) -> Agent:
    class Writer(FakeAgent):
        async def events(self) -> AsyncGenerator[AgentEvent, None]:
            for piece in pieces:
                yield Wrote(piece)
            if isinstance(then, Exception):
                raise then
            await then()

    return Writer()


CUT = AttemptFailed(ErrorCode.BAD_OUTPUT, "stopped by max_tokens", is_cut=True)


@pytest.mark.parametrize("then", [CUT, wait_forever], ids=["by its length", "by the time limit"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_truncated_answer_with_three_complete_suggestions_is_delivered_in_part(
    count: int, then: Callable[[], Awaitable[object]] | Exception
) -> None:
    agent = writes('{"context":"c","suggestions":[', ",".join([WHOLE] * count), ',{"title":"half', then=then)
    writer = RecordingWriter()
    assert run(running(agent, writer, timeout_seconds=0.3)) is Outcome.ENDED
    last = json.loads(writer.appends[-1].data)
    if count < 3:
        assert last["code"] == ("BAD_OUTPUT" if then is CUT else "TIMEOUT")
    else:
        assert last["isPartial"] is True and last["context"] == "c" and len(last["suggestions"]) == count


def test_an_answer_that_broke_for_another_reason_is_not_delivered() -> None:
    broken = AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "the stream ended early")
    agent = writes('{"context":"c","suggestions":[', ",".join([WHOLE] * 3), then=broken)
    writer = RecordingWriter()
    assert run(running(agent, writer)) is Outcome.ENDED
    assert b"MODEL_UNAVAILABLE" in writer.appends[-1].data

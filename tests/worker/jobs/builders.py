"""Provides an agent without a model, and a job that runs it in the test's own process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from shared.contract.schemas import JobInput, Suggestion, SuggestionAgent, TokenUsage
from shared.contract.values import FeatureType, PriorityLevel
from shared.state.outcomes import Attempt, AttemptStatus, NotStarted
from tests.worker.publishing.recording_writer import RecordingWriter
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import AgentEvent
from worker.agent.gate import Gate, OpenGate
from worker.agent.request import Answer
from worker.jobs.job_context import Agent, JobContext, Outcome
from worker.jobs.running_job import RunningJob
from worker.publishing.publisher import Lifetimes, Publisher

INPUT = JobInput(page_or_component="p", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW)
SUGGESTION = Suggestion(title="t", rationale="r", description="d", implementation_considerations=[])
ANSWER = Answer(context=None, suggestions=[SUGGESTION] * 3)


class FakeAgent:
    """Stands in for the agent: a run yields what `events` yields; counts runs and records if the last was closed."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_closed = False

    def events(self) -> AsyncGenerator[AgentEvent, None]:
        raise NotImplementedError

    def turns_kept(self, model: str, agent: SuggestionAgent | None, conversation: Conversation) -> int:
        return 0

    async def suggest(
        self,
        job: JobInput,
        model: str,
        agent: SuggestionAgent | None,
        conversation: Conversation,
        gate: Gate | None = None,
    ) -> AsyncGenerator[AgentEvent, None]:
        self.asked += 1
        try:
            async with aclosing(self.events()) as events:
                async for event in events:
                    yield event
        finally:
            self.is_closed = True


def running(
    agent: Agent,
    writer: RecordingWriter,
    *,
    timeout_seconds: float = 60,
    is_ours: bool = True,
    ran_ms: int = 0,
) -> RunningJob:
    def new_publisher(number: int, on_answer: Callable[[AttemptStatus], None]) -> Publisher:
        lifetimes = Lifetimes(1, lambda status: 1)
        return Publisher(
            writer,  # type: ignore[arg-type]
            "job",
            number,
            lifetimes=lifetimes,
            interval_seconds=60,
            on_answer=on_answer,
        )

    attempt = Attempt("job", 1, None, 0, "alice", INPUT, TokenUsage(), ran_ms=ran_ms)
    context = JobContext(
        agent=agent,
        model="m",
        model_label="m",
        user_agent=None,
        timeout_seconds=timeout_seconds,
        max_attempts=3,
        new_publisher=new_publisher,
        gate=OpenGate(),
        keep_turn=lambda attempt, number, turn: number + 1,
        start_again=lambda last: (
            replace(last, number=last.number + 1, failures=last.failures + 1) if is_ours else NotStarted.LOST
        ),
    )
    return RunningJob(attempt, context)


def run(job: RunningJob, *beside: Callable[[], Awaitable[object]]) -> Outcome:
    async def both() -> Outcome:
        task = asyncio.ensure_future(job.run())
        for action in beside:
            await action()
        return await task

    return asyncio.run(both())


async def wait_forever() -> None:
    await asyncio.Event().wait()


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)

"""Runs the agent for one attempt of a job, and publishes what it reports."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing

from shared.clock import now_ms
from shared.contract.events import Started, Tool
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed
from shared.state.outcomes import Attempt
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import AgentEvent, Answered, TurnWhole
from worker.agent.provider_waits import Resumes, Waits
from worker.agent.request import Answer
from worker.agent.turn import Said, Spent, UsedTool, Wrote
from worker.jobs.attempt_telemetry import AttemptTelemetry
from worker.jobs.job_context import JobContext
from worker.jobs.turn_writer import TurnWriter
from worker.jobs.waiting import WaitingJob
from worker.publishing.notes import NoteWriter
from worker.publishing.publisher import Publisher

SHOWN_INPUT_CHARACTERS = 200


class RunningAttempt:
    """Represents one attempt. What becomes of the job when it ends is decided by `RunningJob`."""

    def __init__(
        self,
        attempt: Attempt,
        context: JobContext,
        conversation: Conversation,
        turns: TurnWriter,
        publisher: Publisher,
        refuse_to_wait: Callable[[], bool],
    ) -> None:
        """Builds the attempt.

        `refuse_to_wait` is called when the job would begin to wait for its provider, and returns whether it must not.
        """
        self._attempt = attempt
        self._context = context
        self._conversation = conversation
        self._turns = turns
        self._refuse_to_wait = refuse_to_wait
        self._waiting: WaitingJob | None = None
        self.usage = attempt.usage
        """The tokens that all attempts of the job so far have used."""
        self.telemetry = AttemptTelemetry(attempt, context.model_label)
        self.publisher = publisher
        publisher.on_first_text = self.telemetry.wrote
        publisher.proven = conversation.proven

    @property
    def is_waiting(self) -> bool:
        """Returns whether the attempt waits for its model's provider now."""
        return self._waiting is not None and self._waiting.is_waiting

    def publish_started(self) -> None:
        """Publishes that the attempt begins, and the calls of tools in the turns from which it continues."""
        context, agent = self._context, self._context.user_agent
        turns_kept = context.agent.turns_kept(context.model, agent, self._conversation)
        self.publisher.spent(self.usage)  # the attempt before may have failed before an event could carry its tokens
        self.publisher.publish(
            Started(
                attempt=self._attempt.number,
                model=context.model,
                agent=agent.name if agent else "default",
                cause=self._attempt.cause,
                turns_kept=turns_kept,
                timestamp=now_ms(),
            )
        )
        for used in (used for turn in self._conversation.turns for used in turn.tools):
            self.publisher.publish(Tool(name=used["name"], input=_shown(used["input"]), timestamp=now_ms()))
        self.telemetry.started(context.model)

    async def ask(self) -> Answer:
        """Returns the agent's answer. Raises AttemptFailed, for want of time too."""
        try:
            async with asyncio.timeout(self._context.timeout_seconds) as limit:
                self._waiting = WaitingJob(self.publisher.publish, limit)
                return await self._run_agent()
        except TimeoutError:
            if not limit.expired():
                raise
            raise AttemptFailed(
                ErrorCode.TIMEOUT, "the attempt took longer than JOB_TIMEOUT_SECONDS", is_cut=True
            ) from None

    async def _run_agent(self) -> Answer:
        context = self._context
        self._conversation.spent_before = self._attempt.usage
        asked = context.agent.suggest(
            self._attempt.input, context.model, context.user_agent, self._conversation, context.gate
        )
        notes = NoteWriter(self.publisher.publish, now_ms)
        try:
            async with aclosing(asked) as events:
                async for event in events:
                    if isinstance(event, Answered):
                        return event.answer
                    self._handle(event, notes)
        finally:
            notes.stop()
        raise AttemptFailed(ErrorCode.INTERNAL, "the agent ended without an answer")

    def _handle(self, event: AgentEvent, notes: NoteWriter) -> None:
        match event:
            case Wrote(piece):
                notes.stop()  # a note about what came before the answer would be out of date
                self.publisher.write(piece)
            case Said(text, is_end):
                notes.say(text, is_end=is_end)
            case UsedTool(name, arguments):
                self.telemetry.used_tool(name)
                self.publisher.publish(Tool(name=name, input=_shown(arguments), timestamp=now_ms()))
            case Spent(usage):
                self.usage = self._attempt.usage.plus(usage)
                self.publisher.spent(self.usage)
                self.telemetry.spent(usage)
            case TurnWhole():
                self._turns.write(self._attempt, self._conversation.turns)
            case Waits() | Resumes():
                self._wait(event)

    def _wait(self, event: Waits | Resumes) -> None:
        assert self._waiting is not None
        if isinstance(event, Resumes):
            self._waiting.resume()
            self.telemetry.waited(event.seconds)
        elif not self._refuse_to_wait():
            self._waiting.wait(event)


def _shown(arguments: dict[str, object]) -> dict[str, object]:
    """Returns a tool's input shortened for viewers, whatever the model gave: it was not checked."""
    return {name[:SHOWN_INPUT_CHARACTERS]: _shortened(value) for name, value in list(arguments.items())[:5]}


def _shortened(value: object) -> object:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= SHOWN_INPUT_CHARACTERS else text[:SHOWN_INPUT_CHARACTERS]

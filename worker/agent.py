"""The agent: Claude, asked for suggestions. It knows neither Redis nor RQ."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from anthropic import APIError, AsyncAnthropic, transform_schema
from anthropic.types.beta import BetaMessage, BetaUsage
from httpx2 import HTTPError, StreamError
from pydantic import Field, ValidationError

from shared.errors import AttemptFailed
from shared.schemas import ErrorCode, JobInput, Suggestion, SuggestionAgent, TokenUsage, ToolName, Wire
from worker import prompts
from worker.model_call import ModelCall
from worker.model_errors import as_attempt_failure
from worker.tools import Project, Tool

MAX_TOKENS = 16_384
"""Thinking counts towards it."""
MAX_TURNS = 16
"""Calls of the model in one attempt; in the last one it has to answer."""
ALL_TOOLS: tuple[ToolName, ...] = ("Read", "Grep", "Glob")
_TAKES_TEMPERATURE = re.compile(r"claude-(3\b|(opus|sonnet|haiku)-4(-[0-6])?(-\d{8})?$)")
"""Models up to 4.6; later ones answer 400 to any temperature, and an unknown one is taken to be later."""


class Answer(Wire):
    """What the model has to answer with."""

    context: str | None
    suggestions: Annotated[list[Suggestion], Field(min_length=3, max_length=5)]


ANSWER_SCHEMA = transform_schema(Answer)


@dataclass(frozen=True)
class Wrote:
    """A piece of the answer's JSON."""

    piece: str


@dataclass(frozen=True)
class UsedTool:
    name: ToolName
    input: dict[str, Any]


@dataclass(frozen=True)
class Spent:
    """What the attempt has cost so far, over all its calls."""

    usage: TokenUsage


@dataclass(frozen=True)
class Answered:
    answer: Answer


AgentEvent = Wrote | UsedTool | Spent | Answered


class FeatureAgent:
    """Asks one model for suggestions, with tools where there is a project to look at."""

    def __init__(self, client: AsyncAnthropic, project: Project | None) -> None:
        self._client = client
        self._project = project

    async def suggest(
        self, job: JobInput, model: str, agent: SuggestionAgent | None
    ) -> AsyncGenerator[AgentEvent, None]:
        """The run, as it happens; ends with `Answered`. Raises AttemptFailed with a code of the contract.

        Closing the iterator closes the connection to the model.
        """
        run = _Run()
        try:
            async with aclosing(self._turns(job, model, agent, run)) as events:
                async for event in events:
                    yield event
        except (APIError, HTTPError, StreamError) as error:
            raise as_attempt_failure(error) from error
        yield Answered(run.answer())

    async def _turns(
        self, job: JobInput, model: str, agent: SuggestionAgent | None, run: "_Run"
    ) -> AsyncGenerator[AgentEvent, None]:
        runner = self._client.beta.messages.tool_runner(**self._request(job, model, agent))
        try:
            while True:
                with ModelCall(model) as call:
                    stream = await anext(runner, None)
                    if stream is None:
                        call.usage = None
                        return
                    run.begin_turn()
                    async for event in stream:
                        for seen in run.take(event):
                            yield seen
                        call.usage = run.turn_usage
                if run.turns == MAX_TURNS - 1:
                    runner.set_messages_params(lambda params: {**params, "tool_choice": {"type": "none"}})
        finally:
            # A task that waits in our loop body when it is cancelled would leave the connection to the collector.
            await runner.close()

    def _request(self, job: JobInput, model: str, agent: SuggestionAgent | None) -> dict[str, Any]:
        tools = self._tools(agent)
        request: dict[str, Any] = {
            "model": model,
            "max_tokens": MAX_TOKENS,
            "max_iterations": MAX_TURNS,
            "tools": tools,
            "messages": [{"role": "user", "content": prompts.user_message(job)}],
            # Marks the end of what is the same in every request: the tools come before the system prompt.
            "system": [
                {
                    "type": "text",
                    "text": prompts.system_prompt(agent, can_look=bool(tools)),
                    "cache_control": {"type": "ephemeral"},
                }
            ],
            # And the conversation so far, which each turn of the tools sends again.
            "cache_control": {"type": "ephemeral"},
            "output_config": {"format": {"type": "json_schema", "schema": ANSWER_SCHEMA}},
            "stream": True,
            "thread": False,
        }
        if agent is not None and agent.temperature is not None and _TAKES_TEMPERATURE.match(model):
            # The runner has no parameter for it, since current models take none.
            request["extra_body"] = {"temperature": agent.temperature}
        return request

    def _tools(self, agent: SuggestionAgent | None) -> list[Tool]:
        if self._project is None:
            return []
        return self._project.tools(agent.tools if agent is not None else ALL_TOOLS)


class _Run:
    """What is known of a run: the text of its latest turn, why that turn stopped, and what all of them cost."""

    def __init__(self) -> None:
        self.turns = 0
        self._text: list[str] = []
        self._is_json = False
        self._message: BetaMessage | None = None
        self._before = TokenUsage()
        self._current = TokenUsage()

    @property
    def turn_usage(self) -> TokenUsage:
        """What the latest turn has cost so far."""
        return self._current

    def begin_turn(self) -> None:
        self.turns += 1
        self._text, self._is_json = [], False
        self._before, self._current = self._before.plus(self._current), TokenUsage()

    def take(self, event: Any) -> list[AgentEvent]:
        match event.type:
            case "message_start":
                return [self._spent(event.message.usage)]
            case "message_delta":
                return [self._spent(event.usage)]
            case "content_block_delta" if event.delta.type == "text_delta":
                return self._wrote(event.delta.text)
            case "content_block_stop" if event.content_block.type == "tool_use":
                block = event.content_block
                return [UsedTool(block.name, block.input)] if block.name in ALL_TOOLS else []
            case "message_stop":
                self._message = event.message
        return []

    def _spent(self, usage: Any) -> Spent:
        self._current = _tokens(usage, self._current)
        return Spent(self._before.plus(self._current))

    def _wrote(self, piece: str) -> list[AgentEvent]:
        """Only what looks like the answer is told: what the model says between tools is not."""
        if not self._text:
            piece = piece.lstrip()
            if not piece:
                return []
            self._is_json = piece.startswith("{")
        self._text.append(piece)
        return [Wrote(piece)] if self._is_json else []

    def answer(self) -> Answer:
        """The answer of the last turn. Why it stopped comes first: a refusal or a cut has no whole answer."""
        if self._message is None:
            raise AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "the stream ended early", worth_retrying=True)
        match self._message.stop_reason:
            case "refusal":
                raise AttemptFailed(ErrorCode.MODEL_REFUSED, "the model declined")
            case "model_context_window_exceeded":
                raise AttemptFailed(ErrorCode.MODEL_REJECTED, "the context is too long")
            case "end_turn" | "stop_sequence":
                pass
            case reason:
                raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"stopped by {reason}")
        try:
            return Answer.model_validate_json("".join(self._text))
        except ValidationError as error:
            raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"{error.error_count()} problems with the schema") from None


def _tokens(usage: BetaUsage | Any, known: TokenUsage) -> TokenUsage:
    """The cumulative usage of one call; `message_delta` may leave out what `message_start` told."""

    def count(name: str, before: int) -> int:
        value = getattr(usage, name, None)
        return before if value is None else int(value)

    given = count("input_tokens", known.input_tokens)
    written = count("output_tokens", known.output_tokens)
    read = count("cache_read_input_tokens", known.cache_read_tokens)
    created = count("cache_creation_input_tokens", known.cache_creation_tokens)
    return TokenUsage(
        input_tokens=given,
        output_tokens=written,
        cache_read_tokens=read,
        cache_creation_tokens=created,
        total_tokens=given + written + read + created,
    )

"""The agent: Claude, asked for suggestions. It knows neither Redis nor RQ."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from anthropic import APIError, AsyncAnthropic, AsyncAPIResponse, transform_schema
from httpx2 import HTTPError, StreamError
from pydantic import Field, ValidationError

from shared.contract.schemas import ErrorCode, JobInput, Suggestion, SuggestionAgent, Wire
from shared.errors import AttemptFailed
from worker.agent import prompts
from worker.agent.conversation import Conversation
from worker.agent.event_reader import EventReader, JsonObject
from worker.agent.model_call import ModelCall
from worker.agent.model_errors import as_attempt_failure
from worker.agent.project import Project
from worker.agent.tool_arguments import ALL_TOOLS
from worker.agent.toolbox import Toolbox
from worker.agent.tools import make_tools
from worker.agent.turn import Spent, Turn, UsedTool, Wrote

MAX_TOKENS = 16_384
"""Thinking counts towards it."""
MAX_TURNS = 16
"""Calls of the model in one attempt; in the last one it has to answer."""
_TAKES_TEMPERATURE = re.compile(r"claude-(3\b|(opus|sonnet|haiku)-4(-[0-6])?(-\d{8})?$)")
"""Models up to 4.6; later ones answer 400 to any temperature, and an unknown one is taken to be later."""


class Answer(Wire):
    """What the model has to answer with."""

    context: str | None
    suggestions: Annotated[list[Suggestion], Field(min_length=3, max_length=5)]


# As it is written, not as it is read: there a suggestion without files is taken too.
ANSWER_SCHEMA = transform_schema(Answer.model_json_schema(mode="serialization"))


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
        self, job: JobInput, model: str, agent: SuggestionAgent | None, conversation: Conversation
    ) -> AsyncGenerator[AgentEvent, None]:
        """The run, as it happens; ends with `Answered`. Raises AttemptFailed with a code of the contract.

        `conversation` is the job's, and takes up what its model is shown. Closing the iterator closes the connection
        to the model.
        """
        toolbox = self._toolbox(agent, conversation)
        request = self._request(job, model, agent, toolbox.definitions)
        turn = Turn()
        try:
            for number in range(1, MAX_TURNS + 1):
                is_last = number == MAX_TURNS or toolbox.has_refused
                if is_last:
                    request["tool_choice"] = {"type": "none"}
                turn = Turn(turn.spent)
                async with self._asked(request, turn) as response:
                    reader = EventReader()
                    async for piece in response.iter_bytes():
                        for event in reader.read(piece):
                            if told := turn.take(event):
                                yield told
                if is_last or not (turn.tool_calls or turn.is_paused):
                    break
                request["messages"].append({"role": "assistant", "content": turn.content})
                if turn.tool_calls:
                    request["messages"].append({"role": "user", "content": await toolbox.results(turn.tool_calls)})
        except (APIError, HTTPError, StreamError) as error:
            raise as_attempt_failure(error) from error
        yield Answered(_answer(turn))

    @asynccontextmanager
    async def _asked(self, request: dict[str, Any], turn: Turn) -> AsyncIterator[AsyncAPIResponse[Any]]:
        """The response as it begins: its bytes, since the SDK's models of its events cost most of a worker's time."""
        with ModelCall(request["model"], turn):
            async with self._client.beta.messages.with_streaming_response.create(**request) as response:
                yield response

    def _request(
        self, job: JobInput, model: str, agent: SuggestionAgent | None, tools: list[JsonObject]
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": model,
            "max_tokens": MAX_TOKENS,
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
        }
        if agent is not None and agent.temperature is not None and _TAKES_TEMPERATURE.match(model):
            # The SDK has no parameter for it, since current models take none.
            request["extra_body"] = {"temperature": agent.temperature}
        return request

    def _toolbox(self, agent: SuggestionAgent | None, conversation: Conversation) -> Toolbox:
        if self._project is None:
            return Toolbox([], conversation)
        conversation.project = self._project.open()
        names = agent.tools if agent is not None else ALL_TOOLS
        return Toolbox(make_tools(conversation.project, names), conversation)


def _answer(turn: Turn) -> Answer:
    """The answer of the last turn. Why it stopped comes first: a refusal or a cut has no whole answer."""
    if not turn.is_whole:
        raise AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "the stream ended early", worth_retrying=True)
    match turn.stop_reason:
        case "refusal":
            raise AttemptFailed(ErrorCode.MODEL_REFUSED, "the model declined")
        case "model_context_window_exceeded":
            raise AttemptFailed(ErrorCode.MODEL_REJECTED, "the context is too long")
        case "end_turn" | "stop_sequence":
            pass
        case reason:
            raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"stopped by {reason}")
    try:
        return Answer.model_validate_json(turn.text)
    except ValidationError as error:
        raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"{error.error_count()} problems with the schema") from None

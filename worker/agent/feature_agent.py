"""The agent: Claude, asked for suggestions. It knows neither Redis nor RQ."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from anthropic import APIError, AsyncAnthropic, AsyncAPIResponse
from httpx2 import HTTPError, StreamError
from pydantic import ValidationError

from shared.contract.schemas import ErrorCode, JobInput, SuggestionAgent
from shared.errors import AttemptFailed
from worker.agent import prompts
from worker.agent.capabilities import ModelCatalogue
from worker.agent.conversation import Conversation
from worker.agent.event_reader import EventReader, JsonObject
from worker.agent.limits import Haste, Limits
from worker.agent.model_call import ModelCall
from worker.agent.model_errors import as_attempt_failure
from worker.agent.project import Project
from worker.agent.project_card import ProjectCards
from worker.agent.request import Answer, first_request
from worker.agent.tool_arguments import ALL_TOOLS
from worker.agent.toolbox import Toolbox
from worker.agent.tools import make_tools
from worker.agent.turn import Said, Spent, Turn, UsedTool, Wrote


@dataclass(frozen=True)
class Answered:
    answer: Answer


AgentEvent = Wrote | Said | UsedTool | Spent | Answered


class FeatureAgent:
    """Asks one model for suggestions, with tools where there is a project to look at."""

    def __init__(
        self,
        client: AsyncAnthropic,
        project: Project | None,
        *,
        effort: str = "medium",
        timeout_seconds: float = 120,
        max_job_tokens: int = 1_000_000,
    ) -> None:
        self._client = client
        self._project = project
        self._effort = effort
        self._timeout_seconds = timeout_seconds
        self._max_job_tokens = max_job_tokens
        self._catalogue = ModelCatalogue(client)
        self._cards = ProjectCards()

    async def suggest(
        self, job: JobInput, model: str, agent: SuggestionAgent | None, conversation: Conversation
    ) -> AsyncGenerator[AgentEvent, None]:
        """The run, as it happens; ends with `Answered`. Raises AttemptFailed with a code of the contract.

        `conversation` is the job's, and takes up what its model is shown. Closing the iterator closes the connection
        to the model.
        """
        toolbox = self._toolbox(agent, conversation)
        limits = Limits(self._timeout_seconds, self._max_job_tokens, lambda: 0.0)
        request = await self._first_request(job, model, agent, toolbox, conversation)
        turn = Turn()
        try:
            for number in count(2):
                turn = Turn(turn.spent)
                async with self._asked(request, turn) as response:
                    reader = EventReader()
                    async for piece in response.iter_bytes():
                        for event in reader.read(piece):
                            if told := turn.take(event):
                                yield told
                if "tool_choice" in request or not (turn.tool_calls or turn.is_paused):
                    break
                spent = conversation.spent_before.plus(turn.spent)
                if limits.is_spent(spent):
                    raise AttemptFailed(ErrorCode.BAD_OUTPUT, "MAX_JOB_TOKENS are spent and there is no answer")
                results = await toolbox.results(turn.tool_calls, turn.malformed_calls)
                haste = limits.before_turn(number, spent, calls_are_used_up=toolbox.is_used_up)
                _go_on(request, turn, results, haste)
        except (APIError, HTTPError, StreamError) as error:
            raise as_attempt_failure(error) from error
        yield Answered(_answer(turn))

    async def prepare(self, models: Iterable[str]) -> None:
        """Begins to ask what these models can do, and to look at the project, without waiting for either."""
        if self._project is not None:
            self._cards.begin(self._project.open())
        for model in models:
            self._catalogue.begin(model)

    async def _first_request(
        self,
        job: JobInput,
        model: str,
        agent: SuggestionAgent | None,
        toolbox: Toolbox,
        conversation: Conversation,
    ) -> dict[str, Any]:
        tools = toolbox.definitions
        card = await self._cards.card(conversation.project) if conversation.project is not None and tools else ""
        capabilities = await self._catalogue.capabilities(model)
        return first_request(job, model, agent, tools=tools, card=card, capabilities=capabilities, effort=self._effort)

    @asynccontextmanager
    async def _asked(self, request: dict[str, Any], turn: Turn) -> AsyncIterator[AsyncAPIResponse[Any]]:
        """The response as it begins: its bytes, since the SDK's models of its events cost most of a worker's time."""
        with ModelCall(request["model"], turn):
            async with self._client.beta.messages.with_streaming_response.create(**request) as response:
                yield response

    def _toolbox(self, agent: SuggestionAgent | None, conversation: Conversation) -> Toolbox:
        if self._project is None:
            return Toolbox([], conversation)
        conversation.project = self._project.open()
        names = agent.tools if agent is not None else ALL_TOOLS
        return Toolbox(make_tools(conversation.project, names), conversation)


def _go_on(request: dict[str, Any], turn: Turn, results: list[JsonObject], haste: Haste) -> None:
    """Makes the request of the next turn from that of this one."""
    messages = request["messages"]
    messages.append({"role": "assistant", "content": turn.content})
    if haste is Haste.FORCED:
        request["tool_choice"] = {"type": "none"}
    if results:
        hint = [{"type": "text", "text": prompts.ANSWER_NOW}] if haste is not Haste.NONE else []
        messages.append({"role": "user", "content": [*results, *hint]})


def _answer(turn: Turn) -> Answer:
    """The answer of the last turn. Why it stopped comes first: a refusal or a cut has no whole answer."""
    if not turn.is_whole:
        raise AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "the stream ended early", worth_retrying=True)
    match turn.stop_reason:
        case "refusal":
            raise AttemptFailed(ErrorCode.MODEL_REFUSED, "the model declined")
        case "model_context_window_exceeded":
            raise AttemptFailed(ErrorCode.MODEL_REJECTED, "the context is too long")
        case "end_turn" | "stop_sequence" | None:  # some gateways leave it out
            pass
        case reason:
            raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"stopped by {reason}")
    try:
        return Answer.model_validate_json(turn.answer_json)
    except ValidationError as error:
        raise AttemptFailed(ErrorCode.BAD_OUTPUT, f"{error.error_count()} problems with the schema") from None

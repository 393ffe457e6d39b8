"""Defines the agent, which asks Claude for suggestions. It knows neither Redis nor RQ."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any

from anthropic import AsyncAnthropic
from pydantic import ValidationError

from shared.contract.schemas import JobInput, SuggestionAgent
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed
from worker.agent import prompts
from worker.agent.capabilities import ModelCatalogue
from worker.agent.conversation import Conversation
from worker.agent.event_reader import JsonObject
from worker.agent.gate import Gate, OpenGate
from worker.agent.input_estimates import InputEstimates
from worker.agent.kept_turns import KeptTurn, key_of
from worker.agent.limits import Limits, Urgency
from worker.agent.project import Project
from worker.agent.project_overview import ProjectOverviews
from worker.agent.provider_waits import ProviderWaits
from worker.agent.request import Answer, first_request
from worker.agent.tool_arguments import ALL_TOOLS
from worker.agent.toolbox import Toolbox
from worker.agent.tools import make_tools
from worker.agent.turn import Turn, UsedTool
from worker.agent.turn_taker import TurnEvent, TurnTaker


@dataclass(frozen=True)
class Answered:
    """Holds the answer, with which the run ends."""

    answer: Answer


@dataclass(frozen=True)
class TurnWhole:
    """Says that a turn with tools is over and has been appended to the conversation."""

    turn: KeptTurn


AgentEvent = TurnEvent | TurnWhole | Answered


class FeatureAgent:
    """Asks one model for suggestions, with tools where there is a project to read."""

    def __init__(
        self,
        client: AsyncAnthropic,
        project: Project | None,
        *,
        effort: str = "medium",
        timeout_seconds: float = 120,
        max_job_tokens: int = 1_000_000,
        max_wait_seconds: float = 300,
    ) -> None:
        self._client = client
        self._project = project
        self._effort = effort
        self._timeout_seconds = timeout_seconds
        self._max_job_tokens = max_job_tokens
        self._max_wait_seconds = max_wait_seconds
        self._estimates = InputEstimates()
        self._catalogue = ModelCatalogue(client)
        self._overviews = ProjectOverviews()

    async def suggest(
        self,
        job: JobInput,
        model: str,
        agent: SuggestionAgent | None,
        conversation: Conversation,
        gate: Gate | None = None,
    ) -> AsyncGenerator[AgentEvent, None]:
        """Yields the events of the run as they happen; the last is `Answered`. Raises AttemptFailed.

        `conversation` is the job's; turns and files that the model has seen are added to it. Each request asks the gate
        first. Closing the iterator closes the connection to the model.
        """
        toolbox = self._toolbox(agent, conversation)
        waits = ProviderWaits(gate or OpenGate(), conversation, self._max_wait_seconds)
        limits = Limits(self._timeout_seconds, self._max_job_tokens, lambda: waits.seconds)
        turns = TurnTaker(self._client, waits, self._estimates)
        request, key = await self._begin(job, model, agent, toolbox, conversation)
        can_keep = True  # a paused turn is continued by the next response, so it is not kept as a turn of its own
        for number in count(2 + len(conversation.turns)):
            used: list[UsedTool] = []
            async with aclosing(turns.take(request)) as events:
                async for event in events:
                    used += [event] if isinstance(event, UsedTool) else []
                    yield event
            turn = turns.turn
            if "tool_choice" in request or not (turn.tool_calls or turn.is_paused):
                break
            spent = conversation.spent_before.plus(turn.spent)
            if limits.is_spent(spent):
                raise AttemptFailed(ErrorCode.BAD_OUTPUT, "the job has used its MAX_JOB_TOKENS without an answer")
            known = frozenset(conversation.seen)
            results = await toolbox.results(turn.tool_calls, turn.malformed_calls)
            urgency = limits.before_turn(number, spent, calls_are_used_up=toolbox.is_used_up)
            _extend(request, turn, results, urgency)
            if can_keep := can_keep and bool(results):
                kept = _kept(key, request, used, conversation.seen - known, is_first=not conversation.turns)
                conversation.add(kept)
                yield TurnWhole(kept)
        yield Answered(_answer(turns.turn))

    def turns_kept(self, model: str, agent: SuggestionAgent | None, conversation: Conversation) -> int:
        """Returns how many whole turns the next attempt continues from.

        There are none where the model, the prompt or the tools have changed.
        """
        return conversation.turns_for(self._key(model, agent, self._toolbox(agent, conversation)))

    def _key(self, model: str, agent: SuggestionAgent | None, toolbox: Toolbox) -> str:
        tools = toolbox.definitions
        return key_of(model, prompts.system_prompt(agent, has_tools=bool(tools)), tools)

    async def prepare(self, models: Iterable[str]) -> None:
        """Starts asking what these models can do, and reading the project, without waiting for either."""
        if self._project is not None:
            self._overviews.begin(self._project.open())
        for model in models:
            self._catalogue.begin(model)

    async def _begin(
        self,
        job: JobInput,
        model: str,
        agent: SuggestionAgent | None,
        toolbox: Toolbox,
        conversation: Conversation,
    ) -> tuple[dict[str, Any], str]:
        """Returns the first request, which continues from the kept turns, and the key of its conversation."""
        tools = toolbox.definitions
        overview = (
            await self._overviews.overview(conversation.project) if conversation.project is not None and tools else ""
        )
        capabilities = await self._catalogue.capabilities(model)
        request = first_request(
            job, model, agent, tools=tools, overview=overview, capabilities=capabilities, effort=self._effort
        )
        key = self._key(model, agent, toolbox)
        conversation.turns_for(key)  # discards turns of another model, prompt or set of tools
        request["messages"] = conversation.messages(request["messages"][0]["content"])
        return request, key

    def _toolbox(self, agent: SuggestionAgent | None, conversation: Conversation) -> Toolbox:
        if self._project is None:
            return Toolbox([], conversation)
        conversation.project = self._project.open()
        names = agent.tools if agent is not None else ALL_TOOLS
        return Toolbox(make_tools(conversation.project, names), conversation)


def _extend(request: dict[str, Any], turn: Turn, results: list[JsonObject], urgency: Urgency) -> None:
    """Changes the request of this turn into that of the next one."""
    messages = request["messages"]
    messages.append({"role": "assistant", "content": turn.content})
    if urgency is Urgency.FORCED:
        request["tool_choice"] = {"type": "none"}
    if results:
        hint = [{"type": "text", "text": prompts.ANSWER_NOW}] if urgency is not Urgency.NONE else []
        messages.append({"role": "user", "content": [*results, *hint]})


def _kept(key: str, request: dict[str, Any], used: list[UsedTool], seen: Iterable[str], *, is_first: bool) -> KeptTurn:
    """Returns the turn that has just been added to the request, in the form in which turns are kept."""
    *_, assistant, user = request["messages"]
    return KeptTurn(
        key,
        assistant["content"],
        user["content"],
        first=request["messages"][0]["content"] if is_first else [],
        seen=sorted(seen),
        tools=[{"name": each.name, "input": each.input} for each in used],
    )


def _answer(turn: Turn) -> Answer:
    """Returns the answer of the last turn. Raises AttemptFailed where it was refused or cut off, or is malformed."""
    match turn.stop_reason:
        case "refusal":
            raise AttemptFailed(ErrorCode.MODEL_REFUSED, "the model declined to answer")
        case "model_context_window_exceeded":
            raise AttemptFailed(
                ErrorCode.MODEL_REJECTED, "the conversation is longer than the model's context", is_cut=True
            )
        case "end_turn" | "stop_sequence" | None:  # some gateways leave it out
            pass
        case reason:
            raise AttemptFailed(
                ErrorCode.BAD_OUTPUT,
                f"the model stopped before the end of its answer: {reason}",
                is_cut=reason == "max_tokens",
            )
    try:
        return Answer.model_validate_json(turn.answer_json)
    except ValidationError as error:
        raise AttemptFailed(
            ErrorCode.BAD_OUTPUT, f"the model's answer breaks the schema in {error.error_count()} places"
        ) from None

"""Builds the first request of a job's conversation to the Messages API, and defines the answer it asks for."""

from typing import Annotated, Any

from anthropic import transform_schema
from pydantic import Field

from shared.contract.schemas import JobInput, Suggestion, SuggestionAgent, Wire
from worker.agent import prompts
from worker.agent.capabilities import Capabilities
from worker.agent.event_reader import JsonObject

MAX_TOKENS = 32_000
"""Thinking counts towards it."""
LEAST_SUGGESTIONS, MOST_SUGGESTIONS = 3, 5
"""Fewest and most suggestions of an answer, as the contract says."""
_CACHED: JsonObject = {"type": "ephemeral"}


class Answer(Wire):
    """Represents the answer that the model has to give."""

    context: str | None
    suggestions: Annotated[list[Suggestion], Field(min_length=LEAST_SUGGESTIONS, max_length=MOST_SUGGESTIONS)]


# The schema requires what the model has to write; a suggestion without files is accepted when it is read.
ANSWER_SCHEMA = transform_schema(Answer.model_json_schema(mode="serialization"))


def first_request(
    job: JobInput,
    model: str,
    agent: SuggestionAgent | None,
    *,
    tools: list[JsonObject],
    overview: str,
    capabilities: Capabilities,
    effort: str,
) -> dict[str, Any]:
    """Returns the parameters of the first call; later ones have a longer `messages`.

    Three places are marked for the cache: the end of tools and system prompt, the same for every job of an agent; the
    project's overview, the same until the project changes; and the end of the conversation so far.
    """
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": ANSWER_SCHEMA}}
    if level := capabilities.effort(effort):
        output["effort"] = level
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": min(MAX_TOKENS, capabilities.max_tokens or MAX_TOKENS),
        "tools": tools,
        "messages": [{"role": "user", "content": _content(job, overview)}],
        "system": [_text(prompts.system_prompt(agent, has_tools=bool(tools)), is_cached=True)],
        "cache_control": _CACHED,
        "output_config": output,
        "stream": True,
    }
    if capabilities.thinks_adaptively:
        # Such models think anyway, and without this they would not show what they say between their tools.
        request["thinking"] = {"type": "adaptive", "display": "summarized"}
    if agent is not None and agent.temperature is not None and capabilities.takes_temperature:
        # The SDK has no parameter for the temperature, since current models take none.
        request["extra_body"] = {"temperature": agent.temperature}
    return request


def _content(job: JobInput, overview: str) -> list[JsonObject]:
    request = _text(prompts.user_message(job))
    return [_text(prompts.project_message(overview), is_cached=True), request] if overview else [request]


def _text(text: str, *, is_cached: bool = False) -> JsonObject:
    block: JsonObject = {"type": "text", "text": text}
    return {**block, "cache_control": _CACHED} if is_cached else block

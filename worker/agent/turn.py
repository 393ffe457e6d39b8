"""Builds one response of the model from the events of its stream."""

import json
from dataclasses import dataclass
from uuid import uuid4

from pydantic_core import from_json

from shared.contract.schemas import TokenUsage, ToolName
from worker.agent.answer_text import AnswerText
from worker.agent.event_reader import JsonObject
from worker.agent.model_errors import of_error_event
from worker.agent.tool_arguments import as_shown, tool_name

MOST_TOKENS = 10**12
MAX_SAID_CHARACTERS = 2_000
"""The most characters of a text block that are shown; a longer block is an answer in the wrong form."""


@dataclass(frozen=True)
class Wrote:
    """Holds a piece of the answer's JSON."""

    piece: str


@dataclass(frozen=True)
class Said:
    """Holds a piece of what the model says besides its answer; `is_end` marks the last piece of a block."""

    text: str
    is_end: bool = False


@dataclass(frozen=True)
class UsedTool:
    """Holds a call of a tool."""

    name: ToolName
    input: JsonObject


@dataclass(frozen=True)
class Spent:
    """Holds the tokens that the attempt has used so far, over all its calls."""

    usage: TokenUsage


class Turn:
    """Collects one turn. `content` is what the model said, in the form in which it is sent back to it.

    `before` is the usage of earlier turns. Unknown events are ignored, and fields that a gateway leaves out are not
    required, so that a whole answer is never lost because of its form.
    """

    def __init__(self, before: TokenUsage | None = None) -> None:
        self.content: list[JsonObject] = []
        self.usage = TokenUsage()
        self.stop_reason: str | None = None
        self.has_begun = False
        """Whether any part of it has arrived."""
        self.malformed_calls: set[str] = set()
        """The ids of tool calls whose input is not a JSON object, or holds what is no JSON."""
        self._before = before or TokenUsage()
        self._pieces: list[str] = []
        """The pieces of the current block, which are joined once, when the block ends."""
        self._is_block_open = False
        self._is_stopped = False
        self._answer = AnswerText()
        self._answer_json = ""

    @property
    def spent(self) -> TokenUsage:
        """Returns the tokens of this turn and of those before it."""
        return self._before.plus(self.usage)

    @property
    def is_whole(self) -> bool:
        """Returns whether the response is complete.

        Where a gateway left out the last event, the stop reason shows it.
        """
        return self._is_stopped or self.stop_reason is not None

    @property
    def text(self) -> str:
        """Returns all text of the turn."""
        return "".join(block.get("text") or "" for block in self.content if block.get("type") == "text")

    @property
    def answer_json(self) -> str:
        """Returns the answer's JSON object without the text around it; all text where there is no object."""
        return self._answer_json or self.text

    @property
    def tool_calls(self) -> list[JsonObject]:
        """Returns the calls that wait for results: only a turn that stopped for tools has such calls."""
        if not self.is_whole or self.stop_reason not in ("tool_use", None):
            return []
        return [block for block in self.content if block.get("type") == "tool_use"]

    @property
    def is_paused(self) -> bool:
        """Returns whether the model paused the turn: it continues when the turn is sent back unchanged."""
        return self.is_whole and self.stop_reason == "pause_turn"

    @property
    def is_empty(self) -> bool:
        """Returns whether it ended without text and without a call."""
        return (
            self.is_whole and self.stop_reason in ("end_turn", None) and not self.text.strip() and not self.tool_calls
        )

    def take(self, event: JsonObject) -> Wrote | Said | UsedTool | Spent | None:
        """Takes one event. Returns what it means for the attempt, or None. Raises AttemptFailed for an error event."""
        kind = event["type"]
        self.has_begun = self.has_begun or kind not in ("ping", "error")
        match kind:
            case "content_block_delta":
                return self._grow(event.get("delta") or {})
            case "content_block_start":
                return self._start_block(event.get("content_block") or {})
            case "content_block_stop":
                return self._end_block()
            case "message_start":
                return self._count((event.get("message") or {}).get("usage"))
            case "message_delta":
                self.stop_reason = (event.get("delta") or {}).get("stop_reason") or self.stop_reason
                return self._count(event.get("usage"))
            case "message_stop":
                self._is_stopped = True
                return self._end_block()
            case "error":
                raise of_error_event(event)
        return None

    def _start_block(self, block: JsonObject) -> Wrote | None:
        self.content.append(dict(block))
        self._pieces, self._is_block_open = [], True
        if block.get("type") == "text" and not self._answer_json:
            self._answer = AnswerText()
            if text := block.get("text"):  # the text may be given whole here, or only its beginning
                self.content[-1]["text"] = ""
                return self._write(text)
        return None

    def _grow(self, delta: JsonObject) -> Wrote | Said | None:
        match delta.get("type"):
            case "text_delta":
                if not self._is_block_open:
                    self._start_block({"type": "text", "text": ""})
                return self._write(delta.get("text") or "")
            case "input_json_delta":
                self._pieces.append(delta.get("partial_json") or "")
            case "thinking_delta":
                self._pieces.append(delta.get("thinking") or "")
                return Said(self._pieces[-1])
            case "signature_delta" if self.content:
                self.content[-1]["signature"] = delta.get("signature")
        return None

    def _write(self, text: str) -> Wrote | None:
        """Takes text. Returns the part of it that belongs to the answer, not what the model says between tools."""
        self._pieces.append(text)
        piece = self._answer.take(text)
        return Wrote(piece) if piece else None

    def _end_block(self) -> UsedTool | Said | None:
        if not self._is_block_open:
            return None
        self._is_block_open = False
        block, written = self.content[-1], "".join(self._pieces)
        match block.get("type"):
            case "text" | "thinking" as kind:
                block[kind] = (block.get(kind) or "") + written
                if kind == "thinking":
                    return Said("", is_end=True)
                if not self._answer.is_found:
                    return Said(written, is_end=True) if len(written) <= MAX_SAID_CHARACTERS else None
                self._answer_json = self._answer.finish()
            case "tool_use":
                return self._end_call(block, written)
        return None

    def _end_call(self, block: JsonObject, written: str) -> UsedTool | None:
        """Returns the call if it is well-formed and of a known tool. A gateway may have sent its input in one piece."""
        # Some gateways leave id and name out; the result must have the same id as the call that is sent back.
        block["id"], block["name"] = str(block.get("id") or f"toolu_{uuid4().hex}"), str(block.get("name") or "unknown")
        given = block.get("input")
        arguments = given if not written.strip() and isinstance(given, dict) else _parsed(written)
        if arguments is not None and not _can_be_sent(arguments):
            arguments = None
        block["input"] = arguments or {}
        if arguments is None:
            self.malformed_calls.add(block["id"])
            return None
        name = tool_name(block["name"])
        return UsedTool(name, as_shown(name, arguments)) if name else None

    def _count(self, usage: JsonObject | None) -> Spent | None:
        if usage is None:
            return None
        self.usage = _tokens(usage, self.usage)
        return Spent(self.spent)


def _parsed(written: str) -> JsonObject | None:
    """Returns the input of a tool call; None where it is not a JSON object."""
    try:
        arguments = from_json(written or "{}")
    except (ValueError, TypeError):  # a TypeError for half a surrogate pair
        return None
    return arguments if isinstance(arguments, dict) else None


def _can_be_sent(arguments: JsonObject) -> bool:
    """Returns whether JSON can hold the input. NaN is no JSON, and 1e999 is read as an infinite number."""
    try:
        json.dumps(arguments, allow_nan=False)
    except ValueError:
        return False
    return True


def _tokens(usage: JsonObject, known: TokenUsage) -> TokenUsage:
    """Returns the usage of one call so far; `message_delta` may leave out fields that `message_start` had."""

    def count(name: str, before: int) -> int:
        value = usage.get(name)
        return int(value) if isinstance(value, int | float) and 0 <= value < MOST_TOKENS else before

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

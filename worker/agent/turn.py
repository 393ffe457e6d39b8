"""One response of the model, put together from the events of its stream."""

from dataclasses import dataclass

from pydantic_core import from_json

from shared.contract.schemas import ErrorCode, TokenUsage, ToolName
from shared.errors import AttemptFailed
from worker.agent.event_reader import JsonObject
from worker.agent.model_errors import of_error_event
from worker.agent.tool_arguments import as_shown, tool_name


@dataclass(frozen=True)
class Wrote:
    """A piece of the answer's JSON."""

    piece: str


@dataclass(frozen=True)
class UsedTool:
    name: ToolName
    input: JsonObject


@dataclass(frozen=True)
class Spent:
    """What the attempt has cost so far, over all its calls."""

    usage: TokenUsage


class Turn:
    """`content` is what the model said, in the form in which it is sent back. `before` is what earlier turns cost."""

    def __init__(self, before: TokenUsage | None = None) -> None:
        self.content: list[JsonObject] = []
        self.usage = TokenUsage()
        self.stop_reason: str | None = None
        self.is_whole = False
        self._before = before or TokenUsage()
        self._pieces: list[str] = []
        """Of the block that is being written: joined when it ends, not with each piece."""
        self._is_json: bool | None = None

    @property
    def spent(self) -> TokenUsage:
        return self._before.plus(self.usage)

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self.content if block["type"] == "text")

    @property
    def tool_calls(self) -> list[JsonObject]:
        """The calls that wait for their results: only a turn that stopped for them has meant them."""
        if not self.is_whole or self.stop_reason != "tool_use":
            return []
        return [block for block in self.content if block["type"] == "tool_use"]

    @property
    def is_paused(self) -> bool:
        """Sent back as it is, the model goes on with it."""
        return self.is_whole and self.stop_reason == "pause_turn"

    def take(self, event: JsonObject) -> Wrote | UsedTool | Spent | None:
        """What the event tells. Raises AttemptFailed for an error, or a tool call that cannot be read."""
        match event["type"]:
            case "content_block_delta":
                return self._grow(event["delta"])
            case "content_block_start":
                self.content.append(event["content_block"])
                self._pieces = []
            case "content_block_stop":
                return self._end_block()
            case "message_start":
                return self._count(event["message"]["usage"])
            case "message_delta":
                self.stop_reason = event["delta"]["stop_reason"]
                return self._count(event["usage"])
            case "message_stop":
                self.is_whole = True
            case "error":
                raise of_error_event(event["error"]["type"])
        return None

    def _grow(self, delta: JsonObject) -> Wrote | None:
        match delta["type"]:
            case "text_delta":
                self._pieces.append(delta["text"])
                return self._wrote(delta["text"])
            case "input_json_delta":
                self._pieces.append(delta["partial_json"])
            case "thinking_delta":
                self._pieces.append(delta["thinking"])
            case "signature_delta":
                self.content[-1]["signature"] = delta["signature"]
        return None

    def _wrote(self, piece: str) -> Wrote | None:
        """Only what looks like the answer is told: what the model says between tools is not."""
        if self._is_json is None:
            piece = piece.lstrip()
            if not piece:
                return None
            self._is_json = piece.startswith("{")
        return Wrote(piece) if self._is_json else None

    def _end_block(self) -> UsedTool | None:
        block, written = self.content[-1], "".join(self._pieces)
        match block["type"]:
            case "text" | "thinking" as kind:
                block[kind] += written
            case "tool_use":
                block["input"] = _read_input(written)
                name = tool_name(block["name"])
                return UsedTool(name, as_shown(name, block["input"])) if name else None
        return None

    def _count(self, usage: JsonObject) -> Spent:
        self.usage = _tokens(usage, self.usage)
        return Spent(self.spent)


def _read_input(written: str) -> JsonObject:
    """The input of a tool call, which a turn that was cut may leave unfinished."""
    try:
        arguments = from_json(written or "{}", allow_partial=True)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise AttemptFailed(ErrorCode.BAD_OUTPUT, "the input of a tool call is not a JSON object")
    return arguments


def _tokens(usage: JsonObject, known: TokenUsage) -> TokenUsage:
    """The cumulative usage of one call; `message_delta` may leave out what `message_start` told."""

    def count(name: str, before: int) -> int:
        value = usage.get(name)
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

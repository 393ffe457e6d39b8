"""Encodes the wire format of the Messages API: turns as server-sent events or as one message, and errors."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

JsonObject = dict[str, Any]

# All deltas use one encoder, since `json.dumps` with an argument builds a new one at every call.
_raw = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@dataclass(frozen=True)
class ApiError:
    """Describes an error as the API answers it. `error_code` is the more exact code in the details of some errors."""

    status: int
    type: str
    message: str
    retry_after_seconds: int | None = None
    error_code: str | None = None

    def body(self, request_id: str | None = None) -> JsonObject:
        """Returns the error's JSON, the same in a response and in an `error` event."""
        error: JsonObject = {"type": self.type, "message": self.message}
        if self.error_code:
            error["details"] = {"error_code": self.error_code}
        return {"type": "error", "error": error, "request_id": request_id}


class RequestRefused(Exception):
    """Answers the request with an error where it is raised."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Text:
    """Holds a block of text."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """Holds a block of thinking: the part that is shown, and how many characters were thought in all."""

    shown: str
    signature: str
    thought_chars: int


@dataclass(frozen=True)
class ToolCall:
    """Holds a block that asks the client to run a tool. `spoiled` is the input's JSON where that is malformed."""

    name: str
    input: JsonObject
    id_suffix: str = ""
    spoiled: str | None = None


Block = Text | Thinking | ToolCall


@dataclass(frozen=True)
class Turn:
    """Holds what the model says in one response."""

    blocks: tuple[Block, ...]
    stop_reason: str = "end_turn"
    stop_details: JsonObject | None = None
    mixed_escapes: bool = False  # whether every other delta escapes all characters that are not ASCII

    def output_tokens(self) -> int:
        """Returns a plausible count: four characters a token, thinking included whether it is shown or not."""
        written = sum(len(_payload(block)) for block in self.blocks if not isinstance(block, Thinking))
        return max(1, written // 4 + self.thinking_tokens())

    def thinking_tokens(self) -> int:
        """Returns how many of the output tokens were thinking."""
        return sum(block.thought_chars for block in self.blocks if isinstance(block, Thinking)) // 4


class Frame(NamedTuple):
    """Holds what is written at one tick. A frame without bytes is a tick in which the model thinks without output."""

    data: bytes
    is_text: bool = False


class Style(NamedTuple):
    """Says how a stream is divided and written; the last three are habits of gateways."""

    chars: int
    whole_input: bool = False
    no_usage: bool = False
    untyped: bool = False


def estimate_tokens(text: str) -> int:
    """Returns about as many tokens as a tokenizer would count."""
    return max(1, len(text) // 4)


def event(payload: JsonObject) -> bytes:
    """Returns one server-sent event, named after its type as in the real API."""
    return f"event: {payload['type']}\ndata: {_raw(payload)}\n\n".encode()


def message(message_id: str, model: str, turn: Turn, usage: dict[str, int]) -> JsonObject:
    """Returns the whole response of a request that did not ask for a stream."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [_whole_block(block) for block in turn.blocks],
        "stop_reason": turn.stop_reason,
        "stop_sequence": None,
        "stop_details": turn.stop_details,
        "usage": _final_usage(turn, usage),
    }


def frames(message_id: str, model: str, turn: Turn, usage: dict[str, int], style: Style) -> list[Frame]:
    """Returns the stream cut into what is written at each tick: so many characters and the events around them."""
    empty = Turn(blocks=(), stop_reason="")
    opening = message(message_id, model, empty, usage) | {"stop_reason": None}
    opening["usage"] = {**usage, "output_tokens": 1}
    written = [Frame(event({"type": "message_start", "message": opening}) + PING)]
    for index, block in enumerate(turn.blocks):
        written += _block_frames(index, block, style, turn.mixed_escapes)
    delta = {"stop_reason": turn.stop_reason, "stop_sequence": None, "stop_details": turn.stop_details}
    ending: JsonObject = {"type": "message_delta", "delta": delta}
    if not style.no_usage:
        ending["usage"] = _final_usage(turn, usage)
    # The opening travels with the first characters and the ending with the last: one write a tick.
    if len(written) > 1:
        written[:2] = [Frame(written[0].data + written[1].data, written[1].is_text)]
    last = written[-1]
    written[-1] = Frame(last.data + event(ending) + event({"type": "message_stop"}), last.is_text)
    return written


def _final_usage(turn: Turn, usage: dict[str, int]) -> JsonObject:
    counted: JsonObject = {**usage, "output_tokens": turn.output_tokens()}
    if thought := turn.thinking_tokens():
        counted["output_tokens_details"] = {"thinking_tokens": thought}
    return counted


def _block_frames(index: int, block: Block, style: Style, mixed_escapes: bool) -> Iterator[Frame]:
    if isinstance(block, Thinking):
        yield from _thinking_frames(index, block, style.chars)
        return
    is_text = isinstance(block, Text)
    stop = event({"type": "content_block_stop", "index": index})
    if isinstance(block, ToolCall) and style.whole_input and block.spoiled is None:
        whole = event({"type": "content_block_start", "index": index, "content_block": _whole_block(block)})
        yield Frame(whole + stop)
        return
    kind, field = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
    head = f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{index},'
    head += f'"delta":{{"type":"{kind}","{field}":'
    start = event({"type": "content_block_start", "index": index, "content_block": _empty_block(block)})
    payload = _payload(block)
    pieces = [payload[at : at + style.chars] for at in range(0, len(payload), style.chars)] or [""]
    for number, piece in enumerate(pieces):
        encoded = _escaped(piece) if mixed_escapes and number % 2 else _raw(piece)
        frame = f"{head}{encoded}}}}}\n\n".encode()
        yield Frame((start if number == 0 else b"") + frame + (stop if number == len(pieces) - 1 else b""), is_text)


def _thinking_frames(index: int, block: Thinking, chars: int) -> Iterator[Frame]:
    """Returns the start, what is shown of it, a tick for each piece that is not shown, and the signature at its end."""

    def delta(kind: str, field: str, value: str) -> bytes:
        return event({"type": "content_block_delta", "index": index, "delta": {"type": kind, field: value}})

    yield Frame(event({"type": "content_block_start", "index": index, "content_block": _empty_block(block)}))
    for at in range(0, len(block.shown), chars):
        yield Frame(delta("thinking_delta", "thinking", block.shown[at : at + chars]))
    for _ in range(len(block.shown), block.thought_chars, chars):
        yield Frame(b"")
    stop = event({"type": "content_block_stop", "index": index})
    yield Frame(delta("signature_delta", "signature", block.signature) + stop)


def _payload(block: Text | ToolCall | Thinking) -> str:
    match block:
        case Text(text):
            return text
        case Thinking(shown):
            return shown
    return _raw(block.input) if block.spoiled is None else block.spoiled


def _whole_block(block: Block) -> JsonObject:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking():
            return {"type": "thinking", "thinking": block.shown, "signature": block.signature}
    return {
        "type": "tool_use",
        "id": f"toolu_sandbox_{uuid4().hex[:16]}{block.id_suffix}",
        "name": block.name,
        "input": block.input,
    }


def _empty_block(block: Block) -> JsonObject:
    match block:
        case Text():
            return {"type": "text", "text": ""}
        case Thinking():
            return {"type": "thinking", "thinking": "", "signature": ""}
    return _whole_block(block) | {"input": {}}

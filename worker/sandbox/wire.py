"""The wire format of the Messages API: turns as server-sent events or as one message, and errors."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

JsonObject = dict[str, Any]

# One encoder for all deltas: `json.dumps` with an argument builds a new one at every call.
_raw = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@dataclass(frozen=True)
class ApiError:
    """An error as the API answers it."""

    status: int
    type: str
    message: str
    retry_after_seconds: int | None = None

    def body(self, request_id: str | None = None) -> JsonObject:
        """The error's JSON, the same in a response and in an `error` event."""
        error = {"type": self.type, "message": self.message}
        return {"type": "error", "error": error, "request_id": request_id}


class RequestRefused(Exception):
    """The request gets an error instead of a message."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Text:
    """A block of text."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A block that asks the client to run one of its tools."""

    name: str
    input: JsonObject


@dataclass(frozen=True)
class Turn:
    """What the model says in one response."""

    blocks: tuple[Text | ToolCall, ...]
    stop_reason: str = "end_turn"
    stop_details: JsonObject | None = None
    mixed_escapes: bool = False  # every other delta escapes all that is not ASCII

    def output_tokens(self) -> int:
        """A plausible count: four characters a token."""
        return estimate_tokens("".join(_payload(block) for block in self.blocks))


def estimate_tokens(text: str) -> int:
    """About what a tokenizer would count."""
    return max(1, len(text) // 4)


def event(payload: JsonObject) -> bytes:
    """One server-sent event, named after its type as the real API does."""
    return f"event: {payload['type']}\ndata: {_raw(payload)}\n\n".encode()


def message(message_id: str, model: str, turn: Turn, usage: dict[str, int]) -> JsonObject:
    """The whole response of a request that did not ask for a stream."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [_whole_block(block) for block in turn.blocks],
        "stop_reason": turn.stop_reason,
        "stop_sequence": None,
        "stop_details": turn.stop_details,
        "usage": {**usage, "output_tokens": turn.output_tokens()},
    }


def frames(message_id: str, model: str, turn: Turn, usage: dict[str, int], chars: int) -> list[bytes]:
    """The stream cut into what is written at each tick: `chars` characters and the events around them."""
    empty = Turn(blocks=(), stop_reason="")
    opening = message(message_id, model, empty, usage) | {"stop_reason": None}
    opening["usage"] = {**usage, "output_tokens": 1}
    written = [event({"type": "message_start", "message": opening}) + PING]
    for index, block in enumerate(turn.blocks):
        written += _block_frames(index, block, chars, turn.mixed_escapes)
    delta = {"stop_reason": turn.stop_reason, "stop_sequence": None, "stop_details": turn.stop_details}
    final_usage = {**usage, "output_tokens": turn.output_tokens()}
    ending = event({"type": "message_delta", "delta": delta, "usage": final_usage})
    # The opening travels with the first characters and the ending with the last: one write a tick.
    if len(written) > 1:
        written[:2] = [written[0] + written[1]]
    written[-1] += ending + event({"type": "message_stop"})
    return written


def _block_frames(index: int, block: Text | ToolCall, chars: int, mixed_escapes: bool) -> Iterator[bytes]:
    kind, field = ("text_delta", "text") if isinstance(block, Text) else ("input_json_delta", "partial_json")
    head = f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{index},'
    head += f'"delta":{{"type":"{kind}","{field}":'
    start = event({"type": "content_block_start", "index": index, "content_block": _empty_block(block)})
    stop = event({"type": "content_block_stop", "index": index})
    payload = _payload(block)
    pieces = [payload[at : at + chars] for at in range(0, len(payload), chars)] or [""]
    for number, piece in enumerate(pieces):
        encoded = _escaped(piece) if mixed_escapes and number % 2 else _raw(piece)
        frame = f"{head}{encoded}}}}}\n\n".encode()
        yield (start if number == 0 else b"") + frame + (stop if number == len(pieces) - 1 else b"")


def _payload(block: Text | ToolCall) -> str:
    return block.text if isinstance(block, Text) else _raw(block.input)


def _whole_block(block: Text | ToolCall) -> JsonObject:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    return {
        "type": "tool_use",
        "id": f"toolu_sandbox_{uuid4().hex[:16]}",
        "name": block.name,
        "input": block.input,
    }


def _empty_block(block: Text | ToolCall) -> JsonObject:
    empty: JsonObject = {"text": ""} if isinstance(block, Text) else {"input": {}}
    return _whole_block(block) | empty

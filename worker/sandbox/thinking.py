"""Makes and checks thinking blocks: what is shown of them, and signatures that tie them to their conversation."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from worker.sandbox.checks import blocks_of, refuse
from worker.sandbox.models import rules_for
from worker.sandbox.wire import JsonObject, Thinking, ToolCall, Turn

_SECRET = b"the sandbox, whichever process plays it"
_MARK = "t"  # marks the id of a tool call that followed a thinking block
_MARK_LENGTH = 8
_THOUGHTS = (
    "The request names a page. First I want to know where it lives in the project and what is next to it.",
    "The names of the files tell the layout. What the code says about the page is worth a search.",
    "These matches point to the files that matter. Reading them shows what is there already.",
    "There is enough to go by. I weigh effort against effect and keep what differs from the rest.",
)


@dataclass(frozen=True)
class Wanted:
    """Says what a request asks of thinking: its type (None: no thinking at all) and how it is shown."""

    type: str | None
    display: str


def wanted(body: JsonObject, option: str) -> Wanted:
    """Returns what this request asks of thinking, with the model's defaults."""
    rules = rules_for(body["model"])
    given = body.get("thinking") or {}
    kind = given.get("type")
    if kind is None and (rules.thinks_by_default or option == "always"):
        kind = "adaptive"
    if kind == "disabled":
        kind = None
    default = "omitted" if rules.is_current else "summarized"
    return Wanted(kind, str(given.get("display") or default))


def with_thinking(turn: Turn, asked: Wanted, body: JsonObject, update: str, number: int) -> Turn:
    """Returns the turn with its thinking block in front. `update` is what the model writes before tool calls."""
    if asked.type is None or (asked.type == "between_tools" and not update):
        return turn
    thought = "" if asked.type == "between_tools" else _THOUGHTS[min(number, len(_THOUGHTS)) - 1]
    shown = {"summarized": " ".join(filter(None, (thought, update))), "updates": update, "omitted": ""}
    text = update if asked.type == "between_tools" else shown[asked.display]
    thought_chars = len(update) if asked.type == "between_tools" else 2 * len(thought) + len(update)
    signature = _signature(body, body["messages"], text)
    block = Thinking(text, signature, thought_chars)
    calls = tuple(
        ToolCall(each.name, each.input, _mark(signature), each.spoiled) if isinstance(each, ToolCall) else each
        for each in turn.blocks
    )
    return Turn((block, *calls), turn.stop_reason, turn.stop_details, turn.mixed_escapes)


def check_thinking(body: JsonObject) -> None:
    """Raises RequestRefused where a thinking block did not come back unmodified, in its own conversation."""
    messages = body["messages"]
    for number, message in enumerate(messages):
        blocks = blocks_of(message["content"], "thinking") if message["role"] == "assistant" else []
        for block in blocks:
            text, signature = block.get("thinking"), block.get("signature")
            if not isinstance(text, str) or not isinstance(signature, str):
                raise refuse(f"messages.{number}.content: a `thinking` block needs `thinking` and `signature`")
            if not hmac.compare_digest(signature, _signature(body, messages[:number], text)):
                raise refuse(
                    f"messages.{number}.content: `thinking` blocks must be passed back unmodified, "
                    "in the conversation and to the model they came from"
                )
        if message["role"] == "assistant":
            _check_marks(number, message, {_mark(str(block["signature"])) for block in blocks})


def _check_marks(number: int, message: JsonObject, sent: set[str]) -> None:
    for call in blocks_of(message["content"], "tool_use"):
        _, found, mark = str(call.get("id", "")).rpartition(_MARK)
        is_marked = str(call.get("id", "")).startswith("toolu_sandbox_") and found and len(mark) == _MARK_LENGTH
        if is_marked and found + mark not in sent:
            raise refuse(f"messages.{number}.content: the `thinking` block before `tool_use` is missing")


def _mark(signature: str) -> str:
    return _MARK + hashlib.sha256(signature.encode()).hexdigest()[:_MARK_LENGTH]


def _signature(body: JsonObject, before: list[JsonObject], text: str) -> str:
    """Signs the model, the conversation before the block, and the block itself."""
    asked = body.get("thinking") or {}
    # With `between_tools` the effort must not change within a conversation.
    effort = (body.get("output_config") or {}).get("effort") if asked.get("type") == "between_tools" else None
    signed = json.dumps([body["model"], effort, _unmarked(before), text], ensure_ascii=False, sort_keys=True)
    digest = hmac.new(_SECRET, signed.encode(errors="replace"), hashlib.sha256).digest()
    return base64.b64encode(digest * 4).decode()


def _unmarked(messages: list[JsonObject]) -> list[JsonObject]:
    """Returns the messages without their cache marks, which may differ from request to request."""

    def plain(block: object) -> object:
        return {k: v for k, v in block.items() if k != "cache_control"} if isinstance(block, dict) else block

    def content(value: object) -> object:
        if isinstance(value, str):
            return [{"type": "text", "text": value}]
        return [plain(block) for block in value] if isinstance(value, list) else value

    return [{"role": message["role"], "content": content(message["content"])} for message in messages]

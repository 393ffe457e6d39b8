"""The author: a deterministic stand-in for the model, which looks before it writes."""

import re
from typing import Any

from worker.sandbox.faults import Picks
from worker.sandbox.project import files_read, files_seen
from worker.sandbox.prose import LONG_CHARS, compose, nasty_answer
from worker.sandbox.task import Task
from worker.sandbox.wire import JsonObject, Text, ToolCall, Turn

_REGEX_CHARACTERS = re.compile(r"[\\.+*?()|\[\]{}^$]")
# Not `**`: in a big project that is a long walk through everything that was ever installed.
_NEARBY = ("*.*", "*/*.*")
_READS_AT_ONCE = 2
_REFUSAL = "I can't help with this request."
_NOT_JSON = "Of course! Here is what I would do: 1. Look at the page. 2. Make it better — “quickly”."
_INCOMPLETE = '{"context":null,"suggestions":[{"title":"Half an idea","rationale":"Why not?"}]}'
_CUT_AT, _CHARS_A_TOKEN = 0.6, 4


def next_look(task: Task, body: JsonObject) -> Turn | None:
    """The tools the model uses before it goes on, or nothing when it is time to write."""
    if (body.get("tool_choice") or {}).get("type") == "none":
        return None
    tools: list[JsonObject] = body.get("tools") or []
    offered = {tool["name"]: tool["input_schema"] for tool in tools if "input_schema" in tool}
    used = [look.tool for look in task.looks]
    if "Glob" in offered and "Glob" not in used:
        # Text before a tool call, as real models do: it is not part of the answer.
        opening = Text("I'll look at how the project is laid out.")
        return _looking(opening, *(_call(offered, "Glob", "pattern", each) for each in _file_patterns(task)))
    if "Grep" in offered and "Grep" not in used:
        return _looking(_call(offered, "Grep", "pattern", _text_pattern(task)))
    seen = files_seen(task)
    if not seen and task.keyword and used.count("Glob") == 1 and "Glob" in offered:
        return _looking(*(_call(offered, "Glob", "pattern", each) for each in _NEARBY))
    if seen and "Read" in offered and "Read" not in used:
        return _looking(*(_call(offered, "Read", "file_path", path) for path in seen[:_READS_AT_ONCE]))
    return None


def answer(task: Task, picks: Picks, max_tokens: int, answer_chars: int | None) -> Turn:
    """The answering turn: suggestions as JSON, or whatever the request's words make of it."""
    text_fault = picks["text"].word if "text" in picks else None
    if text_fault == "unicode":
        return Turn((Text(nasty_answer(task)),), mixed_escapes=True)
    wanted = LONG_CHARS if text_fault == "long" else answer_chars
    text = compose(task, files_read(task.looks), files_seen(task), wanted)
    ending = picks["ending"].word if "ending" in picks else None
    if ending:
        return _spoiled(text, ending)
    if len(text) > max_tokens * _CHARS_A_TOKEN:
        return Turn((Text(text[: max_tokens * _CHARS_A_TOKEN]),), "max_tokens")
    return Turn((Text(text),))


def _spoiled(text: str, ending: str) -> Turn:
    match ending:
        case "refusal":
            details = {"type": "refusal", "category": None, "explanation": "Refused, as asked."}
            return Turn((Text(_REFUSAL),), "refusal", details)
        case "cut off":
            return Turn((Text(text[: int(len(text) * _CUT_AT)]),), "max_tokens")
        case "context window":
            return Turn((Text(text[: int(len(text) * _CUT_AT)]),), "model_context_window_exceeded")
        case "bad json":
            return Turn((Text(_NOT_JSON),))
        case _:
            return Turn((Text(_INCOMPLETE),))


def _looking(*blocks: Text | ToolCall) -> Turn:
    return Turn(blocks, "tool_use")


def _call(offered: dict[str, JsonObject], tool: str, usual_name: str, value: str) -> ToolCall:
    return ToolCall(tool, {_property(offered[tool], usual_name): value})


def _property(schema: dict[str, Any], usual_name: str) -> str:
    """The name this tool gives to its argument; its schema has the last word."""
    properties = schema.get("properties") or {}
    if usual_name in properties or not properties:
        return usual_name
    return str(next(iter(schema.get("required") or properties)))


def _file_patterns(task: Task) -> tuple[str, ...]:
    if not task.keyword:
        return _NEARBY
    first, rest = task.keyword[0], task.keyword[1:].lower()
    either_case = f"[{first.upper()}{first.lower()}]" if first.upper() != first.lower() else first
    return (f"**/*{either_case}{rest}*",)


def _text_pattern(task: Task) -> str:
    wanted = task.keyword.lower() if task.keyword else task.page[:40]
    return "(?i)" + _REGEX_CHARACTERS.sub(r"\\\g<0>", wanted)

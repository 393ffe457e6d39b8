"""Decides what the stand-in for the model does in each turn, deterministically: tools first, then the answer."""

import re
from itertools import islice
from typing import Any

from worker.sandbox.faults import Picks, Scenario
from worker.sandbox.files import add_files, wants_files
from worker.sandbox.habits import fenced
from worker.sandbox.needs import needed_calls
from worker.sandbox.project import files_read, files_seen
from worker.sandbox.prose import LONG_CHARS, compose, nasty_answer
from worker.sandbox.task import Task
from worker.sandbox.wire import JsonObject, Text, ToolCall, Turn

_REGEX_CHARACTERS = re.compile(r"[\\.+*?()|\[\]{}^$]")
# `**` is not used: in a large project that would list all installed packages.
_NEARBY = ("*.*", "*/*.*")
_READS_AT_ONCE = 2
_UPDATES = (
    "I'll look at how the project is laid out.",
    "Now I search the code for the page's name.",
    "These files look relevant, so I read them.",
    "One more look before I write.",
)
_REFUSAL = "I can't help with this request."
_NOT_JSON = "Of course! Here is what I would do: 1. Look at the page. 2. Make it better — “quickly”."
_INCOMPLETE = '{"context":null,"suggestions":[{"title":"Half an idea","rationale":"Why not?"}]}'
_MALFORMED = '{"pattern": "**/*.tsx", "path": '
_UNKNOWN_TOOL = "Browse"
_CUT_IN, _CUT_AFTER_THREE_IN, _CUT_SHARE = 2, 4, 0.5  # the number of the suggestion, and the share of it
_CHARS_A_TOKEN = 4


def update(number: int) -> str:
    """Returns the text that the model writes before the tool calls of turn `number`."""
    return _UPDATES[min(number, len(_UPDATES)) - 1]


def next_look(task: Task, body: JsonObject, scenario: Scenario) -> Turn | None:
    """Returns the tool calls of the model's next turn, or None when it is time to answer."""
    if (body.get("tool_choice") or {}).get("type") == "none":
        return None
    tools: list[JsonObject] = body.get("tools") or []
    offered = {tool["name"]: tool["input_schema"] for tool in tools if "input_schema" in tool}
    if not offered or (task.is_asked_to_answer and not scenario.never_listens):
        return None
    if scenario.looks_by_need:
        calls = needed_calls(task, body, offered, _text_pattern(task))
        return _looking(*calls) if calls else None
    if scenario.never_stops or scenario.tool_turns is not None:
        is_over = not scenario.never_stops and task.turn > (scenario.tool_turns or 0)
        return None if is_over else _scripted_look(task, offered, scenario.calls_a_turn)
    usual = _usual_look(task, offered)
    if usual and scenario.calls_a_turn > 1:
        return _scripted_look(task, offered, scenario.calls_a_turn)
    return usual


def _usual_look(task: Task, offered: dict[str, JsonObject]) -> Turn | None:
    used = [look.tool for look in task.looks]
    if "Glob" in offered and "Glob" not in used:
        return _looking(*(_call(offered, "Glob", each) for each in _file_patterns(task)))
    if "Grep" in offered and "Grep" not in used:
        return _looking(_call(offered, "Grep", _text_pattern(task)))
    seen = files_seen(task)
    if not seen and task.keyword and used.count("Glob") == 1 and "Glob" in offered:
        return _looking(*(_call(offered, "Glob", each) for each in _NEARBY))
    if seen and "Read" in offered and "Read" not in used:
        return _looking(*(_call(offered, "Read", path) for path in seen[:_READS_AT_ONCE]))
    return None


def _scripted_look(task: Task, offered: dict[str, JsonObject], calls: int) -> Turn | None:
    """Returns the next `calls` calls of the endless sequence, from where the conversation stands."""
    done = len(task.looks)
    return _looking(*islice(_endless_looks(task, offered), done, done + calls))


def _endless_looks(task: Task, offered: dict[str, JsonObject]) -> Any:
    """Yields the usual calls, then every file that was seen, over and over; without any file, ever new searches."""
    if "Glob" in offered:
        yield _call(offered, "Glob", _file_patterns(task)[0])
    if "Grep" in offered:
        yield _call(offered, "Grep", _text_pattern(task))
    seen = sorted(files_seen(task)) if "Read" in offered else []
    number = 0
    while True:
        if seen:
            yield _call(offered, "Read", seen[number % len(seen)])
        elif "Grep" in offered:
            yield _call(offered, "Grep", f"{_text_pattern(task)}.{{{number % 50}}}")
        elif "Glob" in offered:
            yield _call(offered, "Glob", "*/" * (number % 5) + "*.*")
        else:
            yield _call(offered, next(iter(offered)), f"README-{number}.md")
        number += 1


def answer(task: Task, body: JsonObject, picks: Picks, scenario: Scenario, answer_chars: int | None) -> Turn:
    """Returns the turn with the answer: suggestions as JSON, changed by the words in the request."""
    text_fault = picks["text"].word if "text" in picks else None
    ending = picks["ending"].word if "ending" in picks else None
    stops_after_three = "cut after three" in (ending or "") or _stalls_after_three(picks)
    if text_fault == "unicode":
        text = nasty_answer(task)
    else:
        wanted = LONG_CHARS if text_fault == "long" else answer_chars
        text = compose(task, files_read(task.looks), files_seen(task), wanted, has_all_ideas=stops_after_three)
    if wants_files(body):
        text = add_files(text, task, is_lying="files" in picks, is_half_escaped=text_fault == "unicode")
    if ending:
        return _spoiled(text, ending)
    if len(text) > body["max_tokens"] * _CHARS_A_TOKEN:
        return Turn((Text(text[: body["max_tokens"] * _CHARS_A_TOKEN]),), "max_tokens")
    text = fenced(text) if "fenced answer" in scenario.habits else text
    return Turn((Text(text),), mixed_escapes=text_fault == "unicode")


def spoil_call(turn: Turn, fault: str) -> Turn:
    """Returns the turn with its first tool call malformed."""
    blocks = list(turn.blocks)
    at = next((number for number, block in enumerate(blocks) if isinstance(block, ToolCall)), None)
    if at is None:
        return turn
    call = blocks[at]
    assert isinstance(call, ToolCall)
    is_malformed = fault == "malformed call"
    blocks[at] = ToolCall(call.name, call.input, spoiled=_MALFORMED) if is_malformed else ToolCall(_UNKNOWN_TOOL, {})
    return Turn(tuple(blocks), turn.stop_reason)


def share_before(turn: Turn, suggestion: int) -> float:
    """Returns the share of the turn's text that comes before the middle of this suggestion."""
    text = next((block.text for block in turn.blocks if isinstance(block, Text)), "")
    return _cut(text, suggestion) / max(1, len(text))


def _stalls_after_three(picks: Picks) -> bool:
    return "stream" in picks and picks["stream"].word == "stall after three"


def _spoiled(text: str, ending: str) -> Turn:
    match ending:
        case "refusal":
            details = {"type": "refusal", "category": None, "explanation": "Refused, as asked."}
            return Turn((Text(_REFUSAL),), "refusal", details)
        case "cut after three":
            return Turn((Text(text[: _cut(text, _CUT_AFTER_THREE_IN)]),), "max_tokens")
        case "cut off":
            return Turn((Text(text[: _cut(text, _CUT_IN)]),), "max_tokens")
        case "context window":
            return Turn((Text(text[: _cut(text, _CUT_IN)]),), "model_context_window_exceeded")
        case "empty answer":
            return Turn(())
        case "bad json":
            return Turn((Text(_NOT_JSON),))
        case _:
            return Turn((Text(_INCOMPLETE),))


def _cut(text: str, suggestion: int) -> int:
    """Returns the position of the middle of this suggestion: half-way between its title and the next one."""
    starts = [found.start() for found in re.finditer(r'\{"title":', text)] + [len(text)]
    if suggestion >= len(starts):
        return int(len(text) * _CUT_SHARE)
    return int(starts[suggestion - 1] + (starts[suggestion] - starts[suggestion - 1]) * _CUT_SHARE)


def _looking(*calls: ToolCall) -> Turn:
    return Turn(calls, "tool_use")


_USUAL_NAMES = {"Glob": "pattern", "Grep": "pattern", "Read": "file_path"}


def _call(offered: dict[str, JsonObject], tool: str, value: str) -> ToolCall:
    return ToolCall(tool, {_property(offered[tool], _USUAL_NAMES.get(tool, "path")): value})


def _property(schema: dict[str, Any], usual_name: str) -> str:
    """Returns the name of this tool's argument, by its schema."""
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

"""Writes the answer: one JSON object with a reading of the page and three to five suggestions."""

import hashlib
import json
from itertools import count

from worker.sandbox.ideas import IDEAS, NASTY, Idea
from worker.sandbox.project import File, is_named, short_path
from worker.sandbox.task import Task
from worker.sandbox.wire import JsonObject

LONG_CHARS = 30_000
_USUAL_CHARS, _SPREAD_CHARS = 2_050, 350  # takes some 10 to 12 seconds with 10 characters every 50 ms
_FEWEST, _MOST = 3, 5
_KINDS = {
    "enhancement": "enhancement",
    "new-capability": "new capability",
    "optimization": "optimization",
    "ui-improvement": "UI improvement",
    "integration": "integration",
}
_PACE = {
    "low": "Low priority suits it: it can ride along with other work on {page}.",
    "medium": "At medium priority it fits an ordinary sprint — plan it, then ship it behind a flag.",
    "high": "The high priority is earned: it can be in front of users within two weeks.",
    "critical": "As critical work it should go first, alone, and with a way back out.",
}
_REMARKS = (
    "It asks nothing new of the people who already know {page}.",
    "A first version fits in one pull request → the rest can follow what users do with it.",
    "Whoever knows {place} can judge the effort in an afternoon.",
    "Success is easy to see: fewer people leave {page} half-way.",
    "Say “no” to options at first; one good default teaches more.",
    "It stays useful even if nothing else on this list is built.",
)
_EXTRA_POINTS = (
    "Write down what {page} does today before changing it, so that a surprise is a decision",
    "Try it with a keyboard alone, and with a screen reader, before it ships",
    "Keep the change to {place} small enough to read in one sitting",
    "Watch the error rate for a week → keep, mend or remove",
    "Agree on the words with whoever answers support questions about {page}",
)


def compose(
    task: Task,
    read: list[File],
    seen: list[str],
    wanted_chars: int | None = None,
    *,
    has_all_ideas: bool = False,
) -> str:
    """Returns the answer's JSON: always the same for the same request, and different for different requests."""
    seed = int(task.digest[:8], 16)
    paths = [short_path(path) for path in [file.path for file in read] + seen[:3]]
    places = [f"`{path}`" for path in dict.fromkeys(paths)] or ["its code"]
    ideas = sorted(IDEAS.get(task.feature_type, IDEAS["enhancement"]), key=lambda idea: _shuffle(task, idea.title))
    chosen = ideas[: _MOST if has_all_ideas else _FEWEST + seed % (_MOST - _FEWEST + 1)]
    suggestions = [_suggestion(task, idea, places[n % len(places)]) for n, idea in enumerate(chosen)]
    reply: JsonObject = {"context": _reading(task, read, places if seen else []), "suggestions": suggestions}
    if task.wishes:
        suggestions[0]["rationale"] += f" It keeps to what you asked for: “{_clip(task.wishes, 90)}”."
    suggestions[-1]["rationale"] += " " + _PACE.get(task.priority, _PACE["medium"]).format(page=_page(task))
    _fill_out(reply, task, chosen, places, _USUAL_CHARS + seed % _SPREAD_CHARS)
    if wanted_chars:
        _fit(reply, task, places, wanted_chars)
    return _dump(reply)


def nasty_answer(task: Task) -> str:
    """Returns an answer of characters that clients get wrong, half of them written as \\u escapes."""
    raw = _dump({"context": f"Sandbox: {task.page} {NASTY[0]}", "suggestions": [_nasty(1), _nasty(2)]})
    escaped = json.dumps([_nasty(3), _nasty(4)])  # characters beyond the BMP become surrogate pairs
    return raw[:-2] + "," + escaped[1:] + "}"


def _suggestion(task: Task, idea: Idea, place: str) -> JsonObject:
    words = {"page": _page(task), "place": place, "kind": _KINDS.get(task.feature_type, task.feature_type)}
    return {
        "title": idea.title.format(**words),
        "rationale": idea.why.format(**words),
        "description": idea.what.format(**words),
        "implementationConsiderations": [point.format(**words) for point in idea.points[:2]],
    }


def _reading(task: Task, read: list[File], places: list[str]) -> str:
    aim = f"{task.priority}-priority {_KINDS.get(task.feature_type, task.feature_type)}"
    files = " and ".join([file.describe() for file in read] or places[:3])
    if files and is_named(task):
        found = f"It is in {files}: this {aim} would start there."
    elif files:
        found = f"Nothing in the project goes by that name; for this {aim} a look at {files} had to do."
    else:
        found = f"No file of the project was seen, so this {aim} starts from the request alone."
    return f"Sandbox: a made-up reading of “{task.page}”, no model was asked. {found}"


def _fill_out(reply: JsonObject, task: Task, chosen: list[Idea], places: list[str], target: int) -> None:
    """Adds further sentences of the templates to the suggestions in turn, until the answer is long enough."""
    remarks = sorted(_REMARKS, key=lambda remark: _shuffle(task, remark))
    for step in range(3):
        for n, (suggestion, idea) in enumerate(zip(reply["suggestions"], chosen, strict=True)):
            words = {"page": _page(task), "place": places[n % len(places)], "kind": task.feature_type}
            if len(_dump(reply)) >= target:
                return
            if step == 1:
                suggestion["description"] += " " + remarks[n].format(**words)
            else:
                suggestion["implementationConsiderations"].append(idea.points[2 + step // 2].format(**words))


def _fit(reply: JsonObject, task: Task, places: list[str], wanted: int) -> None:
    """Lengthens or shortens the answer to about this many characters, keeping it valid."""
    suggestions = reply["suggestions"]
    if len(_dump(reply)) > wanted:
        del suggestions[_FEWEST:]
    for field in ("implementationConsiderations", "description", "rationale"):
        for suggestion in suggestions:
            excess = len(_dump(reply)) - wanted
            if excess > 0 and field == "implementationConsiderations":
                del suggestion[field][1:]
            elif excess > 0:
                suggestion[field] = _clip(suggestion[field], max(20, len(suggestion[field]) - excess))
    missing = wanted - len(_dump(reply))
    for number in count():
        suggestion = suggestions[number % len(suggestions)]
        words = {"page": _page(task), "place": places[number % len(places)]}
        point = f"{_EXTRA_POINTS[number % len(_EXTRA_POINTS)].format(**words)} ({number + 1})"
        point = point[: max(0, missing - 4)]  # two quotes and a separator are added to it
        if not point:
            return
        suggestion["implementationConsiderations"].append(point)
        missing -= len(_dump(point)) + 2


def _nasty(number: int) -> JsonObject:
    return {
        "title": f"{number}. {NASTY[number % len(NASTY)]}",
        "rationale": NASTY[(number + 1) % len(NASTY)],
        "description": " ".join(NASTY),
        "implementationConsiderations": [NASTY[(number + n) % len(NASTY)] for n in range(2, 5)],
    }


def _page(task: Task) -> str:
    return _clip(task.page, 32)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _shuffle(task: Task, key: str) -> bytes:
    return hashlib.sha256(f"{task.digest}{key}".encode()).digest()


def _dump(reply: object) -> str:
    return json.dumps(reply, ensure_ascii=False)

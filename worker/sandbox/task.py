"""Reads the task from a request: the `<request>` block of the conversation, and the results of its tool calls since."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property

from worker.sandbox.checks import blocks_of, check_unicode, refuse, text_of
from worker.sandbox.faults import without_words
from worker.sandbox.wire import JsonObject

_BLOCK = re.compile(r"<request>\s*(.*?)\s*</request>", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]{2,}")
# Words that occur in the names of all pages are useless for a search.
_EVERYDAY = re.compile(
    r"pages?|component|screen|view|form|panel|tab|section|modal|dialog|widget|feature|part|area|"
    r"the|and|for|with|from|our|new|all|main|of|in|on|to|my|your|an|at|by|or",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Look:
    """Holds one tool call of an earlier turn and its result."""

    tool: str
    input: JsonObject
    result: str
    is_error: bool


@dataclass(frozen=True)
class Task:
    """Holds one request for suggestions."""

    text: str  # the text of the block: requests are the same if their blocks are
    page: str
    feature_type: str
    priority: str
    wishes: str
    looks: tuple[Look, ...]
    turn: int  # the number of the response that is requested, from 1 on
    is_asked_to_answer: bool  # whether a text follows the results of the last tools

    @cached_property
    def digest(self) -> str:
        """Returns a number that is the same for the same request, whenever it is made."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def keyword(self) -> str | None:
        """Returns the word of the page's name for which to search the project."""
        words = _WORD.findall(_CAMEL.sub(" ", without_words(self.page)))
        telling = [word for word in words if not _EVERYDAY.fullmatch(word) and (len(word) > 2 or not word.isascii())]
        return max(telling, key=len, default=None)


def read_task(body: JsonObject) -> Task:
    """Finds the request in the conversation. Without one, the user's last text is the name of the page."""
    messages = body["messages"]
    asked = [number for number, message in enumerate(messages) if message["role"] == "user"]
    for number in reversed(asked):
        found = _BLOCK.findall(text_of(messages[number]["content"]))
        if found:
            return _task(found[-1], _parse(found[-1]), messages[number + 1 :])
    said = text_of(messages[asked[-1]]["content"]).strip()[:200]
    return _task(said, {"pageOrComponent": said or "this page"}, [])


def _parse(block: str) -> JsonObject:
    try:
        asked = json.loads(block)
    except ValueError as error:
        raise refuse(f"messages: the <request> block is not JSON: {error}") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("pageOrComponent"), str):
        raise refuse("messages: the <request> block has no pageOrComponent")
    check_unicode(asked)
    return asked


def _task(text: str, asked: JsonObject, since: list[JsonObject]) -> Task:
    return Task(
        text=text,
        page=asked["pageOrComponent"].strip() or "this page",
        feature_type=str(asked.get("featureType") or "enhancement"),
        priority=str(asked.get("priorityLevel") or "medium"),
        wishes=" ".join(str(asked.get("additionalContext") or "").split()),
        looks=tuple(_looks(since)),
        turn=1 + sum(message["role"] == "assistant" for message in since),
        is_asked_to_answer=bool(since) and bool(blocks_of(since[-1]["content"], "text")),
    )


def _looks(messages: list[JsonObject]) -> list[Look]:
    results = {
        block["tool_use_id"]: block for message in messages for block in blocks_of(message["content"], "tool_result")
    }
    calls = [block for message in messages for block in blocks_of(message["content"], "tool_use")]
    return [
        Look(
            tool=str(call["name"]),
            input=call.get("input") or {},
            result=text_of(results[call["id"]].get("content")),
            is_error=bool(results[call["id"]].get("is_error")),
        )
        for call in calls
        if call.get("id") in results
    ]

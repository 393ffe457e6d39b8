"""Turns the model's growing JSON into text for people, and into suggestions as each becomes complete."""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from shared.contract.schemas import Suggestion

_STRUCTURE = re.compile(r'["\\{}\[\]]')
_SUGGESTION_DEPTH = 2
"""Nesting depth of a suggestion: inside the answer's object and its list."""
_RESUMED = '{"suggestions":[null'
"""Replaces the settled part of an answer in front of the rest; the null replaces its last suggestion."""


class PartialAnswer:
    """Takes the answer in pieces, cut anywhere; `text` only ever grows at its end.

    With each piece, only the JSON after the last complete suggestion is parsed again, so that the cost does not grow
    with the length of the answer.
    """

    def __init__(self) -> None:
        self._settled = ""
        self._shown = ""
        """The text that the unsettled part of the answer, `_rest`, gave last."""
        self._rest = ""
        self._first_number = 1
        """The number, from 1 on, of the first item in the list of suggestions in `_rest`."""
        self._closed_at = 0
        """Where in the rest an item of a list was closed last; 0 where none was."""
        self.context: str | None = None
        """The answer's `context`, known once a suggestion is complete, since it comes before them."""
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def write(self, piece: str) -> None:
        """Takes the next piece of the answer."""
        begin = len(self._rest)
        self._rest += piece
        self._scan(begin)

    def text(self) -> str:
        """Returns all that can be shown so far."""
        self._show(_parsed(self._rest))
        return self._settled + self._shown

    def take_suggestions(self) -> list[tuple[int, Suggestion]]:
        """Returns the suggestions that have become complete since the last call, with their indexes."""
        if not self._closed_at:
            return []
        whole, rest = self._rest[: self._closed_at], self._rest[self._closed_at :]
        self._closed_at = 0
        answer = _parsed(whole)
        items = answer.get("suggestions") if isinstance(answer, dict) else None
        # The last key says which list the item is in; only an item of `suggestions` counts.
        if not isinstance(items, list) or list(answer)[-1] != "suggestions":
            return []
        self._show(answer)
        context = answer.get("context")
        self.context = context if isinstance(context, str) else self.context
        self._settled, self._shown = self._settled + self._shown, ""
        first, self._first_number = self._first_number, self._first_number + len(items) - 1
        self._rest = _RESUMED + rest
        return [(i, suggestion) for i, item in enumerate(items, first - 1) if (suggestion := _suggestion(item))]

    def _show(self, answer: Any) -> None:
        rendered = render(answer, self._first_number)
        if rendered and self._settled:
            rendered = "\n\n" + rendered
        if rendered.startswith(self._shown):
            self._shown = rendered

    def _scan(self, begin: int) -> None:
        """Records where an item of a list is closed. It looks at each character once."""
        text, position = self._rest, begin
        if self._is_escaped and position < len(text):
            self._is_escaped, position = False, position + 1
        while match := _STRUCTURE.search(text, position):
            position = match.end()
            mark = match.group()
            if self._is_in_string:
                if mark == "\\":
                    self._is_escaped = position == len(text)
                    position += 1
                elif mark == '"':
                    self._is_in_string = False
            elif mark == '"':
                self._is_in_string = True
            elif mark in "{[":
                self._depth += 1
            elif mark in "}]":
                self._depth -= 1
                if mark == "}" and self._depth == _SUGGESTION_DEPTH:
                    self._closed_at = position


def _parsed(raw: str) -> Any:
    try:
        return from_json(raw, allow_partial="trailing-strings")
    except (ValueError, TypeError):  # a TypeError for half a surrogate pair, which no UTF-8 can hold
        return None


def _suggestion(item: Any) -> Suggestion | None:
    """Returns the suggestion; None if it breaks the schema, which the check of the whole answer reports."""
    try:
        return Suggestion.model_validate(item)
    except ValidationError:
        return None


def render(answer: Any, first_number: int = 1) -> str:
    """Renders an answer, whole or not, as text. A longer part of the answer gives a text that begins with this one.

    So nothing is written after a piece that may still grow, and the fields come in the order the model wrote them.
    """
    if not isinstance(answer, dict):
        return ""
    pieces: list[str] = []
    for key, value in answer.items():
        if key == "context" and isinstance(value, str) and value:
            pieces.append(value)
        elif key == "suggestions" and isinstance(value, list):
            pieces += [f"{i}. {body}" for i, item in enumerate(value, first_number) if (body := _body(item))]
    return "\n\n".join(pieces)


def _body(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    text = ""
    for key, value in item.items():
        if key == "title" and isinstance(value, str) and value:
            text += ("\n" if text else "") + value
        elif key == "rationale" and isinstance(value, str) and value:
            text += ("\n" if text else "") + f"Why: {value}"
        elif key == "description" and isinstance(value, str) and value:
            text += ("\n\n" if text else "") + value
        elif key == "implementationConsiderations" and isinstance(value, list):
            lines = [line for line in value if isinstance(line, str) and line]
            text += "".join(
                ("\n\n" if i == 0 and text else "\n" if i else "") + f"- {line}" for i, line in enumerate(lines)
            )
    return text

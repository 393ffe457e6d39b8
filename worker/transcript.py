"""From the model's growing JSON to text for people, and to suggestions as each becomes whole."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from shared.schemas import Suggestion

_STRUCTURE = re.compile(r'["\\{}\[\]]')
_SUGGESTION_DEPTH = 2
"""Inside the answer's object and its list."""


class Transcript:
    """Takes the answer in pieces, cut anywhere.

    `text` only ever grows at its end. It is read anew from the whole answer, so ask for it as often as somebody is to
    be told, not for every piece: the answer's length is bounded by the model's.
    """

    def __init__(self) -> None:
        self._raw: list[str] = []
        self._text = ""
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False
        self._has_closed = False
        self._taken = 0

    @property
    def raw(self) -> str:
        return "".join(self._raw)

    def write(self, piece: str) -> None:
        self._raw.append(piece)
        self._scan(piece)

    def text(self) -> str:
        """All that can be shown so far."""
        rendered = render(self._parsed())
        if rendered.startswith(self._text):
            self._text = rendered
        return self._text

    def take_suggestions(self) -> Iterator[tuple[int, Suggestion]]:
        """The suggestions that have become whole since the last call, with their indexes."""
        if not self._has_closed:
            return
        self._has_closed = False
        answer = self._parsed()
        suggestions = answer.get("suggestions") if isinstance(answer, dict) else None
        if not isinstance(suggestions, list):
            return
        # Deeper than the list, its last item may still be growing.
        whole = len(suggestions) - (self._depth > _SUGGESTION_DEPTH)
        for index in range(self._taken, whole):
            self._taken = index + 1
            try:
                yield index, Suggestion.model_validate(suggestions[index])
            except ValidationError:
                return  # the whole answer will be found wanting, and says so once

    def _parsed(self) -> Any:
        try:
            return from_json(self.raw, allow_partial="trailing-strings")
        except ValueError:
            return None

    def _scan(self, piece: str) -> None:
        """Notes when an item of a list is closed, each character looked at once."""
        position = 0
        if self._is_escaped and piece:
            self._is_escaped, position = False, 1
        while match := _STRUCTURE.search(piece, position):
            position = match.end()
            mark = match.group()
            if self._is_in_string:
                if mark == "\\":
                    self._is_escaped = position == len(piece)
                    position += 1
                elif mark == '"':
                    self._is_in_string = False
            elif mark == '"':
                self._is_in_string = True
            elif mark in "{[":
                self._depth += 1
            elif mark in "}]":
                self._depth -= 1
                self._has_closed |= mark == "}" and self._depth == _SUGGESTION_DEPTH


def render(answer: Any) -> str:
    """An answer, whole or not, as text. A longer part of the same answer gives a text with this one as its start.

    So nothing is written after a piece that may still grow, and the fields come in the order the model wrote them.
    """
    if not isinstance(answer, dict):
        return ""
    pieces: list[str] = []
    for key, value in answer.items():
        if key == "context" and isinstance(value, str) and value:
            pieces.append(value)
        elif key == "suggestions" and isinstance(value, list):
            pieces += [f"{i}. {body}" for i, item in enumerate(value, 1) if (body := _suggestion(item))]
    return "\n\n".join(pieces)


def _suggestion(item: Any) -> str:
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

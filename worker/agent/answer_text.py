"""Finds the answer's JSON object in what the model writes, which may stand in a Markdown fence or after a sentence."""

import re

_STRUCTURE = re.compile(r'["\\{}]')
_FENCED_OBJECT = re.compile(r"```[a-zA-Z]*\s*\{")
_FENCE_END = re.compile(r"```[a-zA-Z]*\s*$")
_LONGEST_PREFACE = 4_000
"""Characters before a fence; a text that goes on for longer is no answer."""


class AnswerText:
    """Takes a block of text in pieces, cut anywhere, and returns what of each belongs to the answer's object."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._preface = ""
        self._is_found = False
        self._is_over = False
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    @property
    def is_found(self) -> bool:
        """Returns whether the beginning of the object has been found."""
        return self._is_found

    def take(self, piece: str) -> str:
        """Returns the part of the piece that belongs to the answer."""
        if self._is_over:
            return ""
        if not self._is_found:
            piece = self._search(piece)
            if not piece:
                return ""
        kept = self._until_end(piece)
        self._pieces.append(kept)
        return kept

    def finish(self) -> str:
        """Returns all that was found of the object."""
        return "".join(self._pieces)

    def _search(self, piece: str) -> str:
        """Returns the text from the object's opening brace on; nothing where the brace has not come yet."""
        self._preface += piece
        text = self._preface.lstrip()
        begin = 0 if text.startswith("{") else -1
        if begin < 0 and "`" in text and (found := _FENCED_OBJECT.search(text)):
            begin = found.end() - 1
        if begin >= 0:
            self._is_found, self._preface = True, ""
            return text[begin:]
        self._is_over = len(self._preface) > _LONGEST_PREFACE and not _FENCE_END.search(self._preface)
        return ""

    def _until_end(self, piece: str) -> str:
        """Returns the piece up to the brace that closes the object, each character looked at once."""
        position = 0
        if self._is_escaped and piece:
            self._is_escaped, position = False, 1
        while match := _STRUCTURE.search(piece, position):
            position = match.end()
            mark = match.group()
            if mark == "\\":
                if self._is_in_string:
                    self._is_escaped = position == len(piece)
                    position += 1
            elif mark == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string:
                self._depth += 1 if mark == "{" else -1
                if self._depth == 0:
                    self._is_over = True
                    return piece[:position]
        return piece

"""Publishes what the model says it is doing as `note` events: whole sentences where possible, at most one each 2 s."""

import asyncio
import re
from collections.abc import Callable

from shared.contract.events import Note

INTERVAL_SECONDS = 2.0
MAX_CHARACTERS = 500
"""The contract states these two values."""
_SENTENCE_END = re.compile(r"[.!?:](?=\s)|[。！？]|\n")  # noqa: RUF001
_BLANKS = re.compile(r"\s+")


class NoteWriter:
    """Takes the model's words in pieces, cut anywhere, and gives `publish` a note at most every two seconds.

    A note holds what was said since the last note, up to its last sentence; if no sentence has ended in that time, up
    to the last word. It runs on the event loop.
    """

    def __init__(self, publish: Callable[[Note], object], now_ms: Callable[[], int]) -> None:
        self._publish = publish
        self._now_ms = now_ms
        self._pending = ""
        self._is_ended = False
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def say(self, piece: str, *, is_end: bool = False) -> None:
        """Takes more of the model's words; `is_end` says that a sentence ends here in any case."""
        if self._is_ended and self._pending and piece:
            self._pending += " "  # two blocks of text have no space between them
        self._pending += piece
        self._is_ended = is_end
        if not self._pending.strip():
            return
        loop = asyncio.get_running_loop()
        if self._next_at <= loop.time() and self._sentences():
            self._publish_note()
        elif self._timer is None:
            # The first sentence has as much time to be completed as later ones.
            due = self._next_at if self._sentences() else max(self._next_at, loop.time() + INTERVAL_SECONDS)
            self._timer = loop.call_at(due, self._publish_note)

    def stop(self) -> None:
        """Discards what has not been published: the answer begins, or the attempt is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._pending, self._is_ended = None, "", False

    def _publish_note(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text = self._sentences() or self._words()
        self._pending = self._pending[len(text) :]
        if shown := _shortened(text, is_cut=bool(self._pending.strip()) and not _ends_sentence(text)):
            self._next_at = asyncio.get_running_loop().time() + INTERVAL_SECONDS
            self._publish(Note(text=shown, timestamp=self._now_ms()))
        if self._pending.strip():
            self.say("", is_end=self._is_ended)

    def _sentences(self) -> str:
        """Returns what is pending, up to the end of its last sentence."""
        if self._is_ended:
            return self._pending
        ends = [match.end() for match in _SENTENCE_END.finditer(self._pending)]
        return self._pending[: ends[-1]] if ends and self._pending[: ends[-1]].strip() else ""

    def _words(self) -> str:
        return self._pending[: self._pending.rstrip().rfind(" ") + 1] or self._pending


def _ends_sentence(text: str) -> bool:
    return text.rstrip()[-1:] in tuple(".!?:。！？")  # noqa: RUF001


def _shortened(text: str, *, is_cut: bool) -> str:
    """Returns the text on one line, its end where it is too long, with dots where something is missing."""
    text = _BLANKS.sub(" ", text).strip()
    if is_cut and text:
        text += "…"
    if len(text) <= MAX_CHARACTERS:
        return text
    rest = text[-(MAX_CHARACTERS - 1) :]
    return "…" + rest[rest.find(" ") + 1 :]

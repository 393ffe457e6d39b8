"""Tests that the model's notes are published in time, in whole sentences if possible, and not too often."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.events import Note
from worker.publishing.notes import INTERVAL_SECONDS, MAX_CHARACTERS, NoteWriter

Play = Callable[["Stage"], Awaitable[None]]


class ClockedLoop(asyncio.SelectorEventLoop):
    """Represents an event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 1_000.0

    def time(self) -> float:
        return self._at

    def _run_once(self) -> None:
        inner = cast(Any, self)
        if not inner._ready and inner._scheduled:
            self._at = max(self._at, inner._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


class Stage:
    """Provides a note writer, and records what it published and when."""

    def __init__(self) -> None:
        self.published: list[tuple[float, str]] = []
        self._began = asyncio.get_running_loop().time()
        self.notes = NoteWriter(self._note, lambda: 7)

    def _note(self, note: Note) -> None:
        self.published.append((self.now, note.text))

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.published]


def play(act: Play) -> list[tuple[float, str]]:
    loop = ClockedLoop()

    async def run() -> list[tuple[float, str]]:
        stage = Stage()
        await act(stage)
        return stage.published

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def test_the_first_sentence_is_published_at_once() -> None:
    async def act(stage: Stage) -> None:
        stage.notes.say("I look for the checkout page. Then")

    async def act_in_pieces(stage: Stage) -> None:
        for piece in ("I look", " for the chec", "kout page", ". ", "Then"):
            stage.notes.say(piece)

    assert play(act) == play(act_in_pieces) == [(0.0, "I look for the checkout page.")]


def test_later_sentences_are_published_together_after_two_seconds() -> None:
    async def act(stage: Stage) -> None:
        for word in ("One. ", "Two. ", "Three. ", "Fo"):
            stage.notes.say(word)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.8)

    assert play(act) == [(0.0, "One."), (pytest.approx(INTERVAL_SECONDS), "Two. Three.")]


def test_a_sentence_that_does_not_end_is_published_up_to_its_last_word_and_goes_on() -> None:
    async def act(stage: Stage) -> None:
        for _ in range(45):
            stage.notes.say("word ")
            await asyncio.sleep(0.1)

    published = play(act)
    assert [at for at, _ in published] == [pytest.approx(2.0), pytest.approx(4.0)]
    assert all(text.startswith("word word") and text.endswith("word…") for _, text in published)


def test_continuous_thinking_is_published_at_least_every_three_seconds() -> None:
    async def act(stage: Stage) -> None:
        for number in range(80):
            stage.notes.say(f"thought{number} is here" + (". " if number % 9 == 0 else " "))
            await asyncio.sleep(0.1)

    times = [at for at, _ in play(act)]
    gaps = [later - earlier for earlier, later in zip([0.0, *times], [*times, 8.0], strict=True)]
    assert max(gaps) <= 3.0 and min(gaps[1:-1]) >= INTERVAL_SECONDS - 1e-6


def test_the_end_of_a_block_ends_a_sentence() -> None:
    async def act(stage: Stage) -> None:
        stage.notes.say("I read on", is_end=True)

    assert play(act) == [(0.0, "I read on")]


def test_when_the_answer_begins_no_more_notes_are_published() -> None:
    async def act(stage: Stage) -> None:
        stage.notes.say("One. ")
        stage.notes.say("Two. ")
        stage.notes.stop()
        await asyncio.sleep(10)
        assert stage.texts == ["One."]

    play(act)


def test_only_the_end_of_a_long_text_is_published() -> None:
    async def act(stage: Stage) -> None:
        stage.notes.say("many words " * 200 + "at the end.", is_end=True)

    [(_, text)] = play(act)
    assert len(text) <= MAX_CHARACTERS and text.startswith("…") and text.endswith("at the end.")


def test_blank_text_is_not_published() -> None:
    async def act(stage: Stage) -> None:
        for blank in ("", " ", "\n\n", "\t"):
            stage.notes.say(blank, is_end=True)
        await asyncio.sleep(10)

    assert play(act) == []


@given(pieces=st.lists(st.tuples(st.text(max_size=60), st.booleans(), st.floats(0, 3)), max_size=20))
def test_no_text_is_published_twice_or_too_soon(pieces: list[tuple[str, bool, float]]) -> None:
    async def act(stage: Stage) -> None:
        for piece, is_end, pause in pieces:
            stage.notes.say(piece, is_end=is_end)
            await asyncio.sleep(pause)
        await asyncio.sleep(2 * INTERVAL_SECONDS)

    published = play(act)
    assert all(0 < len(text) <= MAX_CHARACTERS for _, text in published)
    assert all(later - earlier >= INTERVAL_SECONDS - 1e-6 for (earlier, _), (later, _) in pairwise(published))
    said = "".join(piece for piece, _, _ in pieces).split()
    assert len("".join(text.removesuffix("…") for _, text in published).replace(" ", "")) <= len("".join(said)) + len(
        published
    )


def test_two_blocks_of_text_have_a_space_between_them() -> None:
    async def act(stage: Stage) -> None:
        stage.notes.say("First of all.", is_end=True)
        for block in ("I look at the layout.", "Its names tell much."):
            stage.notes.say(block[:5])
            stage.notes.say(block[5:], is_end=True)
        await asyncio.sleep(2 * INTERVAL_SECONDS)

    assert [text for _, text in play(act)] == ["First of all.", "I look at the layout. Its names tell much."]

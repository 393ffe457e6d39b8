"""Tests that growing JSON gives text that only grows, and each suggestion once, as soon as it is complete."""

import json
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.contract.schemas import Suggestion
from tests import strategies
from worker.publishing.partial_answer import PartialAnswer, render

SPACES = st.sampled_from(["", "", " ", "\n", "\r\n\t", "    "])


@dataclass(frozen=True)
class Written:
    """Represents the JSON of an answer, and the position after the closing brace of each suggestion."""

    raw: str
    ends: list[int]
    suggestions: list[Suggestion]


class _Writer:
    """Writes JSON as a model might: in any order of keys, with any white space and any escapes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.raw = ""
        self.ends: list[int] = []

    def mark(self, mark: str) -> None:
        self.raw += self._draw(SPACES) + mark + self._draw(SPACES)

    def text(self, text: str) -> None:
        how = self._draw(st.sampled_from(["raw", "ascii", "escaped"]))
        if how == "escaped":
            units = text.encode("utf-16-be")
            self.raw += '"' + "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)) + '"'
        else:
            quoted = json.dumps(text, ensure_ascii=how == "ascii")
            self.raw += quoted.replace("/", "\\/") if how == "ascii" else quoted

    def texts(self, items: list[str]) -> None:
        self.mark("[")
        for i, item in enumerate(items):
            if i:
                self.mark(",")
            self.text(item)
        self.mark("]")

    def suggestion(self, suggestion: Suggestion) -> None:
        fields = suggestion.model_dump(by_alias=True)
        self.mark("{")
        for i, key in enumerate(self._draw(st.permutations(list(fields)))):
            if i:
                self.mark(",")
            self.text(key)
            self.mark(":")
            if key == "files":
                self.raw += json.dumps(fields[key])
            elif isinstance(fields[key], list):
                self.texts(fields[key])
            else:
                self.text(fields[key])
        self.raw += self._draw(SPACES) + "}"
        self.ends.append(len(self.raw))

    def answer(self, context: str | None, suggestions: list[Suggestion]) -> None:
        self.mark("{")
        for i, key in enumerate(self._draw(st.permutations(["context", "suggestions"]))):
            if i:
                self.mark(",")
            self.text(key)
            self.mark(":")
            if key == "suggestions":
                self.mark("[")
                for n, suggestion in enumerate(suggestions):
                    if n:
                        self.mark(",")
                    self.suggestion(suggestion)
                self.mark("]")
            elif context is None:
                self.raw += "null"
            else:
                self.text(context)
        self.mark("}")


@st.composite
def answers(draw: st.DrawFn) -> Written:
    writer = _Writer(draw)
    suggestions = draw(st.lists(strategies.suggestions, min_size=3, max_size=5))
    writer.answer(draw(st.none() | strategies.text), suggestions)
    return Written(writer.raw, writer.ends, suggestions)


@st.composite
def cut(draw: st.DrawFn, raw: str, most: int = 30) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=most)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


def play(pieces: list[str]) -> tuple[list[str], list[tuple[int, int, Suggestion]]]:
    """Returns the text after each piece, and each suggestion with the characters written by then and its index."""
    answer, texts, found, written = PartialAnswer(), [], [], 0
    for piece in pieces:
        answer.write(piece)
        written += len(piece)
        found += [(written, index, suggestion) for index, suggestion in answer.take_suggestions()]
        texts.append(answer.text())
    assert answer.take_suggestions() == []
    return texts, found


@given(st.data(), answers())
def test_an_answer_cut_anywhere_gives_the_same_text_which_only_grows(data: st.DataObject, answer: Written) -> None:
    texts, _ = play(data.draw(cut(answer.raw)))
    # The growing answer is read by another parser than the standard library's, which makes the check independent.
    assert texts[-1] == render(json.loads(answer.raw))
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))


@given(st.data(), answers())
def test_each_suggestion_is_returned_once_with_the_piece_that_closes_it(data: st.DataObject, answer: Written) -> None:
    pieces = data.draw(cut(answer.raw))
    _, found = play(pieces)
    assert [(index, suggestion) for _, index, suggestion in found] == list(enumerate(answer.suggestions))
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    assert [written for written, _, _ in found] == [min(e for e in ends if e >= closed) for closed in answer.ends]


@given(answers())
def test_all_of_a_whole_suggestion_is_in_the_text_when_it_is_returned(answer: Written) -> None:
    partial, start = PartialAnswer(), 0
    for end, suggestion in zip(answer.ends, answer.suggestions, strict=True):
        partial.write(answer.raw[start:end])
        start = end
        text = partial.text()
        fields = (suggestion.title, suggestion.rationale, suggestion.description)
        assert all(field in text for field in (*fields, *suggestion.implementation_considerations))


def test_a_cut_between_any_two_characters_changes_nothing() -> None:
    nasty = "".join(strategies.NASTY)
    suggestion = {
        "title": nasty,
        "rationale": nasty,
        "description": "",
        "implementationConsiderations": [nasty, "", nasty],
    }
    answer = {"context": nasty, "suggestions": [suggestion, suggestion, suggestion]}
    for raw in (json.dumps(answer), json.dumps(answer, ensure_ascii=False, indent=2)):
        texts, found = play(list(raw))
        assert texts[-1] == render(answer)
        assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
        assert [index for _, index, _ in found] == [0, 1, 2]
        assert all(play([raw[:at], raw[at:]])[0][-1] == texts[-1] for at in range(0, len(raw), 7))


def test_the_text_reads_as_a_numbered_list() -> None:
    first = {"title": "One", "rationale": "r", "description": "d", "implementationConsiderations": ["a", "", "b"]}
    second = {"implementationConsiderations": ["c"], "description": "e", "title": "Two", "rationale": ""}
    texts, _ = play([json.dumps({"suggestions": [first, second], "context": "As it is."})])
    assert texts[-1] == "1. One\nWhy: r\n\nd\n\n- a\n- b\n\n2. - c\n\ne\nTwo\n\nAs it is."


def test_every_character_of_a_string_is_shown_as_it_comes() -> None:
    answer = PartialAnswer()
    answer.write('{"context": null, "suggestions": [{"title": "')
    for i, character in enumerate("Größer 😀 now", 1):
        answer.write(character)
        assert answer.text() == "1. " + "Größer 😀 now"[:i]


def test_half_a_surrogate_pair_waits_for_the_other_half() -> None:
    answer, texts = PartialAnswer(), []
    for piece in ('{"context": "a', "\\", "u", "d83d", "\\ude", "00", 'b"'):
        answer.write(piece)
        texts.append(answer.text())
    assert texts == ["a", "a", "a", "a", "a", "a😀", "a😀b"]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    raw = draw(answers()).raw
    at = draw(st.integers(0, len(raw)))
    gone = draw(st.integers(0, 3))
    return raw[:at] + draw(st.text(st.characters(), max_size=4)) + raw[at + gone :]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["context", "suggestions", "title", "x"]), inner, max_size=4)
    ),
)
garbage = st.one_of(
    st.text(st.characters(), max_size=60),
    st.text('{}[]",:\\u0dn ', max_size=60),
    _json.map(json.dumps),
    damaged(),
)


@given(st.data(), garbage)
def test_malformed_json_never_raises_and_retracts_no_text(data: st.DataObject, raw: str) -> None:
    texts, found = play(data.draw(cut(raw, most=8)))
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    indexes = [index for _, index, _ in found]
    assert indexes == sorted(set(indexes))


def test_half_a_surrogate_pair_does_not_raise() -> None:
    whole = json.dumps({"context": "About it."})
    texts, found = play([whole, "\ud800", "and more"])
    assert (texts, found) == (["About it."] * 3, [])


def test_very_deep_nesting_and_very_long_numbers_do_not_raise() -> None:
    for raw in ("[" * 100_000, '{"a":' * 100_000, "}" * 100_000, '{"context": ' + "9" * 100_000):
        texts, found = play([raw])
        assert (texts, found) == ([""], [])


def test_objects_in_another_list_are_not_taken_for_suggestions() -> None:
    whole = {
        "title": "t",
        "rationale": "r",
        "description": "d",
        "implementationConsiderations": ["a", "b"],
        "files": [],
    }
    raw = json.dumps({"notes": [{"n": 1}], "suggestions": [whole, whole, whole]})
    for at in range(len(raw)):
        _, found = play([raw[:at], raw[at:]])
        assert [suggestion.model_dump(by_alias=True) for _, _, suggestion in found] == [whole] * 3
        assert [index for _, index, _ in found] == [0, 1, 2]

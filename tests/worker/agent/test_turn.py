"""Tests that a turn is assembled from its events as the Messages API documents them."""

from typing import Any

import pytest

from shared.contract.schemas import TokenUsage
from worker.agent.event_reader import JsonObject
from worker.agent.turn import Said, Spent, Turn, UsedTool, Wrote

Result = Wrote | Said | UsedTool | Spent


def block(start: JsonObject, *deltas: JsonObject) -> list[JsonObject]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    ]


def text(*pieces: str) -> list[JsonObject]:
    return block({"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def tool_call(*pieces: str, name: str = "Glob") -> list[JsonObject]:
    start = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    return block(start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def ending(stop_reason: str, **usage: Any) -> list[JsonObject]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def taken(turn: Turn, *events: JsonObject) -> list[Result]:
    return [result for event in events if (result := turn.take(event))]


def test_text_that_looks_like_the_answer_is_yielded_as_it_comes() -> None:
    turn = Turn()
    assert taken(turn, *text("\n ", ' {"con', 'text"', ":1}")) == [Wrote('{"con'), Wrote('text"'), Wrote(":1}")]
    assert turn.text == '\n  {"context":1}'


def test_text_before_the_answer_is_kept_and_is_no_part_of_it() -> None:
    turn = Turn()
    assert taken(turn, *text("Let me look."), *text('{"a"')) == [Said("Let me look.", is_end=True), Wrote('{"a"')]
    assert turn.text == 'Let me look.{"a"' and turn.answer_json == '{"a"'


def test_a_tool_input_in_pieces_is_one_call() -> None:
    turn = Turn()
    results = taken(turn, *tool_call("", '{"pat', 'tern": "*.py"}'), *ending("tool_use"))
    assert results[0] == UsedTool("Glob", {"pattern": "*.py"})
    assert turn.tool_calls == [{"type": "tool_use", "id": "toolu_1", "name": "Glob", "input": {"pattern": "*.py"}}]


@pytest.mark.parametrize("written", [(), ("",), ("{}", "")])
def test_a_tool_input_may_be_empty(written: tuple[str, ...]) -> None:
    assert taken(Turn(), *tool_call(*written)) == [UsedTool("Glob", {})]


@pytest.mark.parametrize(
    "written",
    ["[1]", '"x"', "nonsense", '{"path": "\\ud800"}', '{"pattern": "*.', '{"limit": NaN}', '{"limit": [1, 1e999]}'],
)
def test_a_tool_input_that_is_no_object_is_a_call_to_be_answered_with_an_error(written: str) -> None:
    turn = Turn()
    assert taken(turn, *tool_call(written), *ending("tool_use")) == [Spent(TokenUsage())]
    assert turn.malformed_calls == {"toolu_1"} and [call["input"] for call in turn.tool_calls] == [{}]


def test_a_tool_input_may_come_in_one_piece() -> None:
    turn = Turn()
    start = {"type": "tool_use", "id": "toolu_1", "name": "Glob", "input": {"pattern": "*"}}
    assert taken(turn, *block(start)) == [UsedTool("Glob", {"pattern": "*"})]
    assert turn.content == [start]


def test_a_call_of_an_unknown_tool_is_answered_but_not_shown() -> None:
    turn = Turn()
    assert taken(turn, *tool_call(name="Bash"), *ending("tool_use")) == [Spent(TokenUsage())]
    assert [call["name"] for call in turn.tool_calls] == ["Bash"]


@pytest.mark.parametrize("stop_reason", ["end_turn", "max_tokens", "refusal", "pause_turn"])
def test_the_calls_of_a_turn_that_did_not_stop_for_them_are_not_run(stop_reason: str) -> None:
    turn = Turn()
    taken(turn, *tool_call(), *ending(stop_reason))
    assert turn.tool_calls == [] and turn.is_paused is (stop_reason == "pause_turn")


def test_a_turn_without_its_end_is_not_whole() -> None:
    turn = Turn()
    taken(turn, *tool_call())
    assert not turn.is_whole and turn.tool_calls == []


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 2)])
def test_one_of_the_two_last_events_may_be_missing(kept: slice) -> None:
    turn = Turn()
    taken(turn, *tool_call(), *ending("tool_use")[kept])
    assert turn.is_whole and len(turn.tool_calls) == 1


def test_a_last_event_without_usage_is_no_error() -> None:
    turn = Turn()
    assert taken(turn, *text("{}"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}) == [Wrote("{}")]
    assert turn.is_whole and not turn.is_empty


@pytest.mark.parametrize("after", ["\n```\n", "```", "\n``` \nI hope that helps {you}."])
@pytest.mark.parametrize("before", ["```json\n", "Here you are:\n\n```\n", "```JSON "])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_answer_in_a_code_fence_is_yielded_without_the_fence(before: str, after: str, size: int) -> None:
    answer = '{"context": "a ``` {x} \\"}\\" b", "suggestions": [{"a": {}}]}'
    whole = before + answer + after
    turn = Turn()
    results = taken(turn, *text(*(whole[at : at + size] for at in range(0, len(whole), size))))
    assert "".join(each.piece for each in results if isinstance(each, Wrote)) == answer == turn.answer_json


def test_a_turn_that_ends_without_text_or_calls_is_empty() -> None:
    turn = Turn()
    taken(turn, *block({"type": "thinking", "thinking": "", "signature": "s"}), *ending("end_turn"))
    assert turn.is_empty


def test_thinking_is_sent_back_unchanged_with_its_signature() -> None:
    turn = Turn()
    deltas = ({"type": "thinking_delta", "thinking": piece} for piece in ("Hm", "m."))
    thinking = block(
        {"type": "thinking", "thinking": "", "signature": ""}, *deltas, {"type": "signature_delta", "signature": "abc"}
    )
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    assert taken(turn, *thinking, *block(redacted), *text("{}"))[-1] == Wrote("{}")
    assert turn.content == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "abc"},
        redacted,
        {"type": "text", "text": "{}"},
    ]
    assert turn.text == "{}"


def test_events_and_blocks_of_unknown_types_are_no_error() -> None:
    new = {"type": "poem", "lines": []}
    turn = Turn()
    assert taken(turn, {"type": "weather"}, *block(new, {"type": "poem_delta", "line": "x"})) == []
    assert turn.content == [new]


def test_usage_is_cumulative_over_the_turn_and_added_to_what_was_before() -> None:
    turn = Turn(TokenUsage(input_tokens=5, total_tokens=5))
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
    first, last = taken(turn, start, *ending("end_turn", output_tokens=7, cache_read_input_tokens=None))
    assert first == Spent(TokenUsage(input_tokens=15, output_tokens=1, total_tokens=16))
    assert last == Spent(TokenUsage(input_tokens=15, output_tokens=7, total_tokens=22)) == Spent(turn.spent)
    assert turn.usage == TokenUsage(input_tokens=10, output_tokens=7, total_tokens=17)


def test_thinking_that_is_shown_is_yielded_as_it_comes() -> None:
    turn = Turn()
    pieces = ({"type": "thinking_delta", "thinking": piece} for piece in ("I look ", "there."))
    thinking = block({"type": "thinking", "thinking": "", "signature": ""}, *pieces)
    assert taken(turn, *thinking) == [Said("I look "), Said("there."), Said("", is_end=True)]


def test_a_long_text_that_is_no_answer_is_not_yielded() -> None:
    turn = Turn()
    assert taken(turn, *text("This is no JSON. " * 500)) == []


@pytest.mark.parametrize("start", [{}, {"id": None, "name": None}, {"id": "", "name": ""}])
def test_a_call_without_an_id_or_a_name_gets_a_unique_id_and_a_placeholder_name(start: JsonObject) -> None:
    turn = Turn()
    taken(turn, *block({"type": "tool_use", "input": {}, **start}), *block({"type": "tool_use", "input": {}, **start}))
    taken(turn, *ending("tool_use"))
    assert len({call["id"] for call in turn.tool_calls}) == 2
    assert [call["name"] for call in turn.tool_calls] == ["unknown"] * 2


@pytest.mark.parametrize("odd", ["many", [], {}, -1, float("inf"), float("nan"), 1e300])
def test_an_invalid_count_of_tokens_is_ignored(odd: object) -> None:
    turn = Turn()
    taken(turn, {"type": "message_start", "message": {"usage": {"input_tokens": 7}}})
    taken(turn, *ending("end_turn", input_tokens=odd, output_tokens=2))
    assert (turn.spent.input_tokens, turn.spent.total_tokens) == (7, 9)

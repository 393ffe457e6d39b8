"""A turn put together from its events, as the Messages API documents them."""

from typing import Any

import pytest

from shared.contract.schemas import ErrorCode, TokenUsage
from shared.errors import AttemptFailed
from worker.agent.event_reader import JsonObject
from worker.agent.turn import Spent, Turn, UsedTool, Wrote

Told = Wrote | UsedTool | Spent


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


def taken(turn: Turn, *events: JsonObject) -> list[Told]:
    return [told for event in events if (told := turn.take(event))]


def test_text_that_looks_like_the_answer_is_told_as_it_comes() -> None:
    turn = Turn()
    assert taken(turn, *text("\n ", ' {"con', 'text"', ":1}")) == [Wrote('{"con'), Wrote('text"'), Wrote(":1}")]
    assert turn.text == '\n  {"context":1}'


def test_text_that_does_not_is_kept_and_not_told() -> None:
    turn = Turn()
    assert taken(turn, *text("Let me look."), *text('{"a"')) == []
    assert turn.text == 'Let me look.{"a"'


def test_an_input_in_pieces_is_one_call() -> None:
    turn = Turn()
    told = taken(turn, *tool_call("", '{"pat', 'tern": "*.py"}'), *ending("tool_use"))
    assert told[0] == UsedTool("Glob", {"pattern": "*.py"})
    assert turn.tool_calls == [{"type": "tool_use", "id": "toolu_1", "name": "Glob", "input": {"pattern": "*.py"}}]


@pytest.mark.parametrize(("written", "arguments"), [((), {}), (("",), {}), (('{"pattern": "*.', ""), {})])
def test_an_input_may_be_empty_or_cut(written: tuple[str, ...], arguments: JsonObject) -> None:
    assert taken(Turn(), *tool_call(*written)) == [UsedTool("Glob", arguments)]


@pytest.mark.parametrize("written", ["[1]", '"x"', "nonsense", '{"path": "\\ud800"}'])
def test_an_input_that_is_no_object_is_bad_output(written: str) -> None:
    with pytest.raises(AttemptFailed) as failed:
        taken(Turn(), *tool_call(written))
    assert failed.value.code is ErrorCode.BAD_OUTPUT


def test_a_call_of_something_that_is_no_tool_of_ours_is_not_told_but_answered() -> None:
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
    taken(turn, *tool_call(), *ending("tool_use")[:1])
    assert not turn.is_whole and turn.tool_calls == []


def test_thinking_goes_back_as_it_came_with_its_signature() -> None:
    turn = Turn()
    deltas = ({"type": "thinking_delta", "thinking": piece} for piece in ("Hm", "m."))
    thinking = block(
        {"type": "thinking", "thinking": "", "signature": ""}, *deltas, {"type": "signature_delta", "signature": "abc"}
    )
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    assert taken(turn, *thinking, *block(redacted), *text("{}")) == [Wrote("{}")]
    assert turn.content == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "abc"},
        redacted,
        {"type": "text", "text": "{}"},
    ]
    assert turn.text == "{}"


def test_what_is_not_known_yet_is_no_error() -> None:
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

"""Tests that a conversation resumes from the turns that were stored of it, and from no others."""

import json
import zlib
from dataclasses import asdict, replace

import pytest

from worker.agent.conversation import MAX_TOOL_CALLS, Conversation
from worker.agent.kept_turns import MAX_TURN_BYTES, KeptTurn, key_of, unpack

FIRST = [{"type": "text", "text": "the request"}]
TURN = KeptTurn(
    "key",
    [{"type": "thinking", "thinking": "Hm\ud800.", "signature": "s"}, {"type": "tool_use", "id": "t", "name": "Read"}],
    [{"type": "tool_result", "tool_use_id": "t", "content": "ü"}],
    first=FIRST,
    seen=["a.py"],
    tools=[{"name": "Read", "input": {"file_path": "a.py"}}],
)
LATER = replace(TURN, first=[], seen=["b.py"])


def conversation(*turns: KeptTurn) -> Conversation:
    loaded = Conversation()
    loaded.load([turn.pack() for turn in turns])
    return loaded


def test_a_turn_is_unpacked_as_it_was_packed() -> None:
    assert unpack(TURN.pack()) == TURN


def test_a_conversation_resumes_with_its_first_message_and_its_turns() -> None:
    going = conversation(TURN, LATER)
    assert going.turns_for("key") == 2 and going.seen == {"a.py", "b.py"}
    assert going.calls_left == MAX_TOOL_CALLS - 2
    roles = [(message["role"], message["content"]) for message in going.messages([])]
    assert roles == [("user", FIRST), *[("assistant", TURN.assistant), ("user", TURN.user)] * 2]


def test_with_another_model_prompt_or_tools_a_conversation_begins_anew() -> None:
    going = conversation(TURN, LATER)
    assert going.turns_for("other") == 0
    assert going.messages(FIRST) == [{"role": "user", "content": FIRST}]
    keys = {
        key_of(*given) for given in (("m", "s", []), ("n", "s", []), ("m", "t", []), ("m", "s", [{"name": "Read"}]))
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "data",
    [b"", b"x", zlib.compress(b"[]"), zlib.compress(b'{"key": 1}'), TURN.pack()[:-3], zlib.compress(b" " * 9_000_000)],
    ids=["empty", "not packed", "a list", "fields missing", "cut", "too long"],
)
def test_stored_data_that_is_no_turn_is_ignored(data: bytes) -> None:
    assert unpack(data) is None and MAX_TURN_BYTES < 9_000_000
    going = Conversation()
    going.load([TURN.pack(), data, LATER.pack()])
    assert len(going.turns) == 1


def test_turns_that_do_not_continue_a_first_turn_are_ignored() -> None:
    assert conversation(LATER).turns == []
    assert len(conversation(TURN, replace(LATER, key="other")).turns) == 1


def packed(**fields: object) -> bytes:
    return zlib.compress(json.dumps({**asdict(TURN), **fields}).encode())


@pytest.mark.parametrize(
    "data",
    [
        packed(seen=5),
        packed(seen=[1]),
        packed(tools=7),
        packed(tools=[{}]),
        packed(tools=[{"name": "Bash", "input": {}}]),
        packed(tools=[{"name": "Read", "input": "a.py"}]),
        packed(assistant="text"),
        packed(user=["text"]),
        packed(first=None),
        packed(key=None),
        zlib.compress(b"[" * 100_000),
    ],
)
def test_a_turn_with_fields_of_another_type_is_ignored(data: bytes) -> None:
    assert unpack(data) is None


def test_stored_calls_of_unknown_tools_count_towards_the_limit_of_calls() -> None:
    calls = [{"type": "tool_use", "id": str(number), "name": "Bash", "input": {}} for number in range(3)]
    assert conversation(replace(TURN, assistant=calls, tools=[])).calls_left == MAX_TOOL_CALLS - 3

"""Whole turns of a conversation in the form in which they are kept, for an attempt that goes on from them."""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from worker.agent.event_reader import JsonObject
from worker.agent.tool_arguments import ALL_TOOLS

MAX_TURN_BYTES = 4_000_000
"""Of one turn when it is unpacked; what is longer is none of ours."""


@dataclass(frozen=True)
class KeptTurn:
    """One turn: what the model said, as it came, and what it was answered."""

    key: str
    """Tells the model, the system prompt and the tools; a conversation can go on only with the same ones."""
    assistant: list[JsonObject]
    user: list[JsonObject]
    first: list[JsonObject] = field(default_factory=list)
    """The messages that the conversation began with; only its first turn has them."""
    seen: list[str] = field(default_factory=list)
    """The files that the answers of this turn have shown to the model."""
    tools: list[JsonObject] = field(default_factory=list)
    """The looks at the project, as viewers see them: `name` and `input`."""

    @property
    def call_count(self) -> int:
        """How many calls of tools the model made, those included that named no tool of ours or were malformed."""
        return sum(block.get("type") == "tool_use" for block in self.assistant)

    def pack(self) -> bytes:
        """The turn in few bytes."""
        return zlib.compress(json.dumps(asdict(self), separators=(",", ":")).encode(), 6)


def unpack(data: bytes) -> KeptTurn | None:
    """The turn again; None for what is not one of ours."""
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(data, MAX_TURN_BYTES)
        turn = KeptTurn(**json.loads(text)) if opened.eof else None
    except (zlib.error, ValueError, TypeError, RecursionError):
        return None
    return turn if turn is not None and _is_well_formed(turn) else None


def _is_well_formed(turn: KeptTurn) -> bool:
    """Whether each field is what its type says: another version of the program may have written the turn."""
    lists: tuple[Any, ...] = (turn.assistant, turn.user, turn.first, turn.seen, turn.tools)
    if not isinstance(turn.key, str) or not all(isinstance(each, list) for each in lists):
        return False
    return (
        all(isinstance(block, dict) for block in (*turn.assistant, *turn.user, *turn.first))
        and all(isinstance(path, str) for path in turn.seen)
        and all(
            isinstance(used, dict) and used.get("name") in ALL_TOOLS and isinstance(used.get("input"), dict)
            for used in turn.tools
        )
    )


def key_of(model: str, system: str, tools: list[Any]) -> str:
    """What has to be the same for a conversation to go on."""
    said = json.dumps([model, system, tools], sort_keys=True)
    return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:32]

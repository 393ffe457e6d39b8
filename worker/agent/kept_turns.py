"""Packs whole turns of a conversation for storage, so that a later attempt can continue from them."""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from worker.agent.event_reader import JsonObject
from worker.agent.tool_arguments import ALL_TOOLS

MAX_TURN_BYTES = 4_000_000
"""Limits the size of one unpacked turn; longer data was not written by this program."""


@dataclass(frozen=True)
class KeptTurn:
    """Holds one turn: what the model said, unchanged, and the results that it was sent."""

    key: str
    """A hash of the model, the system prompt and the tools: a conversation can be continued only with the same ones."""
    assistant: list[JsonObject]
    user: list[JsonObject]
    first: list[JsonObject] = field(default_factory=list)
    """The messages that the conversation began with; only its first turn has them."""
    seen: list[str] = field(default_factory=list)
    """The files that the answers of this turn have shown to the model."""
    tools: list[JsonObject] = field(default_factory=list)
    """The calls of tools as viewers see them: `name` and `input`."""

    @property
    def call_count(self) -> int:
        """Returns how many calls of tools the model made, including malformed ones and those of unknown tools."""
        return sum(block.get("type") == "tool_use" for block in self.assistant)

    def pack(self) -> bytes:
        """Returns the turn as compressed JSON."""
        return zlib.compress(json.dumps(asdict(self), separators=(",", ":")).encode(), 6)


def unpack(data: bytes) -> KeptTurn | None:
    """Returns the turn that `pack` has packed; None for data that is not a well-formed turn."""
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(data, MAX_TURN_BYTES)
        turn = KeptTurn(**json.loads(text)) if opened.eof else None
    except (zlib.error, ValueError, TypeError, RecursionError):
        return None
    return turn if turn is not None and _is_well_formed(turn) else None


def _is_well_formed(turn: KeptTurn) -> bool:
    """Returns whether each field has its type, since another version of the program may have written the turn."""
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
    """Returns a hash of what must be the same for a conversation to be continued."""
    said = json.dumps([model, system, tools], sort_keys=True)
    return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:32]

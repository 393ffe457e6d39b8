"""Calculates what a request costs in tokens, with a prompt cache like the real one.

The cache holds prefixes of the prompt: tools, then system prompt, then messages. A mark (`cache_control` on a block, or
one for the whole request, which marks its last block) writes the prefix up to it, and reads the longest prefix that was
written before and ends at most 20 blocks earlier. Another `tool_choice` or other thinking settings make the messages
another prefix, while tools and system prompt stay what they were.
"""

import hashlib
import json
import time
from dataclasses import dataclass

from worker.sandbox.models import rules_for
from worker.sandbox.wire import JsonObject, estimate_tokens

_REMEMBERED = 20_000  # the most prefixes in the cache; beyond that the oldest are dropped
_LIFETIME_SECONDS = 300
_LOOK_BACK_BLOCKS = 20


@dataclass(frozen=True)
class _Block:
    """Describes one block of the prompt: its own tokens, and the digest of everything up to its end."""

    tokens: int
    digest: bytes
    is_marked: bool


class PromptCache:
    """Remembers which prefixes were marked, for five minutes from their last use."""

    def __init__(self) -> None:
        self._used_at: dict[bytes, float] = {}

    def usage(self, body: JsonObject) -> dict[str, int]:
        """Returns the input part of `usage` for a request that is answered, and stores its marked prefixes."""
        usage, written = self.measure(body)
        self.keep(written)
        return usage

    def measure(self, body: JsonObject) -> tuple[dict[str, int], list[bytes]]:
        """Returns the input part of `usage`, and the prefixes to store, without storing them."""
        blocks = _blocks(body)
        ends = [number for number, block in enumerate(blocks) if block.is_marked]
        sums = [0]
        for block in blocks:
            sums.append(sums[-1] + block.tokens)
        least = rules_for(body["model"]).min_cacheable_tokens
        ends = [end for end in ends if sums[end + 1] >= least]
        if not ends:
            return _usage(sums[-1], created=0, read=0), []
        read = max((self._longest(blocks, end) for end in ends), default=-1)
        in_cache, up_to_mark = sums[read + 1], sums[ends[-1] + 1]
        kept = [blocks[end].digest for end in ends] + ([blocks[read].digest] if read >= 0 else [])
        return _usage(sums[-1] - up_to_mark, created=up_to_mark - in_cache, read=in_cache), kept

    def keep(self, written: list[bytes]) -> None:
        """Stores these prefixes, as used now."""
        now = time.monotonic()
        for digest in written:
            self._used_at.pop(digest, None)
            self._used_at[digest] = now
        while len(self._used_at) > _REMEMBERED:
            del self._used_at[next(iter(self._used_at))]

    def _longest(self, blocks: list[_Block], end: int) -> int:
        """Returns the index of the last block of the longest cached prefix; -1 where none is cached."""
        oldest = time.monotonic() - _LIFETIME_SECONDS
        for number in range(end, max(-1, end - _LOOK_BACK_BLOCKS), -1):
            if self._used_at.get(blocks[number].digest, oldest) > oldest:
                return number
        return -1


def _blocks(body: JsonObject) -> list[_Block]:
    """Returns the blocks of the prompt in the order in which they are cached."""
    system = body.get("system") or []
    parts: list[object] = [*(body.get("tools") or [])]
    parts += [{"type": "text", "text": system}] if isinstance(system, str) else system
    first_message = len(parts)
    for message in body["messages"]:
        content = message["content"]
        given = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [{**block, "role": message["role"]} if isinstance(block, dict) else block for block in given]
    blocks: list[_Block] = []
    running = hashlib.sha256(json.dumps(body["model"]).encode())
    for number, part in enumerate(parts):
        if number == first_message:
            settings = [body.get("tool_choice"), body.get("thinking")]
            running.update(json.dumps(settings, sort_keys=True).encode())
        is_marked = isinstance(part, dict) and bool(part.get("cache_control"))
        plain = {k: v for k, v in part.items() if k != "cache_control"} if isinstance(part, dict) else part
        text = json.dumps(plain, ensure_ascii=False)
        running.update(text.encode(errors="replace"))
        is_last = number == len(parts) - 1
        is_marked = is_marked or (is_last and bool(body.get("cache_control")))
        blocks.append(_Block(estimate_tokens(text), running.digest(), is_marked))
    return blocks


def _usage(fresh: int, *, created: int, read: int) -> dict[str, int]:
    return {"input_tokens": fresh, "cache_creation_input_tokens": created, "cache_read_input_tokens": read}

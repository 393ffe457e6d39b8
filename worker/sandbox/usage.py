"""How many tokens a request costs, with a prompt cache that lasts as long as the process."""

import hashlib
import json

from worker.sandbox.wire import JsonObject, estimate_tokens

_REMEMBERED = 10_000  # prefixes; beyond that the oldest fall out of the cache


class PromptCache:
    """Remembers which prefixes (system prompt and tools) it has seen marked for caching."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def usage(self, body: JsonObject) -> dict[str, int]:
        """The input side of `usage`: the first request with a prefix writes the cache, later ones read it."""
        messages = estimate_tokens(json.dumps(body["messages"], ensure_ascii=False))
        prefix_text = json.dumps([body["model"], body.get("system"), body.get("tools")], ensure_ascii=False)
        prefix = estimate_tokens(prefix_text)
        if not _is_marked(body):
            return _usage(messages + prefix, created=0, read=0)
        digest = hashlib.sha256(prefix_text.encode()).digest()
        if digest in self._seen:
            return _usage(messages, created=0, read=prefix)
        self._seen[digest] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return _usage(messages, created=prefix, read=0)


def _usage(fresh: int, *, created: int, read: int) -> dict[str, int]:
    return {"input_tokens": fresh, "cache_creation_input_tokens": created, "cache_read_input_tokens": read}


def _is_marked(part: object) -> bool:
    if isinstance(part, list):
        return any(_is_marked(item) for item in part)
    if isinstance(part, dict):
        return bool(part.get("cache_control")) or any(_is_marked(item) for item in part.values())
    return False

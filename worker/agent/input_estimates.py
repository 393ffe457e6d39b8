"""Estimates how many input tokens of a request count towards the provider's limit: those that are not cached."""

import json
from typing import Any

from shared.contract.schemas import TokenUsage

CHARACTERS_A_TOKEN = 4
WEIGHT_OF_THE_LATEST = 0.3


class InputEstimates:
    """Estimates for all jobs of a process.

    Most of a first request is cached: instructions, tools and overview. So only the job's own text is counted, until
    earlier requests have shown how much of a request is not cached.
    """

    def __init__(self) -> None:
        self._shares: dict[str, float] = {}

    def first(self, request: dict[str, Any]) -> int:
        """Returns the estimate for a job's first request."""
        share = self._shares.get(request["model"])
        return max(
            1, _size(request["messages"][-1]["content"][-1:]) if share is None else round(_tokens(request) * share)
        )

    def learn(self, request: dict[str, Any], usage: TokenUsage) -> None:
        """Learns from the usage of a first request."""
        share = _uncached(usage) / max(1, _tokens(request))
        before = self._shares.get(request["model"], share)
        self._shares[request["model"]] = before + WEIGHT_OF_THE_LATEST * (share - before)


def later(new_messages: list[dict[str, Any]], last: TokenUsage) -> int:
    """Returns the estimate for a request that adds these messages to the last one."""
    is_cached = last.cache_read_tokens + last.cache_creation_tokens > 0
    return max(1, _size(new_messages) + (0 if is_cached else last.input_tokens))


def _tokens(request: dict[str, Any]) -> int:
    return _size([request["system"], request["tools"], request["messages"]])


def _size(parts: list[Any]) -> int:
    return len(json.dumps(parts, ensure_ascii=False)) // CHARACTERS_A_TOKEN


def _uncached(usage: TokenUsage) -> int:
    return usage.input_tokens + usage.cache_creation_tokens

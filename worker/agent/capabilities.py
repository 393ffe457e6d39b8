"""Finds out from the Models API what each model can do, so that no request asks for what its model refuses."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from anthropic import APIError, AsyncAnthropic
from httpx2 import HTTPError

log = logging.getLogger(__name__)

EFFORTS = ("low", "medium", "high", "xhigh", "max")
ASK_SECONDS = 3.0
"""A job waits no longer than this for the answer; without it, it asks for nothing that a model might refuse."""
ASK_AGAIN_SECONDS = 60.0
"""After a request without an answer, the next one is sent no sooner; an answer is kept for the life of the process."""


@dataclass(frozen=True)
class Capabilities:
    """Lists what a model can do. The defaults are what every model takes."""

    efforts: tuple[str, ...] = ()
    thinks_adaptively: bool = False
    takes_temperature: bool = False
    max_tokens: int | None = None

    def effort(self, wanted: str) -> str | None:
        """Returns the wanted level, or the next lower one that the model has; None where it has none of these."""
        levels = EFFORTS[: EFFORTS.index(wanted) + 1]
        return next((level for level in reversed(levels) if level in self.efforts), None)


class ModelCatalogue:
    """Asks once for each model in this process; jobs that come meanwhile wait for the same answer."""

    def __init__(self, client: AsyncAnthropic) -> None:
        self._client = client
        self._asked: dict[str, tuple[float, asyncio.Task[Capabilities | None]]] = {}

    async def capabilities(self, model: str) -> Capabilities:
        """Returns what the model can do, or the defaults where the provider does not say."""
        answer = self.begin(model)
        # A job that is stopped must not cancel the request that other jobs wait for.
        await asyncio.wait({answer}, timeout=ASK_SECONDS)
        return (answer.result() if answer.done() else None) or Capabilities()

    def begin(self, model: str) -> asyncio.Task[Capabilities | None]:
        """Starts asking, unless that has been done. The result of the task is None if the provider gave no answer."""
        since, answer = self._asked.get(model, (0.0, None))
        is_missing = answer is not None and answer.done() and answer.result() is None
        if answer is None or (is_missing and time.monotonic() - since > ASK_AGAIN_SECONDS):
            answer = asyncio.create_task(self._ask(model))
            self._asked[model] = (time.monotonic(), answer)
        return answer

    async def _ask(self, model: str) -> Capabilities | None:
        try:
            description = await self._client.beta.models.retrieve(model, timeout=2 * ASK_SECONDS)
            return _read(description.to_dict(mode="json", warnings=False))
        except (APIError, HTTPError, AttributeError, TypeError, ValueError) as error:
            # Many gateways do not serve this path, so this is no warning.
            log.info(
                "the provider does not say what %s can do, so only features of all models are used: %s",
                model,
                type(error).__name__,
            )
            return None


def _read(description: dict[str, Any]) -> Capabilities | None:
    can = description.get("capabilities")
    if not isinstance(can, dict):
        return None
    effort, thinking = _part(can, "effort"), _part(can, "thinking")
    types = _part(thinking, "types")
    is_classic = not thinking.get("supported") or _has(types, "enabled")
    limit = description.get("max_tokens")
    return Capabilities(
        efforts=tuple(level for level in EFFORTS if _has(effort, level)),
        # Models that also take a thinking budget think only when asked to. They write what they do as text instead.
        thinks_adaptively=_has(types, "adaptive") and not is_classic,
        # No field states it, but exactly the models without thinking budgets refuse all sampling parameters.
        takes_temperature=is_classic,
        max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
    )


def _part(description: dict[str, Any], name: str) -> dict[str, Any]:
    part = description.get(name)
    return part if isinstance(part, dict) else {}


def _has(flags: dict[str, Any], name: str) -> bool:
    return _part(flags, name).get("supported") is True

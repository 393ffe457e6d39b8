"""States that the system behind the page cannot be brought into at will: fed to the page."""

import json
import re
from typing import Any

from playwright.sync_api import Route

from tests.e2e.system import Visitor

STREAM = re.compile("/suggest-feature/[^/]+$")
NOW = 1_800_000_000_000
SUGGESTION = {
    "title": "Undo",
    "rationale": "People err.",
    "description": "A way back.",
    "implementationConsiderations": ["Delay it"],
    "files": [{"path": "app/pay ment.ts", "why": "holds the button"}],
}
USAGE = {"inputTokens": 1, "outputTokens": 2, "cacheReadTokens": 3, "cacheCreationTokens": 4, "totalTokens": 10}
COMPLETE = {
    "suggestions": [SUGGESTION] * 3,
    "context": None,
    "isPartial": True,
    "tokenUsage": USAGE,
    "model": "claude-sonnet-5-5",
    "executionTimeMs": 61_000,
    "retryCount": 0,
}
STARTED = {"attempt": 1, "model": "claude-sonnet-5-5", "agent": "default", "cause": None, "turnsKept": 0}


def feed(visitor: Visitor, *events: tuple[str, dict[str, Any]]) -> None:
    """Has the page read these events; then the stream breaks off, and nobody answers for a long time."""
    lines = ["retry: 600000\n\n"]
    timed = [("connected", {"jobId": "x", "status": "in_progress"}), *events]
    for number, (name, data) in enumerate(timed):
        lines.append(f"id: 1-{number}\nevent: {name}\ndata: {json.dumps({'timestamp': NOW, **data})}\n\n")

    def answer(route: Route) -> None:
        if "event-stream" in route.request.headers["accept"]:
            route.fulfill(content_type="text/event-stream", body="".join(lines))
        else:
            route.continue_()

    visitor.page.route(STREAM, answer)


def options(visitor: Visitor, *, limits: dict[str, Any] | None = None, **changes: Any) -> None:
    """Has the server tell the page these options."""

    def answer(route: Route) -> None:
        response = route.fetch()
        told = response.json()
        route.fulfill(response=response, json={**told, **changes, "limits": {**told["limits"], **(limits or {})}})

    visitor.page.route(re.compile("/options$"), answer)

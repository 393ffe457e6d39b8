"""Removes from what goes to Sentry all that must not be sent: texts of users and of the model, tokens, keys.

Our own breadcrumbs, spans and messages contain none of it. This is for those that libraries add.
"""

import re
from typing import Any

FILTERED = "[Filtered]"

_TEXTS = (
    *("additionalcontext", "answer", "args", "argv", "body", "content", "focus", "httpquery", "input", "kwargs"),
    *("messages", "output", "pageorcomponent", "prompt", "querystring", "suggestion", "suggestions", "sysargv"),
    *("system", "systemprompt", "text", "vars"),
)
_SECRETS = (
    *("apikey", "authorization", "cookie", "cookies", "credentials", "dsn", "jwt", "password", "redisurl"),
    *("secret", "session", "token"),
)
"""How the name of a secret ends, without its punctuation."""
_SECRET_VALUES = re.compile(
    r"sk-ant-[\w-]+"  # keys of Anthropic's
    r"|eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"  # JSON web tokens
    r"|(?i:\b(?:bearer|basic)\s+[\w.~+/=-]+)"
    r"|(?<=://)[^/@\s]+@"  # the password in a URL
    r"|demo-[0-9a-f-]{36}\.[\w-]+"  # cookies of demo mode
)
_QUOTING_MODULES = ("anthropic", "httpcore2", "httpx2", "json", "jwt", "pydantic", "pydantic_core", "redis")
"""Their exceptions may repeat what they were given."""
_KEPT_HEADERS = ("accept", "content-length", "content-type", "last-event-id", "user-agent", "x-request-id")
_OUR_CRUMBS = ("agent", "attempt", "job", "stream")
"""The categories that `shared.telemetry.breadcrumbs` uses."""


def scrub_event(event: Any, _hint: Any = None) -> Any:
    """Removes from an error or transaction what must not be sent to Sentry."""
    if request := event.get("request"):
        event["request"] = _request(request)
    for exception in (event.get("exception") or {}).get("values") or ():
        if str(exception.get("module") or "").partition(".")[0] in _QUOTING_MODULES:
            exception["value"] = FILTERED
    return _clean(event)


def scrub_breadcrumb(crumb: Any, _hint: Any = None) -> Any:
    """Lets our own breadcrumbs and log lines pass. A library's may hold anything, such as a URL with its query."""
    is_kept = crumb.get("category") in _OUR_CRUMBS or crumb.get("type") == "log"
    return _clean(crumb) if is_kept else None


def _request(request: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in (request.get("headers") or {}).items() if name.lower() in _KEPT_HEADERS}
    url = str(request.get("url", "")).partition("?")[0]
    return {"method": request.get("method"), "url": url, "headers": headers}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: FILTERED if _is_private(name) else _clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return _SECRET_VALUES.sub(FILTERED, value) if isinstance(value, str) else value


def _is_private(name: object) -> bool:
    letters = re.sub(r"[^a-z]", "", str(name).lower())
    return letters in _TEXTS or letters.endswith(_SECRETS)

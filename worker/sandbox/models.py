"""Lists the models of the sandbox, as `GET /v1/models` describes them, and the parameters that each refuses."""

import re
from dataclasses import dataclass
from typing import Any

EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ALIAS_DATE = re.compile(r"-\d{8}$")


@dataclass(frozen=True)
class Model:
    """Describes one model. `thinking` are the types it accepts; `is_current` means the rules of models from 4.7 on."""

    id: str
    name: str
    line: str | None
    created_at: str
    efforts: tuple[str, ...] = EFFORTS
    thinking: tuple[str, ...] = ("adaptive", "between_tools")
    thinks_by_default: bool = True
    takes_sampling: bool = False
    is_current: bool = True
    max_tokens: int = 128_000
    lifecycle: str = "active"
    deprecated_at: str | None = None
    retires_at: str | None = None
    min_cacheable_tokens: int = 1024


_EARLIER: dict[str, Any] = {
    "thinking": ("enabled", "disabled"),
    "thinks_by_default": False,
    "takes_sampling": True,
    "is_current": False,
    "max_tokens": 64_000,
}
MODELS = {
    model.id: model
    for model in (
        Model(
            "sandbox",
            "Sandbox",
            None,
            "1970-01-01T00:00:00Z",
            thinks_by_default=False,
            takes_sampling=True,
            min_cacheable_tokens=1,
        ),
        Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "sonnet", "2026-09-15T00:00:00Z"),
        Model("claude-opus-5-5", "Claude Opus 5.5", "opus", "2026-09-15T00:00:00Z"),
        Model("claude-haiku-5-5", "Claude Haiku 5.5", "haiku", "2026-09-15T00:00:00Z", EFFORTS[:3]),
        Model(
            "claude-sonnet-4-6",
            "Claude Sonnet 4.6",
            "sonnet",
            "2026-02-17T00:00:00Z",
            efforts=("low", "medium", "high", "max"),
            **_EARLIER | {"thinking": ("adaptive", "enabled", "disabled")},
        ),
        Model(
            "claude-sonnet-4-5-20250929",
            "Claude Sonnet 4.5",
            "sonnet",
            "2025-09-29T00:00:00Z",
            efforts=(),
            lifecycle="deprecated",
            deprecated_at="2026-05-30T00:00:00Z",
            retires_at="2026-11-30T00:00:00Z",
            **_EARLIER,
        ),
        Model(
            "claude-3-5-haiku-20241022",
            "Claude Haiku 3.5",
            "haiku",
            "2024-10-22T00:00:00Z",
            efforts=(),
            lifecycle="retired",
            deprecated_at="2025-12-19T00:00:00Z",
            retires_at="2026-02-19T00:00:00Z",
            **_EARLIER,
        ),
    )
}
_VERSION = re.compile(r"claude-(?:opus|sonnet|haiku)-(\d+)(?:-(\d{1,2})(?!\d))?")
_FIRST_CURRENT = (4, 7)


def find(name: str) -> Model | None:
    """Returns the model of this name, or of this alias: the name without its date."""
    aliases = (model for model in MODELS.values() if _ALIAS_DATE.sub("", model.id) == name)
    return MODELS.get(name) or next(aliases, None)


def rules_for(name: str) -> Model:
    """Returns the rules of a request's model.

    For a model that is not listed they follow from its version; without one they are those of the sandbox.
    """
    if known := find(name):
        return known
    found = _VERSION.match(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    if version >= _FIRST_CURRENT or name.startswith(("claude-fable", "claude-mythos")):
        return Model(name, name, None, "1970-01-01T00:00:00Z")
    if found:
        return Model(name, name, None, "1970-01-01T00:00:00Z", efforts=(), **_EARLIER)
    sandbox = MODELS["sandbox"]
    return Model(name, name, None, sandbox.created_at, thinks_by_default=False, takes_sampling=True)


def described(model: Model) -> dict[str, Any]:
    """Returns the model as the Models API describes it."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name if model.id == "sandbox" else f"{model.name} (sandbox)",
        "created_at": model.created_at,
        "lifecycle": model.lifecycle,
        "deprecated_at": model.deprecated_at,
        "retires_at": model.retires_at,
        "line": model.line,
        "allowed_fallback_models": [],
        "max_input_tokens": 200_000,
        "max_tokens": model.max_tokens,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    def flags(names: tuple[str, ...], held: tuple[str, ...]) -> dict[str, Any]:
        return {name: {"supported": name in held} for name in names}

    yes, no = {"supported": True}, {"supported": False}
    return {
        "batch": yes,
        "citations": no,
        "code_execution": no,
        "compaction": None,
        "context_management": no,
        "effort": {"supported": bool(model.efforts), **flags(EFFORTS, model.efforts)},
        "image_input": no,
        "pdf_input": no,
        "server_tools": {"supported": False, "code_execution": no, "web_search": no},
        "structured_outputs": yes if model.lifecycle != "retired" else no,
        "thinking": {
            "supported": bool(model.thinking),
            "types": flags(("adaptive", "between_tools", "disabled", "enabled"), model.thinking),
        },
    }

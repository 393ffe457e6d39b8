"""Adds `files` to suggestions: true ones, or false ones on purpose."""

import json
import random
from typing import Any

from worker.sandbox.project import files_read, files_seen
from worker.sandbox.task import Task
from worker.sandbox.wire import JsonObject

_FILES_A_SUGGESTION = 2
_WHYS = (
    "The page is defined here",
    "It calls the page, so it has to know of the change",
    "The nearest place to keep what is new",
    "It mentions the page and would have to follow",
)
_ABSENT = ("src/pages/Imaginary.tsx", "lib/made/up.py", "docs/never-written.md")
_OUTSIDE = ("/etc/passwd", "../../etc/hostname", "..", "~/.ssh/config", "src/../../secrets.txt", "C:\\Windows\\win.ini")
_SECRET = (".env", "config/.env.production", "id_rsa", ".git/config", "terraform.tfstate", "service-account.json")
_UNSEEN = ("README.md", "package.json", "pyproject.toml", "Makefile", "src/index.ts", "src/cart.ts")
_ODD = ("", " ", ".", "src/", "a\x00b", "x" * 5000, "src//Checkout.tsx", "./src/Checkout.tsx")


def wants_files(body: JsonObject) -> bool:
    """Returns whether the schema of the answer has `files` in its suggestions."""
    return _has_files(((body.get("output_config") or {}).get("format") or {}).get("schema"))


def _has_files(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_files, schema))
    if not isinstance(schema, dict):
        return False
    properties = schema.get("properties")
    if isinstance(properties, dict) and {"title", "files"} <= properties.keys():
        return True
    return any(map(_has_files, schema.values()))


def add_files(text: str, task: Task, *, is_lying: bool, is_half_escaped: bool = False) -> str:
    """Returns the answer with `files` in each of its suggestions.

    With `is_half_escaped` its second half is written in \\u escapes.
    """
    answer = json.loads(text)
    read = [path for path in (file.path for file in files_read(task.looks)) if not path.startswith("/")]
    seen = [path for path in files_seen(task) if not path.startswith("/")]
    true = [path.removeprefix("./") for path in dict.fromkeys(read + seen)]
    choice = random.Random(task.digest)  # noqa: S311
    for number, suggestion in enumerate(answer["suggestions"]):
        first = number * _FILES_A_SUGGESTION
        paths = [true[(first + n) % len(true)] for n in range(min(_FILES_A_SUGGESTION, len(true)))]
        if is_lying:
            paths = _lies(paths, set(true), choice)
        suggestion["files"] = [{"path": path, "why": _WHYS[n % len(_WHYS)] + "."} for n, path in enumerate(paths)]
    suggestions = answer.pop("suggestions")
    half = len(suggestions) // 2 if is_half_escaped else len(suggestions)
    head = json.dumps(answer, ensure_ascii=False)[:-1]
    written = [json.dumps(each, ensure_ascii=number >= half) for number, each in enumerate(suggestions)]
    return f'{head}, "suggestions": [{", ".join(written)}]}}'


def _lies(true: list[str], seen: set[str], choice: random.Random) -> list[str]:
    """Returns the true paths mixed with others: absent, outside, secret, unseen, in another case, or no paths."""
    unseen = [path for path in _UNSEEN if path not in seen]
    lies = [choice.choice(kind) for kind in (_ABSENT, _OUTSIDE, _SECRET, unseen or _UNSEEN, _ODD)]
    lies += [path.swapcase() for path in true]
    paths = list(dict.fromkeys(true)) + lies
    choice.shuffle(paths)
    return paths

"""Loads the Lua scripts in `lua/`, each of which Redis runs as one atomic step."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

Argument = bytes | str | int | float


class Script:
    """Calls one script by its hash. The script's text is sent only when Redis does not know it yet."""

    def __init__(self, name: str) -> None:
        folder = files("shared.state") / "lua"
        self.text = "\n".join((folder / f"{part}.lua").read_text() for part in ("common", name))
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, redis: Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Runs the script and returns its answer. Raises redis.RedisError."""
        try:
            return redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return redis.eval(self.text, len(keys), *keys, *args)


@cache
def script(name: str) -> Script:
    """Returns the script of this name, with common.lua in front of it."""
    return Script(name)

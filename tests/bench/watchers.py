"""Runs the viewers, who create jobs and watch them: a C program, so that it never limits a measurement.

Times are in microseconds since the epoch, by the same clock as the sandbox's records.
"""

import json
import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.bench.load import build
from tests.conftest import token
from tests.stack import BODY, JOBS, LIFETIME_SECONDS

_SOURCE = Path(__file__).with_name("watchers.c")


@dataclass(frozen=True)
class Arrival:
    """Represents a delta that arrived at a viewer. `timestamp_ms` is when the worker wrote it."""

    at: int
    total_length: int
    timestamp_ms: int


@dataclass(frozen=True)
class Watched:
    """Represents a job from its POST to its final event, `final`. `holes` and `duplicates` count errors of delivery."""

    page: str
    job_id: str
    posted: int
    answered: int
    first_byte: int
    first_delta: int
    ended: int
    final: str
    deltas: int
    holes: int
    duplicates: int
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return self.final == "complete" and not self.holes and not self.duplicates

    @property
    def was_started_over(self) -> bool:
        """Returns whether another attempt has written the text again from its start."""
        return any(after.total_length <= before.total_length for before, after in pairwise(self.arrivals))


@dataclass(frozen=True)
class Watching:
    watched: list[Watched]
    cpu_seconds: float


class Watchers:
    """Runs the program. Raises SystemExit if there is no C compiler."""

    def __init__(self) -> None:
        self._program = build(_SOURCE)

    def ask_and_watch(self, port: int, pages: list[str], *, per_second: float = 1000, seconds: float = 60) -> Watching:
        """Creates a job for each page, `per_second` of them, and watches each to its end; gives up after `seconds`."""
        bodies = "".join(json.dumps({**BODY, "pageOrComponent": page}) + "\n" for page in pages)
        bearer = token("alice", lifetime_seconds=LIFETIME_SECONDS)
        command = [str(part) for part in (self._program, port, JOBS, bearer, per_second, seconds)]
        done = subprocess.run(command, input=bodies, stdout=subprocess.PIPE, text=True, check=True)
        return _parsed(done.stdout, pages)


def _parsed(output: str, pages: list[str]) -> Watching:
    watched: list[Watched] = []
    cpu_seconds = 0.0
    for line in output.splitlines():
        kind, *parts = line.split()
        if kind == "stream":
            number, job_id, *times, final, deltas, holes, duplicates = parts
            posted, answered, first_byte, first_delta, ended = map(int, times)
            ends = (posted, answered, first_byte, first_delta, ended, final, int(deltas), int(holes), int(duplicates))
            watched.append(Watched(pages[int(number)], job_id, *ends))
        elif kind == "delta":
            at, total_length, timestamp_ms = map(int, parts[1:])
            watched[int(parts[0])].arrivals.append(Arrival(at, total_length, timestamp_ms))
        else:
            cpu_seconds = int(parts[0]) / 1e6
    return Watching(watched, cpu_seconds)

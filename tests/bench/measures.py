"""Reads the CPU time and memory of processes from /proc, and summarizes samples."""

import os
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.stack import children

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Returns the ids of the process and all its descendants."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Returns the CPU time in seconds of these processes, with their threads and the children they have waited for."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def memory_mb(pids: Iterable[int]) -> float:
    """Returns the memory of these processes in MB (10^6 bytes); shared pages count once (PSS)."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def now_ms() -> int:
    return int(time.time() * 1000)

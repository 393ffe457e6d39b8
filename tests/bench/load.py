"""Builds and runs the load generator, which is written in C so that it never limits a measurement."""

import atexit
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("load.c")


@cache
def build(source: Path) -> str:
    """Builds a program from one C file, once for each run. Raises SystemExit if there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit(f"make bench needs a C compiler (cc) for {source.name}")
    folder = Path(tempfile.mkdtemp(prefix="planner-bench-"))
    atexit.register(shutil.rmtree, folder)
    program = folder / source.stem
    subprocess.run([compiler, "-O2", "-o", program, source, "-lpthread"], check=True)
    return str(program)


def _arguments(command: str, options: dict[str, Any]) -> list[str]:
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    return [build(_SOURCE), command, *(part for pair in pairs for part in pair)]


def run(command: str, **options: Any) -> dict[str, Any]:
    """Runs the load generator to its end. Returns its figures, in microseconds."""
    done = subprocess.run(_arguments(command, options), check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


class Load:
    """Represents a run that prints a word at certain points, so that its parent can measure or continue it there."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def wait_for(self, word: str) -> None:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line == word, f"the load generator said {line!r}, not {word!r}"

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def figures(self) -> dict[str, Any]:
        assert self._process.stdout
        figures: dict[str, Any] = json.loads(self._process.stdout.readline())
        return figures


def open_once(**options: Any) -> dict[str, Any]:
    """Opens the streams, and closes them as soon as all are open."""
    with running("streams", **{**options, "seconds": 0}) as generator:
        generator.wait_for("open")
        generator.go_on()
        return generator.figures()


@contextmanager
def running(command: str, **options: Any) -> Iterator[Load]:
    with subprocess.Popen(
        _arguments(command, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Load(process)
        finally:
            process.kill()

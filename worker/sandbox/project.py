"""Finds out from tool results which files the project has, and which of them matter to the page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from worker.sandbox.task import Look, Task

_GREP_LINE = re.compile(r"(?P<path>[^:\n]+?\.\w{1,8})[:-]\d+[:-]")
_NUMBERED = re.compile(r"\d+[:-]")
_PATH_LINE = re.compile(r"[^:*?\"<>|]*[^:*?\"<>|\s/]\.\w{1,8}")
_DEFINITION = re.compile(r"\b(?:class|def|function|interface|const|func|fn)\s+(\w{3,40})")
_SOURCE = frozenset(
    (
        "py",
        "ts",
        "tsx",
        "js",
        "jsx",
        "vue",
        "svelte",
        "rb",
        "go",
        "rs",
        "java",
        "kt",
        "php",
        "cs",
        "swift",
        "html",
        "css",
        "scss",
        "ex",
    )
)
_PROSE = frozenset(("md", "mdx", "rst", "txt"))
# These are never read: generated, vendored, or not text at all.
_SKIPPED_PARTS = frozenset(("node_modules", "site-packages", "dist", "build", "vendor", "__pycache__"))
_SKIPPED_SUFFIXES = frozenset(
    (
        "png",
        "jpg",
        "jpeg",
        "gif",
        "webp",
        "ico",
        "pdf",
        "svg",
        "lock",
        "map",
        "woff",
        "woff2",
        "ttf",
        "pyc",
        "zip",
        "gz",
        "tgz",
        "sqlite",
        "db",
    )
)
_SCORE_IN_NAME, _SCORE_IN_PATH, _SCORE_SOURCE, _SCORE_PROSE, _SCORE_TEST, _MOST_HITS = 6, 3, 4, 1, -3, 3


@dataclass(frozen=True)
class File:
    """Describes a file that has been read."""

    path: str
    lines: int
    defines: str | None

    def describe(self) -> str:
        """Returns the file as the answer names it."""
        defines = f", defines `{self.defines}`" if self.defines else ""
        return f"`{short_path(self.path)}` ({self.lines} line{'s' if self.lines != 1 else ''}{defines})"


def files_read(looks: tuple[Look, ...]) -> list[File]:
    """Returns the files that were really read."""
    files = []
    for look in looks:
        path = next((str(value) for value in look.input.values() if isinstance(value, str)), "")
        if look.tool == "Read" and path and look.result and not look.is_error:
            definition = _DEFINITION.search(look.result)
            files.append(File(path, len(look.result.splitlines()), definition[1] if definition else None))
    return files


def files_seen(task: Task) -> list[str]:
    """Returns the files that searches have shown, the likeliest first."""
    hits: dict[str, int] = {}
    for look in task.looks:
        if look.tool in ("Glob", "Grep") and not look.is_error:
            for path, is_line in lines_of(look.result):
                hits[path] = hits.get(path, 0) + is_line
    worth = [path for path in hits if _is_relevant(path)]
    return sorted(worth, key=lambda path: (-_score(path, hits[path], task.keyword), len(path), path))


def lines_of(result: str) -> Iterator[tuple[str, bool]]:
    """Yields the file of each line that a search has shown, and whether the line is one of the file or names it only.

    A file's lines begin with its path, or stand below it and begin with their number.
    """
    above = ""
    for line in result.splitlines():
        if found := _GREP_LINE.match(line):
            yield found["path"], True
        elif above and _NUMBERED.match(line):
            yield above, True
        elif _PATH_LINE.fullmatch(line.strip()):
            above = line.strip()
            yield above, False


def is_named(task: Task) -> bool:
    """Returns whether a search for the page's own name found anything, so that the files seen are about it."""
    return any(
        word in value.lower() and not look.is_error and _has_paths(look.result)
        for look in task.looks
        for value in look.input.values()
        if look.tool in ("Glob", "Grep") and isinstance(value, str) and (word := (task.keyword or "").lower()[1:])
    )


def _has_paths(result: str) -> bool:
    return any(_GREP_LINE.match(line) or _PATH_LINE.fullmatch(line.strip()) for line in result.splitlines())


def short_path(path: str) -> str:
    """Returns the path as a person would name it: of an absolute one the last three parts."""
    return "/".join(PurePosixPath(path).parts[-3:]) if path.startswith("/") else path.removeprefix("./")


def _is_relevant(path: str) -> bool:
    pure = PurePosixPath(path)
    is_hidden = any(part.startswith(".") and part not in (".", "..") for part in pure.parts)
    return not is_hidden and not _SKIPPED_PARTS & set(pure.parts) and _suffix(path) not in _SKIPPED_SUFFIXES


def _score(path: str, hits: int, keyword: str | None) -> int:
    folded, name, word = short_path(path).lower(), PurePosixPath(path).name.lower(), (keyword or "\0").lower()
    score = min(hits, _MOST_HITS)
    score += _SCORE_IN_NAME if word in name else _SCORE_IN_PATH if word in folded else 0
    score += _SCORE_SOURCE if _suffix(path) in _SOURCE else _SCORE_PROSE if _suffix(path) in _PROSE else 0
    return score + (_SCORE_TEST if "test" in folded or "spec" in name else 0)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().removeprefix(".")

"""Compiles glob patterns to regular expressions over paths, by ripgrep's rules with two additions for a model.

A pattern without a slash matches a name at any depth; `*` and `?` stop at slashes, `**` does not; `{a,b}` is either.
`[id]` matches as a character class and also as a folder of that name, which frameworks use for routes.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

MAX_PATTERN_CHARACTERS = 500
MAX_ALTERNATIVES = 64
_FOLDERS, _ANYTHING, _STAR = "(?:[^/]++/)*?", ".*?", "[^/]*"
"""The expressions of `**/`, of another `**` and of `*`; the first two try the shortest text first."""


class BadGlob(ValueError):
    """Signals that a pattern is malformed. The message says why."""


@lru_cache(maxsize=1000)
def compile_glob(pattern: str, *, ignores_case: bool = False) -> re.Pattern[str]:
    """Returns the regular expression that a whole relative path must match. Raises BadGlob."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise BadGlob(f"the pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    readings = []
    for plain in _without_braces(pattern.removeprefix("./")):
        anchored = plain if "/" in plain else f"**/{plain}"
        if anchored.endswith("/"):
            anchored += "**"
        readings += [_translated(anchored, has_classes=False)]
        if "[" in anchored:
            readings += [_translated(anchored, has_classes=True)]
    try:
        return re.compile("|".join(dict.fromkeys(readings)), re.DOTALL | (re.IGNORECASE if ignores_case else 0))
    except re.error as error:
        raise BadGlob(f"not a valid glob pattern: {error.msg}") from None


def last_names(pattern: str) -> list[str]:
    """Returns the last component of each reading, as globs for ripgrep that match at least as much.

    The list is empty where any name would match.
    """
    names = []
    for plain in _without_braces(pattern):
        name = plain.rpartition("/")[2]
        if not name or "**" in name or "\\" in name:
            return []
        names += [name, re.sub(r"([\[\]])", r"[\1]", name)] if "[" in name else [name]
    return names


def static_prefix(pattern: str) -> str:
    """Returns the folders that the pattern begins with, before anything that is not plain text; '' for none."""
    folders = []
    for folder in pattern.removeprefix("./").split("/")[:-1]:
        if re.search(r"[*?\[\]{}\\]", folder) or folder in ("", ".", ".."):
            break
        folders.append(folder)
    return "/".join(folders)


def _without_braces(pattern: str) -> list[str]:
    found, done = [pattern], []
    while found:
        plain = found.pop()
        match = re.search(r"\{([^{}]*)\}", plain)
        if match is None:
            done.append(plain)
        else:
            found += [plain[: match.start()] + each + plain[match.end() :] for each in match[1].split(",")]
        if len(found) + len(done) > MAX_ALTERNATIVES:
            raise BadGlob(f"the pattern has more than {MAX_ALTERNATIVES} alternatives")
    return sorted(done)


def _translated(pattern: str, *, has_classes: bool) -> str:
    """Returns a regular expression that takes no more than a quadratic number of steps, however many wildcards.

    Each part between wildcards matches at the first position where it can, and no other one is tried later (`(?>...)`):
    a later position would leave the next wildcard fewer choices. Trying all would hold up all jobs of the process.
    """
    sections: list[list[str]] = [[]]
    for piece in _pieces(pattern, has_classes=has_classes):
        if piece in (_FOLDERS, _ANYTHING):
            sections.append([])
        sections[-1].append(piece)
    *inner, last = sections
    return "".join(f"(?>{_section(each, is_last=False)})" for each in inner) + _section(last, is_last=True)


def _section(pieces: list[str], *, is_last: bool) -> str:
    """Returns the expression of what follows `**`, up to the next `**` or to the end of the pattern."""
    begun, *stars = _split(pieces)
    expression = "".join(begun)
    for number, run in enumerate(stars):
        if is_last and number == len(stars) - 1 and "/" not in run:
            expression += "[^/]*" + "".join(run)
            continue
        end = run.index("/") + 1 if "/" in run else len(run)
        expression += f"(?>[^/]*?{''.join(run[:end])})" + "".join(run[end:])
    return expression


def _split(pieces: list[str]) -> list[list[str]]:
    """Returns the pieces before the first star, and those after each star."""
    runs: list[list[str]] = [[]]
    for piece in pieces:
        if piece == _STAR:
            runs.append([])
        else:
            runs[-1].append(piece)
    return runs


def _pieces(pattern: str, *, has_classes: bool) -> Iterator[str]:
    """Yields an expression for each wildcard, class and character of the pattern."""
    pattern = re.sub(r"\*{3,}", "**", pattern)
    pattern = re.sub(r"(\*\*/)+", "**/", pattern)
    position, piece = 0, "/"
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/") and piece == "/":
            piece, length = _FOLDERS, 3
        elif rest.startswith("**"):
            piece, length = _ANYTHING, 2
        elif rest[0] == "*":
            piece, length = _STAR, 1
        elif rest[0] == "?":
            piece, length = "[^/]", 1
        elif has_classes and (found := re.match(r"\[([!^]?)(\]?[^\]/]*)\]", rest)):
            negation = "^/" if found[1] else ""
            piece, length = f"(?!/)[{negation}{_class(found[2])}]", found.end()
        elif rest[0] == "\\" and len(rest) > 1:
            piece, length = re.escape(rest[1]), 2
        else:
            piece, length = re.escape(rest[0]), 1
        yield piece
        position += length


def _class(members: str) -> str:
    """Returns the members of a character class, escaped except for a dash between two of them."""
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", members)

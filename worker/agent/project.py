"""Gives access to the project's directory, by one rule for what may be read.

The agent reads what `rg --files` lists in the root, less hidden files, less those whose names say that they hold
secrets (`secret_names`), less what is not a regular file with a single name (`file_access`). Ignore files apply
whether or not there is a `.git`; none of them can open what is hidden or secret. Read, Grep, Glob and the overview of
the project all use this module.
"""

import asyncio
import os
import re
import shutil
import sys
from ast import literal_eval
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from anthropic.lib.tools import ToolError

from worker.agent import file_access, file_readers, processes
from worker.agent.processes import Output
from worker.agent.secret_names import is_hidden, is_secret

LISTING_SECONDS = 10.0
MAX_LISTING_BYTES = 40_000_000
KEEP_SECONDS = 5.0
MAX_PATH_CHARACTERS = 1_000
MAX_NEIGHBOURS = 5
MAX_NARROWED_FOLDERS = 50
"""A deeper path is searched for from this depth on: ripgrep takes seconds to read a rule of hundreds of folders."""

RULE = (
    "--no-config",
    "--no-messages",
    "--color=never",
    "--no-require-git",
    # These take precedence over all ignore files. A name with a line break would be read as another file's.
    "--glob=!.*",
    "--glob=!*[\x01-\x1f\x7f]*",
)
_UNREADABLE = "the project cannot be read right now"
_EXIT_CODES = (0, 1, 2, None)
"""How ripgrep ends: something found, nothing, something not readable, or ended by us. With any other code it was killed
by a signal or has crashed, and what it wrote says nothing about what it has not written."""
_SPECIAL = re.compile(r"([\\*?\[\]{}!# ])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def ripgrep_path() -> str | None:
    """Returns where ripgrep is: beside this Python, else on the PATH."""
    beside = Path(sys.executable).parent / "rg"
    return str(beside) if beside.exists() else shutil.which("rg")


class Project:
    """Represents the configured directory that the agent may read."""

    def __init__(self, root: str) -> None:
        self._configured = root
        self.ripgrep = ripgrep_path() or "rg"

    @property
    def root(self) -> Path:
        """Returns where the directory is now: a root that is a link may lead elsewhere for the next job."""
        return Path(self._configured).resolve()

    def open(self) -> "OpenProject":
        """Returns the project for one job, which sees one root from its beginning to its end."""
        return OpenProject(str(self.root), self._configured, self.ripgrep)


@dataclass(frozen=True)
class Listing:
    """Holds the files that ripgrep listed, all of them or those that it found in time."""

    paths: list[str]
    is_whole: bool = True


class OpenProject:
    """Gives one job access to the project. Paths are relative to the root, with slashes and without a leading `./`."""

    def __init__(self, root: str, configured: str, ripgrep: str) -> None:
        self.root = root
        self._prefixes = tuple(dict.fromkeys(prefix.rstrip("/") for prefix in (root, configured)))
        self._ripgrep = ripgrep

    def relative(self, path: str) -> str:
        """Returns the path relative to the root, '' for the root itself.

        Raises ToolError for a path that leads out of it.
        """
        if len(path) > MAX_PATH_CHARACTERS or _UNPRINTABLE.search(path):
            raise ToolError(f"{shown(path)}: not a path of the project")
        for prefix in self._prefixes:
            if path == prefix or path.startswith(f"{prefix}/"):
                path = path[len(prefix) :]
                break
        parts: list[str] = []
        for part in PurePosixPath(path).parts:
            if part == "..":
                if not parts:
                    raise ToolError(f"{shown(path)}: outside the project; paths are relative to its root")
                parts.pop()
            elif part != "/":
                parts.append(part)
        return "/".join(parts)

    async def files(self, inside: str = "") -> list[str]:
        """Returns the files that may be read in this folder, or this one file, as far as `listing` found them."""
        return (await self.listing(inside)).paths

    async def listing(self, inside: str = "") -> Listing:
        """Returns the files that may be read in this folder, or this one file; empty where there is none.

        They are in no order. Raises ToolError where none was found in time.
        """
        if inside and (is_hidden(inside) or is_secret(inside)):
            return Listing([])
        output = await self.search(["--files", "--null"], inside, MAX_LISTING_BYTES, LISTING_SECONDS)
        paths = await asyncio.to_thread(_listed, output.data, inside)
        if output.is_late and not paths:
            raise ToolError("the project's files could not be listed in time")
        return Listing(paths, is_whole=not (output.is_late or output.is_cut))

    async def search(self, arguments: list[str], inside: str, max_bytes: int, seconds: float) -> Output:
        """Returns the output of ripgrep over the readable files in `inside`.

        The walk begins at the root, so that every ignore file on the way counts; an ignore file of the least weight
        keeps it out of other folders. An ignore file of the project may override that one, so the caller has to check
        each path with `is_readable`.
        """
        given, flags = _way_to(inside), list[str]()
        if given:
            flags = ["--ignore-file=/dev/stdin"]
        command = [self._ripgrep, *RULE, *flags, *arguments, "./"]
        return await self._run(command, given.encode(errors="surrogateescape"), max_bytes, seconds)

    async def keep(self, paths: list[str]) -> list[str]:
        """Returns those of the paths that are regular files with a single name, reached without links.

        Raises ToolError where that cannot be found out in time.
        """
        if not paths:
            return []
        try:
            answer = await self._ask_reader("keep", *paths, seconds=KEEP_SECONDS)
        except TimeoutError:
            raise ToolError("the files that were found could not be checked in time; ask for fewer") from None
        kept = {os.fsdecode(path) for path in answer.split(b"\0")}
        return [path for path in paths if path in kept]

    async def read(self, path: str, first: int, last: int | None) -> dict[str, Any] | None:
        """Returns what `file_access` says of this file, whose path the caller has found in `files`.

        Returns None where it took too long.
        """
        seconds = file_access.READ_SECONDS + 1
        try:
            answer = await self._ask_reader("read", path, str(first), str(last or 0), seconds=seconds)
        except TimeoutError:
            return None
        found: dict[str, Any] = literal_eval(answer.decode())
        return found

    async def why_not(self, path: str) -> str:
        """Returns a sentence on why this path is not among the files, with similar paths that may have been meant."""
        listing = await self.listing()
        listed = listing.paths
        if not path or any(each.startswith(f"{path}/") for each in listed):
            return f"{shown(path) or '.'}: is a folder; list it with Glob"
        name = PurePosixPath(path).name.casefold()
        alike = sorted(each for each in listed if PurePosixPath(each).name.casefold() == name and name)
        if not alike and not listing.is_whole:
            return f"{shown(path)}: not found among the first {len(listed)} files; there was no time to list more"
        if not alike:
            return f"{shown(path)}: no such file or folder, or not readable (hidden, ignored or secret)"
        return f"{shown(path)}: no such file; did you mean {', '.join(alike[:MAX_NEIGHBOURS])}?"

    async def _ask_reader(self, command: str, *fields: str, seconds: float) -> bytes:
        given = (os.fsencode(field) for field in (command, self.root, *fields))
        try:
            return await file_readers.ask(*given, seconds=seconds)
        except TimeoutError:
            raise
        except OSError:
            raise ToolError(_UNREADABLE) from None

    async def _run(self, command: list[str], given: bytes, max_bytes: int, seconds: float) -> Output:
        try:
            output = await processes.run(command, folder=self.root, given=given, max_bytes=max_bytes, seconds=seconds)
        except OSError:
            raise ToolError(_UNREADABLE) from None
        if output.exit_code not in _EXIT_CODES:
            raise ToolError(_UNREADABLE)
        return output


def is_readable(path: str, inside: str) -> bool:
    """Returns whether a path of ripgrep's output may be shown: it is in this folder, and neither hidden nor secret."""
    is_inside = not inside or path == inside or path.startswith(f"{inside}/")
    return is_inside and not is_hidden(path) and not is_secret(path) and not _UNPRINTABLE.search(path)


def shown(text: str) -> str:
    """Returns the model's text, shortened so that it can be quoted in an answer."""
    return text if len(text) <= 200 else f"{text[:200]}..."


def _listed(data: bytes, inside: str) -> list[str]:
    paths = (os.fsdecode(path).removeprefix("./") for path in data.split(b"\0")[:-1])
    return [path for path in paths if is_readable(path, inside)]


def _way_to(path: str) -> str:
    """Returns the lines of an ignore file that excludes all but this path and what is in it.

    Of a very deep path only the first folders count, so the caller has to check what is found.
    """
    lines, passed = [], ""
    for part in path.split("/")[:MAX_NARROWED_FOLDERS] if path else []:
        escaped = _SPECIAL.sub(r"\\\1", part)
        lines += [f"{passed}/*", f"!{passed}/{escaped}"]
        passed = lines[-1][1:]
    return "".join(f"{line}\n" for line in lines)

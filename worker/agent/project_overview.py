"""Makes the overview of the project that each conversation begins with: it saves the model its first searches."""

import asyncio
import html
import re
import time
from collections import Counter
from pathlib import PurePosixPath

from anthropic.lib.tools import ToolError

from worker.agent.project import OpenProject

MAX_BYTES = 10_000
"""The overview is no longer than this: about 2,500 tokens."""
REFRESH_SECONDS = 60.0
"""The files are listed again no sooner. The text changes only when the project does, so it stays in the cache."""
WAIT_SECONDS = 3.0
"""A job waits no longer than this for the first overview."""
MAX_FOLDERS, MAX_PAGES = 60, 80
HEADS = {"README.md": 2_500, "CLAUDE.md": 1_500, "AGENTS.md": 1_500}
"""The overview quotes this many characters of the beginning of each file."""
_PAGE = re.compile(
    r"(^|/)(pages?|routes?|views?|screens?|urls|router|controllers?)(/|\.[a-z]+$)|"
    r"(^|/)(page|route|layout|\+page|\+layout)\.[a-z]+$|(page|screen|view|route)s?\.(tsx?|jsx?|vue|svelte|py|rb|php)$",
    re.IGNORECASE,
)
_TESTS = re.compile(r"(^|/)(tests?|__tests__|specs?|fixtures?|node_modules|dist|build)(/|$)|\.(test|spec|stories)\.")


class ProjectOverviews:
    """Caches the latest overview of the project."""

    def __init__(self) -> None:
        self._root = ""
        self._overview = ""
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None

    async def overview(self, project: OpenProject) -> str:
        """Returns the overview. If it is old, a new one is made for the next job.

        It is empty where the project could not be read in time.
        """
        self.begin(project)
        if project.root != self._root and self._making is not None:
            await asyncio.wait({self._making}, timeout=WAIT_SECONDS)
        return self._overview if project.root == self._root else ""

    def begin(self, project: OpenProject) -> None:
        """Starts making the overview if there is none of this root, or it is old."""
        is_old = project.root != self._root or time.monotonic() - self._made_at > REFRESH_SECONDS
        if self._making is None and is_old:
            self._making = asyncio.create_task(self._make(project))

    async def _make(self, project: OpenProject) -> None:
        try:
            overview = await make_overview(project)
        except ToolError:
            overview = ""
        finally:
            self._making = None
        self._root, self._overview, self._made_at = project.root, overview, time.monotonic()


async def make_overview(project: OpenProject) -> str:
    """Returns the text of the overview. Raises ToolError where the project cannot be listed."""
    listing = await project.listing()
    files = sorted(listing.paths)
    if not files:
        return ""
    count = f"{len(files)}" if listing.is_whole else f"more than {len(files)}"
    parts = [f"The project has {count} files that your tools can show.", "Folders and their files:", *_tree(files)]
    if pages := [path for path in files if _PAGE.search(path) and not _TESTS.search(path)]:
        more = [f"... and {len(pages) - MAX_PAGES} more"] if len(pages) > MAX_PAGES else []
        parts += ["", "Pages and routes, by their names:", *pages[:MAX_PAGES], *more]
    for name, length in HEADS.items():
        if name in files and (head := await _head(project, name, length)):
            parts += ["", f"{name} begins:", head]
    return _bounded(html.escape("\n".join(parts), quote=False))


def _tree(files: list[str]) -> list[str]:
    """Returns two levels of folders with their numbers of files; the largest ones where not all have room."""
    counts: Counter[str] = Counter()
    for path in files:
        for folder in list(PurePosixPath(path).parents)[-3:-1]:
            counts[f"{folder}/"] += 1
    shown = sorted(folder for folder, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MAX_FOLDERS])
    here = [path for path in files if "/" not in path][:MAX_FOLDERS]
    return [f"{folder} ({counts[folder]})" for folder in shown] + ([", ".join(here)] if here else [])


async def _head(project: OpenProject, name: str, length: int) -> str:
    found = await project.read(name, 1, 200)
    return str((found or {}).get("text", ""))[:length].strip()


def _bounded(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= MAX_BYTES else data[:MAX_BYTES].decode(errors="ignore") + "\n..."

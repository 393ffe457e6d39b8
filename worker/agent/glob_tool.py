"""Implements the tool Glob, which lists the files whose paths match a pattern."""

import asyncio
from collections import Counter
from pathlib import PurePosixPath

from anthropic.lib.tools import ToolError

from worker.agent.globs import BadGlob, compile_glob, static_prefix
from worker.agent.project import OpenProject
from worker.agent.shares import fairly
from worker.agent.tool import Tool, ToolAnswer, with_notes
from worker.agent.tool_arguments import MAX_HEAD_LIMIT, GlobArguments

MAX_COUNTED_FOLDERS = 10


class GlobTool(Tool[GlobArguments]):
    """Lists files by a glob pattern."""

    name = "Glob"
    description = "List the project's files whose path matches a glob pattern."

    async def _call(self, arguments: GlobArguments) -> ToolAnswer:
        inside = self._project.relative(arguments.path) if arguments.path else ""
        pattern, is_absolute = _without_root(arguments.pattern, self._project, inside)
        prefix = "/".join(filter(None, (inside, static_prefix(pattern))))
        listing = await self._project.listing(prefix)
        if not listing.paths and inside and not await self._project.files(inside):
            raise ToolError(await self._project.why_not(inside))
        notes = []
        try:
            found = await asyncio.to_thread(_matching, listing.paths, pattern, inside)
            if not found:
                listing = await self._project.listing(inside)
                found = await asyncio.to_thread(_matching, listing.paths, pattern, inside, ignores_case=True)
                notes = ["nothing in that case; these match in another one"] if found else []
        except BadGlob as error:
            raise ToolError(f"Glob: {error}") from None
        if is_absolute and not found:
            raise ToolError("Glob: the pattern must stay inside the project and is relative to its root")
        limit = min(arguments.head_limit, MAX_HEAD_LIMIT)
        chosen = await self._project.keep(sorted(fairly(_by_folder(found), limit)))
        if not chosen:
            notes = []
        if len(found) > limit:
            notes.append(_rest(found, chosen))
        if not listing.is_whole:
            notes.append("the project was not listed to its end: there may be more; narrow it by `path`")
        return ToolAnswer(with_notes("\n".join(chosen) or "no matches", notes), frozenset(chosen))


def _without_root(pattern: str, project: OpenProject, inside: str) -> tuple[str, bool]:
    """Returns the pattern relative to `inside`, and whether it was absolute and did not name the project's root.

    Raises ToolError for a pattern that leads out of the project.
    """
    if "\0" in pattern:
        raise ToolError("Glob: the pattern holds a NUL")
    if ".." in PurePosixPath(pattern).parts:
        raise ToolError("Glob: the pattern must stay inside the project, without `..`")
    base = "/".join(filter(None, (project.root, inside)))
    is_ours = pattern.startswith(f"{base}/")
    pattern = pattern[len(base) :] if is_ours else pattern
    return pattern.removeprefix("./").lstrip("/") or "**", pattern.startswith("/") and not is_ours


def _matching(paths: list[str], pattern: str, inside: str, *, ignores_case: bool = False) -> list[str]:
    """Returns the paths that match, sorted. A pattern that names a folder matches all in it. Raises BadGlob."""
    cut = len(inside) + 1 if inside else 0
    for each in (pattern, f"{pattern.rstrip('/')}/**"):
        expression = compile_glob(each, ignores_case=ignores_case)
        if found := sorted(path for path in paths if expression.fullmatch(path, cut)):
            return found
    return []


def _by_folder(paths: list[str]) -> list[list[str]]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    return list(folders.values())


def _rest(found: list[str], chosen: list[str]) -> str:
    """Returns a sentence on how many files are not shown, and in which folders."""
    missing = Counter(path.rpartition("/")[0] or "." for path in set(found).difference(chosen))
    counted = ", ".join(f"{folder}: {count}" for folder, count in sorted(missing.most_common(MAX_COUNTED_FOLDERS)))
    more = f" and {len(missing) - MAX_COUNTED_FOLDERS} more folders" if len(missing) > MAX_COUNTED_FOLDERS else ""
    return f"{len(found) - len(chosen)} more: {counted}{more}"

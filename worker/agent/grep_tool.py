"""Implements the tool Grep, which searches the project's files for a regular expression."""

import asyncio
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from anthropic.lib.tools import ToolError

from worker.agent.globs import BadGlob, compile_glob, last_names, static_prefix
from worker.agent.processes import Output
from worker.agent.project import is_readable, shown
from worker.agent.shares import fair_shares
from worker.agent.tool import MAX_OUTPUT_CHARACTERS, Tool, ToolAnswer, clipped, with_notes
from worker.agent.tool_arguments import MAX_HEAD_LIMIT, GrepArguments

SEARCH_SECONDS = 10.0
MAX_SEARCH_BYTES = 4_000_000
MAX_LINE_BYTES = 300
MAX_FILE_BYTES = 20_000_000
"""A larger file is not searched: ripgrep holds a whole line in memory, and a file may be one."""
_LINE = re.compile(rb"(\d+)([:-])")


@dataclass
class _Hits:
    """Holds what was found in one file: its lines as they are shown, or their number."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    is_latin: bool = False


class GrepTool(Tool[GrepArguments]):
    """Searches files with ripgrep."""

    name = "Grep"
    description = "Search the project's files for a regular expression (ripgrep)."

    async def _call(self, arguments: GrepArguments) -> ToolAnswer:
        if "\0" in arguments.pattern or "\n" in arguments.pattern:
            raise ToolError("Grep: the pattern must be one line without NUL; search line by line")
        inside = self._project.relative(arguments.path) if arguments.path else ""
        if inside and not await self._project.files(inside):
            raise ToolError(await self._project.why_not(inside))
        output = await self._search(arguments, inside)
        found = await asyncio.to_thread(_read, output.data, arguments, inside)
        kept = await self._project.keep(sorted(found))
        notes = _notes(output, is_late=output.is_late)
        if not kept:
            return ToolAnswer(with_notes("no matches", notes))
        return _answer({path: found[path] for path in kept}, arguments, notes)

    async def _search(self, arguments: GrepArguments, inside: str) -> Output:
        flags = ["--null", "--with-filename", "--no-heading", "--crlf", f"--max-filesize={MAX_FILE_BYTES}"]
        flags += {
            "lines": [
                "--line-number",
                f"--max-columns={MAX_LINE_BYTES}",
                "--max-columns-preview",
                f"--max-count={MAX_HEAD_LIMIT}",
                f"--context={arguments.context}",
            ],
            "files": ["--files-with-matches"],
            "counts": ["--count"],
        }[arguments.mode]
        if arguments.ignore_case:
            flags.append("--ignore-case")
        prefix = inside
        # A glob with `!` cannot be passed to ripgrep: it searches all files, and `_read` filters them.
        if arguments.glob and not arguments.glob.startswith("!"):
            try:
                # The glob is passed as a file type, since a glob option of ripgrep would override ignore files.
                names = last_names(arguments.glob)
            except BadGlob as error:
                raise ToolError(f"Grep: {error}") from None
            flags += [f"--type-add=chosen:{name}" for name in names] + (["--type=chosen"] if names else [])
            prefix = "/".join(filter(None, (inside, static_prefix(arguments.glob.lstrip("/")))))
        flags += ["-e", arguments.pattern, "--"]
        output = await self._project.search(flags, prefix, MAX_SEARCH_BYTES, SEARCH_SECONDS)
        if output.exit_code not in (0, 1, None) and not output.data and output.problem:
            raise ToolError(f"Grep: not a valid pattern: {_problem(output.problem)}")
        return output


def _problem(problem: str) -> str:
    """Returns the line of ripgrep's message that says what is wrong."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    reported = [line for line in lines if line.startswith(("error:", "rg: ", "the literal"))]
    return shown((reported[-1] if reported else " ".join(lines)).removeprefix("rg: ").removeprefix("error: "))


def _read(data: bytes, arguments: GrepArguments, inside: str) -> dict[str, _Hits]:
    """Returns what ripgrep found, by file, as far as it may be shown."""
    try:
        chosen = compile_glob(arguments.glob.removeprefix("!").lstrip("/")) if arguments.glob else None
    except BadGlob as error:
        raise ToolError(f"Grep: {error}") from None
    is_negated = (arguments.glob or "").startswith("!")
    cut = len(inside) + 1 if inside else 0
    allowed: dict[bytes, str | None] = {}
    found: dict[str, _Hits] = {}
    for raw_path, line in _records(data, arguments.mode):
        if raw_path not in allowed:
            path = os.fsdecode(raw_path).removeprefix("./")
            is_match = chosen is None or bool(chosen.fullmatch(path, cut) or chosen.fullmatch(path))
            is_chosen = is_match is not is_negated
            allowed[raw_path] = path if is_chosen and is_readable(path, inside) else None
        allowed_path = allowed[raw_path]
        if allowed_path is not None:
            _add(found.setdefault(allowed_path, _Hits()), allowed_path, line, arguments)
    return found


def _records(data: bytes, mode: str) -> Iterable[tuple[bytes, bytes]]:
    """Yields the path and the rest of each record of ripgrep's output; a record that was cut off is left out."""
    if mode == "files":
        yield from ((path, b"") for path in data.split(b"\0")[:-1])
        return
    for line in io.BytesIO(data):  # shares the bytes; a list of all lines would take as much memory again
        path, separator, rest = line.partition(b"\0")
        if separator and rest.endswith(b"\n"):
            yield path, rest[:-1]


def _add(hits: _Hits, path: str, line: bytes, arguments: GrepArguments) -> None:
    if arguments.mode != "lines":
        hits.count = int(line.strip() or 0)
        return
    head = _LINE.match(line)
    if head is None:
        return
    hits.count += head[2] == b":"
    try:
        text = line[head.end() :].decode()
    except UnicodeDecodeError:
        text, hits.is_latin = line[head.end() :].decode("latin-1"), True
    number, mark = head[1].decode(), head[2].decode()
    place = f"{number}{mark}" if arguments.line_numbers else mark
    if not arguments.context:
        place = path + mark + place.removeprefix(mark)
    elif not hits.lines:
        # The path stands once above the lines of its file: repeated in each line it would be a third of the answer.
        place = f"\n{path}\n{place}"
    hits.lines.append(place + text.rstrip("\r"))


def _answer(found: dict[str, _Hits], arguments: GrepArguments, notes: list[str]) -> ToolAnswer:
    limit = min(arguments.head_limit, MAX_HEAD_LIMIT)
    paths = list(found)
    if arguments.mode != "lines":
        shares = fair_shares([1] * len(paths), limit)
        chosen = [path for path, share in zip(paths, shares, strict=True) if share]
        lines = [f"{path}:{found[path].count}" if arguments.mode == "counts" else path for path in chosen]
        if len(chosen) < len(paths):
            notes = [f"{len(paths) - len(chosen)} more files match; narrow the search", *notes]
        return ToolAnswer(clipped(with_notes("\n".join(lines), notes)), frozenset(chosen))
    shares = _fitting_shares([found[path].lines for path in paths], limit)
    shown_lines = [line for path, share in zip(paths, shares, strict=True) for line in found[path].lines[:share]]
    seen = [path for path, share in zip(paths, shares, strict=True) if share]
    total = sum(len(hits.lines) for hits in found.values())
    if len(shown_lines) < total:
        notes = [
            f"{len(shown_lines)} of {total} lines, from {len(seen)} of {len(paths)} files; narrow the search by `path`"
            " or `glob`, or ask for mode `files`",
            *notes,
        ]
    notes += [f"{path} is not UTF-8; shown as Latin-1" for path in seen[:20] if found[path].is_latin]
    return ToolAnswer(with_notes("\n".join(shown_lines).lstrip("\n"), notes), frozenset(seen))


def _fitting_shares(groups: list[list[str]], limit: int) -> list[int]:
    """Returns each group's share of `limit` lines, or of fewer lines where those would not fit into an answer."""
    while True:
        shares = fair_shares([len(group) for group in groups], limit)
        length = sum(len(line) + 1 for group, share in zip(groups, shares, strict=True) for line in group[:share])
        if length <= MAX_OUTPUT_CHARACTERS or limit == 1:
            return shares
        limit = max(1, min(limit, sum(shares)) * MAX_OUTPUT_CHARACTERS // length * 9 // 10)


def _notes(output: Output, *, is_late: bool) -> list[str]:
    if is_late:
        return [f"the search was stopped after {SEARCH_SECONDS:.0f} s: there may be more; narrow it"]
    if output.is_cut:
        return ["the search was stopped: far too many matches; narrow it"]
    return []

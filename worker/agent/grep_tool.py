"""Implements the tool Grep, which searches the project's files for a regular expression."""

import asyncio
import io
import os
import re
from array import array
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
    """Holds what was found in one file: where its lines start in ripgrep's output, or the number of its matches.

    Only the lines that are shown become strings: an output of 4 MB may hold a hundred thousand lines, and an answer has
    room for some hundred.
    """

    starts: "array[int]" = field(default_factory=lambda: array("I"))
    count: int = 0


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
        return _answer({path: found[path] for path in kept}, output.data, arguments, notes)

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
    for raw_path, start, rest in _records(data, arguments.mode):
        if raw_path not in allowed:
            path = os.fsdecode(raw_path).removeprefix("./")
            is_match = chosen is None or bool(chosen.fullmatch(path, cut) or chosen.fullmatch(path))
            is_chosen = is_match is not is_negated
            allowed[raw_path] = path if is_chosen and is_readable(path, inside) else None
        allowed_path = allowed[raw_path]
        if allowed_path is None:
            continue
        hits = found.setdefault(allowed_path, _Hits())
        if arguments.mode != "lines":
            hits.count = int(rest.strip() or 0)
        elif _LINE.match(rest):
            hits.starts.append(start)
    return found


def _records(data: bytes, mode: str) -> Iterable[tuple[bytes, int, bytes]]:
    """Yields each record's path, and the start and the text of its rest; a record that was cut off is left out."""
    if mode == "files":
        yield from ((path, 0, b"") for path in data.split(b"\0")[:-1])
        return
    start = 0
    for line in io.BytesIO(data):  # shares the bytes; a list of all lines would take as much memory again
        path, separator, rest = line.partition(b"\0")
        if separator and rest.endswith(b"\n"):
            yield path, start + len(path) + 1, rest
        start += len(line)


def _answer(found: dict[str, _Hits], data: bytes, arguments: GrepArguments, notes: list[str]) -> ToolAnswer:
    limit = min(arguments.head_limit, MAX_HEAD_LIMIT)
    paths = list(found)
    if arguments.mode != "lines":
        shares = fair_shares([1] * len(paths), limit)
        chosen = [path for path, share in zip(paths, shares, strict=True) if share]
        lines = [f"{path}:{found[path].count}" if arguments.mode == "counts" else path for path in chosen]
        if len(chosen) < len(paths):
            notes = [f"{len(paths) - len(chosen)} more files match; narrow the search", *notes]
        return ToolAnswer(clipped(with_notes("\n".join(lines), notes)), frozenset(chosen))
    lines_of, latin = _fitting_lines(found, data, arguments, limit)
    shown_lines = [line for lines in lines_of.values() for line in lines]
    total = sum(len(hits.starts) for hits in found.values())
    if len(shown_lines) < total:
        notes = [
            f"{len(shown_lines)} of {total} lines, from {len(lines_of)} of {len(paths)} files; narrow the search by"
            " `path` or `glob`, or ask for mode `files`",
            *notes,
        ]
    notes += [f"{path} is not UTF-8; shown as Latin-1" for path in latin[:20]]
    return ToolAnswer(with_notes("\n".join(shown_lines).lstrip("\n"), notes), frozenset(lines_of))


def _fitting_lines(
    found: dict[str, _Hits], data: bytes, arguments: GrepArguments, limit: int
) -> tuple[dict[str, list[str]], list[str]]:
    """Returns each file's share of `limit` lines, or of fewer lines where those would not fit into an answer.

    Files without a share are left out. The second part names the files that have shown lines that are not UTF-8.
    """
    while True:
        shares = fair_shares([len(hits.starts) for hits in found.values()], limit)
        lines_of: dict[str, list[str]] = {}
        latin: list[str] = []
        for (path, hits), share in zip(found.items(), shares, strict=True):
            if share:
                lines, is_latin = _shown_lines(path, hits.starts[:share], data, arguments)
                lines_of[path] = lines
                latin += [path] if is_latin else []
        length = sum(len(line) + 1 for lines in lines_of.values() for line in lines)
        if length <= MAX_OUTPUT_CHARACTERS or limit == 1:
            return lines_of, latin
        limit = max(1, min(limit, sum(shares)) * MAX_OUTPUT_CHARACTERS // length * 9 // 10)


def _shown_lines(path: str, starts: Iterable[int], data: bytes, arguments: GrepArguments) -> tuple[list[str], bool]:
    """Returns a file's lines as the model sees them, and whether one of them had to be read as Latin-1."""
    lines, is_latin = list[str](), False
    for start in starts:
        line = data[start : data.index(b"\n", start)]
        head = _LINE.match(line)
        assert head is not None, "only such lines are kept"
        try:
            text = line[head.end() :].decode()
        except UnicodeDecodeError:
            text, is_latin = line[head.end() :].decode("latin-1"), True
        number, mark = head[1].decode(), head[2].decode()
        place = f"{number}{mark}" if arguments.line_numbers else mark
        if not arguments.context:
            place = path + mark + place.removeprefix(mark)
        elif not lines:
            # The path stands once above the lines of its file: in each line it would be a third of the answer.
            place = f"\n{path}\n{place}"
        lines.append(place + text.rstrip("\r"))
    return lines, is_latin


def _notes(output: Output, *, is_late: bool) -> list[str]:
    if is_late:
        return [f"the search was stopped after {SEARCH_SECONDS:.0f} s: there may be more; narrow it"]
    if output.is_cut:
        return ["the search was stopped: far too many matches; narrow it"]
    return []

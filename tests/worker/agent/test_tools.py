"""Tests what the agent's tools find and how they report it; `test_project.py` tests what they never show."""

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.worker.agent.projects import FILES, answer, children, lines, make_project, refusal, run, text, write
from worker.agent import grep_tool, processes
from worker.agent.project import Project
from worker.agent.project_overview import make_overview
from worker.agent.tool import MAX_OUTPUT_CHARACTERS, ToolAnswer
from worker.agent.tool_arguments import ALL_TOOLS, as_shown, tool_name
from worker.agent.tools import make_tools

MARGIN = 300
"""Notes may add at most this many characters to an answer."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path)


def stuck(root: Path, script: str) -> Project:
    """Returns a project whose ripgrep is this script."""
    path = root.parent / "rg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    project = Project(str(root))
    project.ripgrep = str(path)
    return project


# Read


def test_a_file_is_read_by_its_relative_or_absolute_path(root: Path) -> None:
    for path in ("src/cart.ts", "./src/cart.ts", "src/../src/cart.ts", "/src/cart.ts", f"{root}/src/cart.ts"):
        found = answer(root, "Read", file_path=path)
        assert found.text == FILES["src/cart.ts"].removesuffix("\n")
        assert found.paths == {"src/cart.ts"}


@pytest.mark.parametrize(
    ("view_range", "expected"),
    [
        ([1, 1], "1\n[the file goes on: view_range [2, ...]]"),
        ([2, 3], "2\n3\n[the file goes on: view_range [4, ...]]"),
        ([3, 99], "3\n4\n5"),
        ([5, 5], "5"),
        ([4, -1], "4\n5"),
        ("[4, -1]", "4\n5"),
        ([0, 2], "1\n2\n[the file goes on: view_range [3, ...]]"),
        ([4, 2], "[the range ends before it begins]"),
        ([99, 100], "[the file has only 5 lines]"),
        (None, "1\n2\n3\n4\n5"),
    ],
)
def test_a_part_of_a_file_can_be_read(root: Path, view_range: object, expected: str) -> None:
    write(root / "lines.txt", "1\n2\n3\n4\n5\n")
    assert text(root, "Read", file_path="lines.txt", view_range=view_range) == expected


def test_a_part_may_be_requested_by_offset_and_limit(root: Path) -> None:
    write(root / "lines.txt", "1\n2\n3\n4\n5\n")
    assert lines(root, "Read", file_path="lines.txt", offset=2, limit=2)[:2] == ["2", "3"]


@pytest.mark.parametrize("view_range", [[1], [1, 2, 3], "1-2", ["a", "b"], {"from": 1}, []])
def test_an_invalid_part_is_refused_with_the_name_of_its_argument(root: Path, view_range: object) -> None:
    assert "`view_range" in refusal(root, "Read", file_path="src/cart.ts", view_range=view_range)


@pytest.mark.parametrize(
    ("content", "expected", "word"),
    [
        ("größer\nx\n".encode("latin-1"), "größer\nx", "Latin-1"),
        ("größer\nx\n".encode("utf-16"), "größer\nx", "UTF-16"),
        ("\ufeffgrößer\nx\n".encode("utf-16-be"), "größer\nx", "UTF-16"),
        ("plain text of some length\nx\n".encode("utf-16-le"), "plain text of some length\nx", "UTF-16"),
        ("größer\r\nx\r\n".encode(), "größer\nx", ""),
        ("größer\nx".encode("utf-8-sig"), "größer\nx", ""),
        (b"", "", "the file is empty"),
        (b"\n\n", "\n", ""),
        (("ä" * 5000 + "\n").encode(), "ä" * 2000 + " [3000 more characters in this line]", ""),
        (b"a" * 20_000 + "\nö".encode("latin-1"), "a" * 2000 + " [18000 more characters in this line]\nö", "Latin-1"),
    ],
)
def test_text_is_read_in_any_encoding_with_a_note_about_it(
    root: Path, content: bytes, expected: str, word: str
) -> None:
    write(root / "some.txt", content)
    found = text(root, "Read", file_path="some.txt")
    body, _, note = found.rpartition("\n[") if word else (found, "", "")
    assert (body or found.partition("[")[0]) == expected
    assert word in note or word in found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("paper.pdf", b"%PDF-1.7\n" + bytes(100)),
        ("program", b"\x7fELF\xff\xfe\x00\x01"),
        ("noise", bytes(range(1, 32)) * 10),
        ("zeros", bytes(10_000)),
    ],
)
def test_a_binary_file_is_not_read(root: Path, name: str, content: bytes) -> None:
    write(root / name, content)
    assert "not a text file" in refusal(root, "Read", file_path=name)
    assert "Checkout.tsx" in text(root, "Grep", pattern="CheckoutPage")


def test_a_long_file_comes_in_parts_that_join_without_a_gap(root: Path) -> None:
    expected = [f"line {n}" for n in range(1, 20_001)]
    write(root / "long.log", "\n".join(expected))
    found: list[str] = []
    while len(found) < len(expected):
        part = lines(root, "Read", file_path="long.log", view_range=[len(found) + 1, -1])
        assert sum(map(len, part)) <= MAX_OUTPUT_CHARACTERS + MARGIN
        found += [line for line in part if not line.startswith("[")]
    assert found == expected


def test_the_end_of_a_huge_file_can_be_read(root: Path) -> None:
    write(root / "huge.log", "".join(f"line {n}\n" for n in range(1, 3_000_001)))
    assert lines(root, "Read", file_path="huge.log", view_range=[2_999_999, -1]) == ["line 2999999", "line 3000000"]


def test_ten_reads_of_a_huge_file_do_not_keep_another_one_waiting(root: Path) -> None:
    write(root / "huge.log", b"x" * 60_000_000)
    project = Project(str(root))

    async def race() -> list[str]:
        done: list[str] = []

        async def one(path: str) -> None:
            [tool] = make_tools(project.open(), ("Read",))
            await tool.call({"file_path": path})
            done.append(path)

        await asyncio.gather(*(one("huge.log") for _ in range(10)), one("docs/guide.md"))
        return done

    began = time.monotonic()
    assert sorted(run(race())) == ["docs/guide.md", *["huge.log"] * 10]
    assert time.monotonic() - began < 20


def test_a_folder_and_a_missing_file_are_answered_with_likely_alternatives(root: Path) -> None:
    assert "is a folder" in refusal(root, "Read", file_path="src")
    assert "is a folder" in refusal(root, "Read", file_path=".")
    assert "did you mean src/cart.ts?" in refusal(root, "Read", file_path="lib/Cart.ts")
    assert "no such file" in refusal(root, "Read", file_path="src/missing.ts")


# Glob


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pattern": "**/*.ts*"}, ["src/Checkout.tsx", "src/cart.ts"]),
        ({"pattern": "*.ts", "path": "src"}, ["src/cart.ts"]),
        ({"pattern": "src/*.ts"}, ["src/cart.ts"]),
        ({"pattern": "/src/*.ts"}, ["src/cart.ts"]),
        ({"pattern": "./src/*.ts"}, ["src/cart.ts"]),
        ({"pattern": "src/*.ts", "path": "src"}, ["no matches"]),
        ({"pattern": "src"}, ["src/Checkout.tsx", "src/cart.ts"]),
        ({"pattern": "src/"}, ["src/Checkout.tsx", "src/cart.ts"]),
        ({"pattern": "*", "path": "docs/"}, ["docs/guide.md"]),
        ({"pattern": "*", "path": "/docs"}, ["docs/guide.md"]),
        ({"pattern": "*.{md,tsx}"}, ["docs/guide.md", "src/Checkout.tsx"]),
        ({"pattern": "*.zebra"}, ["no matches"]),
        ({"pattern": "checkout*"}, ["src/Checkout.tsx", "[nothing in that case; these match in another one]"]),
        ({"pattern": "cart.ts", "path": "src/cart.ts"}, ["no matches"]),
    ],
)
def test_a_glob_is_relative_to_its_folder_and_shows_paths_from_the_root(
    root: Path, arguments: dict[str, Any], expected: list[str]
) -> None:
    assert lines(root, "Glob", **arguments) == expected


def test_a_glob_may_name_the_project_s_own_folder(root: Path) -> None:
    assert lines(root, "Glob", pattern=f"{root}/src/*.ts") == ["src/cart.ts"]
    assert lines(root, "Glob", pattern="*.ts", path=f"{root}/src") == ["src/cart.ts"]


BRACKETED = "app/users/[id]/page.tsx"


def test_folders_with_brackets_are_found_searched_and_read(root: Path) -> None:
    for path in (BRACKETED, "app/(shop)/[[...slug]]/page.tsx", "app/users/i/page.tsx", "app/{x}/a b!#.tsx"):
        write(root / path, "needle\n")
        assert lines(root, "Read", file_path=path) == ["needle"]
        assert text(root, "Grep", pattern="needle", path=path) == f"{path}:1:needle"
        assert text(root, "Grep", pattern="needle", path=path.rpartition("/")[0]) == f"{path}:1:needle"
    assert lines(root, "Glob", pattern="app/users/[id]/*") == ["app/users/[id]/page.tsx", "app/users/i/page.tsx"]
    assert lines(root, "Glob", pattern="*", path="app/users/[id]") == [BRACKETED]
    assert lines(root, "Glob", pattern="**/[[...slug]]/**") == ["app/(shop)/[[...slug]]/page.tsx"]
    assert BRACKETED in text(root, "Grep", pattern="needle", glob="**/[id]/*.tsx")


def test_a_long_list_shows_something_of_every_folder_and_counts_the_rest(root: Path) -> None:
    for folder, count in (("a", 500), ("m", 300), ("z", 3)):
        for n in range(count):
            write(root / folder / f"file-{n:03}.txt", "")
    found = lines(root, "Glob", pattern="**/file-*")
    assert len(found) == 201 and sum(line.startswith("z/") for line in found) == 3
    assert sum(line.startswith("m/") for line in found) in range(95, 105)
    assert found[-1].startswith("[603 more: a: ")


# Grep


def test_matches_are_shown_with_path_and_line(root: Path) -> None:
    found = answer(root, "Grep", pattern="CheckoutPage")
    assert found.text.splitlines() == [
        "src/Checkout.tsx:1:export function CheckoutPage() {",
        "src/cart.ts:1:import { CheckoutPage } from './Checkout'",
    ]
    assert found.paths == {"src/Checkout.tsx", "src/cart.ts"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"mode": "files"}, ["src/Checkout.tsx", "src/cart.ts"]),
        ({"output_mode": "files_with_matches"}, ["src/Checkout.tsx", "src/cart.ts"]),
        ({"mode": "counts"}, ["src/Checkout.tsx:1", "src/cart.ts:1"]),
        ({"glob": "*.ts", "mode": "files"}, ["src/cart.ts"]),
        ({"glob": "src/*.{ts,js}", "mode": "files"}, ["src/cart.ts"]),
        ({"glob": "**/*.tsx", "path": "src", "mode": "files"}, ["src/Checkout.tsx"]),
        ({"glob": "*.tsx", "path": "docs"}, ["no matches"]),
        ({"glob": "!*.tsx", "mode": "files"}, ["src/cart.ts"]),
        ({"glob": "!src/cart*", "mode": "files"}, ["src/Checkout.tsx"]),
        ({"path": "src/cart.ts", "mode": "counts"}, ["src/cart.ts:1"]),
        ({"pattern": "checkoutpage", "mode": "files"}, ["no matches"]),
        ({"pattern": "checkoutpage", "-i": True, "mode": "files"}, ["src/Checkout.tsx", "src/cart.ts"]),
        (
            {"pattern": "return", "context": 1},
            [
                "src/Checkout.tsx",
                "1-export function CheckoutPage() {",
                "2:  return null",
                "3-}",
            ],
        ),
        (
            {"pattern": "export|import", "context": 1, "glob": "*.ts*"},
            [
                "src/Checkout.tsx",
                "1:export function CheckoutPage() {",
                "2-  return null",
                "",
                "src/cart.ts",
                "1:import { CheckoutPage } from './Checkout'",
                "2-// größer 😀",
            ],
        ),
    ],
)
def test_a_search_has_modes_filters_and_context(root: Path, arguments: dict[str, Any], expected: list[str]) -> None:
    assert lines(root, "Grep", **{"pattern": "CheckoutPage", **arguments}) == expected


def test_a_limit_is_shared_out_over_the_files_instead_of_omitting_the_last_ones(root: Path) -> None:
    for name in "abcz":
        write(root / "many" / f"{name}.txt", f"needle {name}\n" * (3 if name == "z" else 400))
    found = lines(root, "Grep", pattern="needle", head_limit=33)
    assert [sum(line.startswith(f"many/{name}") for line in found) for name in "abcz"] == [10, 10, 10, 3]
    assert found[-1].startswith("[33 of 1203 lines, from 4 of 4 files")
    files = lines(root, "Grep", pattern="needle", mode="files", head_limit=2)
    assert files == ["many/a.txt", "many/c.txt", "[2 more files match; narrow the search]"]


@pytest.mark.parametrize("most_bytes", [25, 30, 39, 40, 41])
def test_a_search_that_is_stopped_within_a_line_shows_only_whole_lines(
    root: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(grep_tool, "MAX_SEARCH_BYTES", most_bytes)
    write(root / "a.txt", "needle number 1\nneedle number 2\nneedle number 3\n")
    *shown, note = lines(root, "Grep", pattern="needle number")
    assert shown in (["no matches"], ["a.txt:1:needle number 1"]) and "stopped" in note


def test_long_lines_are_cut_and_answers_bounded(root: Path) -> None:
    for n in range(300):
        write(root / "many" / f"file-{n:03}.txt", ("needle " + "x" * 5000 + "\n") * 3)
    write(root / "wide.txt", "needle " + "y" * 1_000_000)
    for arguments in ({"head_limit": 500}, {"path": "wide.txt"}, {"pattern": "(?m)^"}, {"context": 20}):
        found = text(root, "Grep", **{"pattern": "needle", **arguments})
        assert 0 < len(found) <= MAX_OUTPUT_CHARACTERS + MARGIN


def test_the_end_of_a_line_is_found_before_crlf_and_lf(root: Path) -> None:
    write(root / "dos.txt", "first\r\nlast needle\r\n")
    assert text(root, "Grep", pattern="needle$") == "dos.txt:2:last needle"


def test_a_file_in_another_encoding_is_searched_with_a_note_about_it(root: Path) -> None:
    write(root / "latin.txt", "needle größer\n".encode("latin-1"))
    write(root / "wide.txt", "needle größer\n".encode("utf-16"))
    found = lines(root, "Grep", pattern="needle")
    assert found[:2] == ["latin.txt:1:needle größer", "wide.txt:1:needle größer"]
    assert found[2] == "[latin.txt is not UTF-8; shown as Latin-1]"


@pytest.mark.parametrize(
    "pattern", ["(", "[", "*", "a{2,1}", "(?P<x", "\\", "(?<=a)b", "x" * 100_000 + "(", "a\0b", ""]
)
def test_a_bad_pattern_is_answered_and_not_raised(root: Path, pattern: str) -> None:
    assert "pattern" in refusal(root, "Grep", pattern=pattern) and "/" not in refusal(root, "Grep", pattern="(")


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize(
    ("tool", "argument"),
    [("Grep", "glob"), ("Grep", "path"), ("Glob", "pattern"), ("Glob", "path"), ("Read", "file_path")],
)
def test_an_argument_with_invalid_characters_is_refused_by_its_name(
    root: Path, tool: str, argument: str, odd: str
) -> None:
    assert argument in refusal(root, tool, **{"pattern": "x", argument: odd})


def test_a_pattern_that_makes_backtracking_engines_hang_is_quick(root: Path) -> None:
    write(root / "evil.txt", "a" * 50_000 + "!\n")
    began = time.monotonic()
    for pattern in ("(a+)+$", "(a|a)*$", "^(a?){50}a{50}$"):
        text(root, "Grep", pattern=pattern)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "pattern", ["--files", "-e", "-", "--", "--pre=cat", "-f/etc/passwd", "--hidden", "--no-ignore", "--follow"]
)
def test_a_pattern_is_never_an_option(root: Path, pattern: str) -> None:
    write(root / "options.txt", f"use {pattern} here\n")
    assert f"options.txt:1:use {pattern} here" in text(root, "Grep", pattern=pattern)
    assert text(root, "Glob", pattern=pattern) == text(root, "Grep", pattern="use", glob=pattern) == "no matches"
    refusal(root, "Grep", pattern="x", path=pattern)
    refusal(root, "Glob", pattern="*", path=pattern)


def test_a_pattern_and_a_file_in_any_script(root: Path) -> None:
    write(root / "größer 😀.md", "שלום\n")
    assert text(root, "Grep", pattern="שלום") == "größer 😀.md:1:שלום"
    assert text(root, "Glob", pattern="*😀*") == "größer 😀.md"
    assert text(root, "Read", file_path="größer 😀.md") == "שלום"


@pytest.mark.parametrize(("pattern", "found"), [("**/*.ts", "src/cart.ts"), ("**/*.vue", "no matches")])
def test_files_listed_before_the_time_limit_are_kept_and_the_answer_says_that_there_may_be_more(
    root: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, found: str
) -> None:
    monkeypatch.setattr("worker.agent.project.LISTING_SECONDS", 1.0)
    listing = r"""case "$*" in *ignore-file*) exit 1 ;; *) printf './src/cart.ts\0'; exec sleep 60 ;; esac"""
    project = stuck(root, listing)
    first, note = lines(project, "Glob", pattern=pattern)
    assert first == found and "there may be more" in note
    assert "no time to list more" in refusal(project, "Read", file_path="docs/guide.md")
    assert "more than 1 files" in run(make_overview(project.open()))


def test_matches_found_before_the_time_limit_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        r"""case "$*" in *--files\ *|*--files) echo ;; *) printf './src/cart.ts\0001:one\n'; exec sleep 60 ;; esac"""
    )
    monkeypatch.setattr(grep_tool, "SEARCH_SECONDS", 1.0)
    found = answer(stuck(root, script), "Grep", pattern="one")
    assert found.text.splitlines()[0] == "src/cart.ts:1:one" and "stopped after" in found.text
    assert found.paths == {"src/cart.ts"}


# All tools


def test_a_hundred_thousand_files_are_listed_and_searched_in_time(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"a.txt": "needle\n"})
    for folder in range(100):
        path = root / f"folder-{folder:03}" / "src"
        path.mkdir(parents=True)
        for n in range(1000):
            (path / f"file-{n:03}.ts").touch()
    write(root / "folder-099" / "src" / "file-999.ts", "needle\n")
    project, times = Project(str(root)), []
    for name, arguments in (
        ("Glob", {"pattern": "**/file-999.ts"}),
        ("Grep", {"pattern": "needle"}),
        ("Read", {"file_path": "folder-050/src/file-000.ts"}),
    ):
        began = time.monotonic()
        assert text(project, name, **arguments)
        times.append(time.monotonic() - began)
    assert text(project, "Grep", pattern="needle", mode="files") == "a.txt\nfolder-099/src/file-999.ts"
    # Measured on two cores: Glob 0.7 s (all files: 1.1 s), Grep 0.5 s, Read 0.03 s. The goal is 2 s; a busy machine may
    # take ten times as long.
    assert max(times) < 20


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Read", {}, "`file_path` is missing"),
        ("Read", {"file_path": 1}, "`file_path` is wrong"),
        ("Read", {"file_path": ""}, "`file_path` is wrong"),
        ("Grep", {"pattern": ["x"]}, "`pattern` is wrong"),
        ("Grep", {"pattern": "x", "path": 5}, "`path` is wrong"),
        ("Grep", {"pattern": "x", "mode": "all"}, "'lines', 'files' or 'counts'"),
        ("Grep", {"pattern": "x", "context": 1000}, "`context` is wrong"),
        ("Grep", {"pattern": "x", "head_limit": 0}, "`head_limit` is wrong"),
        ("Glob", {"pattern": None}, "`pattern` is missing"),
        ("Glob", {"pattern": "*", "more": 1}, "there is no argument `more`. It takes `pattern`, and optionally `path`"),
    ],
)
def test_a_wrong_argument_is_answered_in_words_the_model_can_act_on(
    root: Path, name: str, arguments: dict[str, Any], message: str
) -> None:
    refused = refusal(root, name, **arguments)
    assert message in refused and "ValidationError" not in refused and "pydantic" not in refused


@pytest.mark.parametrize("given", ["src/cart.ts", ["src/cart.ts"], None])
def test_an_input_that_is_no_object_is_refused(root: Path, given: object) -> None:
    from anthropic.lib.tools import ToolError

    async def call() -> ToolAnswer:
        [tool] = make_tools(Project(str(root)).open(), ("Read",))
        return await tool.call(given)

    with pytest.raises(ToolError, match="JSON object"):
        run(call())


@pytest.mark.parametrize("name", ["file_path", "filePath", "FILE_PATH", "File-Path", "path", "Path", "file"])
def test_an_argument_is_taken_whatever_its_case(root: Path, name: str) -> None:
    assert text(root, "Read", **{name: "docs/guide.md"}) == "# Checkout"
    assert as_shown("Read", {name: "docs/guide.md", "limit": None}) == {"file_path": "docs/guide.md"}


@pytest.mark.parametrize(("given", "name"), [("read", "Read"), ("GREP", "Grep"), (" Glob ", "Glob"), ("Bash", None)])
def test_a_tool_is_known_whatever_the_case_of_its_name(given: str, name: str | None) -> None:
    assert tool_name(given) == name


@pytest.mark.parametrize("name", ["Grep", "Glob", "Read"])
def test_a_cancelled_call_leaves_no_process(root: Path, name: str) -> None:
    project = stuck(root, f"echo $$ > {root.parent}/began\nexec sleep 60")
    [tool] = make_tools(project.open(), (name,))  # type: ignore[arg-type]
    before = children()

    async def cancelled() -> None:
        task = asyncio.create_task(tool.call({"file_path": "src/cart.ts"} if name == "Read" else {"pattern": "x"}))
        while not (root.parent / "began").exists():
            await asyncio.sleep(0.01)
        assert children() - before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())
    wait_until(lambda: children() <= before, seconds=10)


@pytest.mark.parametrize("turns", range(6))
def test_a_process_that_is_cancelled_while_it_starts_is_ended(root: Path, turns: int) -> None:
    """Cancels it as the end of a worker's event loop does: `asyncio.run` cancels all tasks and waits for them."""
    before = children()

    async def leave() -> None:
        command = ["/bin/sleep", "60"]
        leaving = asyncio.create_task(processes.run(command, folder=str(root), max_bytes=100, seconds=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not leaving.done()

    asyncio.run(leave())
    wait_until(lambda: children() <= before)


def test_the_input_and_output_of_a_process_may_be_larger_than_a_pipe_buffer(root: Path) -> None:
    given = bytes(range(256)) * 4_000
    output = run(processes.run(["/bin/cat"], folder=str(root), given=given, max_bytes=len(given), seconds=30))
    assert output.data == given and (output.exit_code, output.is_cut) == (0, False)
    command = ["/bin/sh", "-c", "head -c 300000 /dev/zero >&2; echo whole; exit 3"]
    output = run(processes.run(command, folder=str(root), given=given, max_bytes=100, seconds=30))
    assert (output.data, output.exit_code) == (b"whole\n", 3) and len(output.problem) == 4096


def test_a_process_that_cannot_be_started_is_an_os_error(root: Path) -> None:
    for command, folder in ((["/nonexistent"], str(root)), (["/bin/true"], f"{root}/nowhere")):
        with pytest.raises(FileNotFoundError):
            run(processes.run(command, folder=folder, max_bytes=100, seconds=30))


def test_a_process_that_takes_too_long_is_ended(root: Path) -> None:
    async def late() -> processes.Output:
        command = ["/bin/sh", "-c", "echo some; exec sleep 60"]
        return await processes.run(command, folder=str(root), max_bytes=100, seconds=0.5)

    before = children()
    output = run(late())
    assert (output.data, output.is_late, output.exit_code) == (b"some\n", True, None)
    assert children() <= before


def test_a_process_that_writes_too_much_is_ended(root: Path) -> None:
    output = run(processes.run(["/bin/cat", "/dev/zero"], folder=str(root), max_bytes=1000, seconds=30))
    assert (output.data, output.is_cut, output.is_late) == (bytes(1000), True, False)


def test_a_process_sees_nothing_of_the_workers_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    output = run(processes.run(["/usr/bin/env"], folder=str(root), max_bytes=10_000, seconds=30))
    assert output.data and b"canary" not in output.data


def test_calls_leave_no_process_behind(root: Path) -> None:
    before = children()
    text(root, "Grep", pattern="a")
    text(root, "Glob", pattern="*")
    text(root, "Read", file_path="src/cart.ts")
    refusal(root, "Grep", pattern="(")
    assert children() <= before


def test_a_call_on_a_project_that_was_deleted_says_so(root: Path) -> None:
    project = Project(str(root.parent / "gone"))
    for name, arguments in (("Grep", {"pattern": "x"}), ("Glob", {"pattern": "*"}), ("Read", {"file_path": "x"})):
        refusal(project, name, **arguments)


def test_a_call_for_which_no_thread_can_be_started_is_answered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of threads counts those of all processes of the user or the container."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert refusal(root, "Read", file_path="src/cart.ts") == "the project cannot be read right now"
    assert "CheckoutPage" in text(root, "Read", file_path="src/cart.ts")


def test_a_glob_that_matches_only_a_hard_link_in_another_case_finds_nothing(root: Path) -> None:
    os.link(root / "docs/guide.md", root / "docs/Linked.txt")
    assert text(root, "Glob", pattern="docs/LINKED.*") == "no matches"


CALLS: list[tuple[str, dict[str, str]]] = [
    ("Read", {"file_path": "src/cart.ts"}),
    ("Grep", {"pattern": "CheckoutPage"}),
    ("Grep", {"pattern": "CheckoutPage", "path": "src"}),
    ("Glob", {"pattern": "**/*.ts"}),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
@pytest.mark.parametrize("end", ["kill -KILL $$", "exit 101", "printf './docs/guide.md\\0'; kill -TERM $$"])
def test_a_search_that_was_killed_is_not_taken_for_one_that_found_nothing(
    root: Path, end: str, name: str, arguments: dict[str, str]
) -> None:
    """A signal to the whole process group reaches ripgrep too, and the kernel kills it where memory is short."""
    assert refusal(stuck(root, end), name, **arguments) == "the project cannot be read right now"


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_listing_without_a_file_in_time_is_not_taken_for_an_empty_project(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, str]
) -> None:
    monkeypatch.setattr("worker.agent.project.LISTING_SECONDS", 0.3)
    monkeypatch.setattr(grep_tool, "SEARCH_SECONDS", 0.3)
    project = stuck(root, "exec sleep 100")
    if arguments == {"pattern": "CheckoutPage"}:
        assert "stopped after" in text(project, name, **arguments)
    else:
        assert "could not be listed in time" in refusal(project, name, **arguments)


def test_only_the_tools_asked_for_are_made_and_each_once(root: Path) -> None:
    project = Project(str(root)).open()
    assert [tool.name for tool in make_tools(project, ("Glob", "Read", "Glob"))] == ["Glob", "Read"]
    assert make_tools(project, ()) == []


def test_the_definitions_of_the_tools_are_short_and_strict(root: Path) -> None:
    for tool in make_tools(Project(str(root)).open(), ALL_TOOLS):
        definition = tool.to_dict()
        schema = definition["input_schema"]
        assert schema["additionalProperties"] is False and set(schema["required"]) <= set(schema["properties"])
        assert all(
            set(each) <= {"type", "description", "enum", "items", "minItems", "maxItems"}
            for each in schema["properties"].values()
        )
        assert len(str(definition)) < 1200


def test_a_name_with_a_line_break_is_not_taken_for_another_file(root: Path) -> None:
    for name in ("odd\nsrc/cart.ts", "odd\nREADME.md", "odd\r", "odd\x7f", "a\nsrc/cart.ts"):
        write(root / name, "forged\n")
    for mode in ("lines", "files", "counts"):
        assert text(root, "Grep", pattern="forged", mode=mode) == "no matches"
    assert text(root, "Glob", pattern="odd*") == "no matches"


def test_a_very_deep_path_is_found_and_a_missing_one_refused_at_once(root: Path) -> None:
    deep = "a/" * 120
    write(root / deep / "x.txt", "found\n")
    assert text(root, "Read", file_path=f"{deep}x.txt") == "found"
    assert text(root, "Grep", pattern="found", path=deep) == f"{deep}x.txt:1:found"
    began = time.monotonic()
    for name in ("Grep", "Glob"):
        assert "no such file" in refusal(root, name, pattern="x", path="b/" * 400)
    assert "no such file" in refusal(root, "Read", file_path="b/" * 400)
    assert time.monotonic() - began < 5


def test_a_file_name_that_is_not_valid_utf_8_breaks_no_tool(root: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(root) + b"/src/\xff.txt")), "needle\n")
    assert "src/cart.ts" in text(root, "Glob", pattern="src/*")
    assert "needle" in text(root, "Grep", pattern="needle")

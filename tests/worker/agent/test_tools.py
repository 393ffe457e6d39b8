"""The tools of the agent on a real project: what they show, and what they never do."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anthropic.lib.tools import ToolError

from tests.conftest import wait_until
from worker.agent.tools import MAX_OUTPUT_CHARACTERS, MAX_PATHS, Project, ripgrep_path

T = TypeVar("T")
SECRET = "canary-of-a-secret"
QUICK_SECONDS = 3.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project, with things beside it that are none of its business."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(f"{SECRET}\n")
    root = tmp_path / "project"
    for path, text in {
        "src/Checkout.tsx": "export function CheckoutPage() {\n  return null\n}\n",
        "src/cart.ts": "import { CheckoutPage } from './Checkout'\n// größer 😀\n",
        "docs/guide.md": "# Checkout\n",
        ".env": f"KEY={SECRET}\n",
        ".env.local": f"KEY={SECRET}\n",
        ".ENV": f"KEY={SECRET}\n",
        "config/.env": f"KEY={SECRET}\n",
        ".env.example": "KEY=put yours here\n",
        ".git/config": f"[remote]\n url = {SECRET}\n",
        ".ssh/id_rsa": f"{SECRET}\n",
        "certs/server.pem": f"{SECRET}\n",
        "certs/server.key": f"{SECRET}\n",
        ".npmrc": f"//registry/:_authToken={SECRET}\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "linked").symlink_to(outside)
    (root / "src" / "up").symlink_to("../../outside")
    (root / "loop").symlink_to("loop")
    (root / "inner.txt").symlink_to("docs/guide.md")
    (root / "env-link").symlink_to(".env")
    return root


@pytest.fixture
def project(folder: Path) -> Project:
    return Project(str(folder))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    began = time.monotonic()
    try:
        return asyncio.run(coroutine)
    finally:
        assert time.monotonic() - began < QUICK_SECONDS, "a tool must not keep its job waiting"


def call(project: Project, name: str, **arguments: object) -> str:
    """What a tool answers when the SDK calls it."""
    [tool] = [tool for tool in project.tools(("Read", "Grep", "Glob")) if tool.name == name]
    answer = run(tool.call(arguments))
    assert isinstance(answer, str)
    return answer


def refusal(project: Project, name: str, **arguments: object) -> str:
    """What the model is told when a tool refuses."""
    with pytest.raises((ToolError, ValueError)) as refused:
        call(project, name, **arguments)
    told = str(refused.value)
    assert SECRET not in told
    return told


def rg_processes() -> set[int]:
    """The ripgreps that this process has started and not yet buried."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name == "rg" and int(rest.split()[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def test_ripgrep_is_the_one_that_is_installed_with_the_worker() -> None:
    path = ripgrep_path()
    assert path is not None and Path(path).exists()


def test_the_tools_show_paths_that_are_relative_to_the_project(project: Project, folder: Path) -> None:
    shown = [
        call(project, "Glob", pattern="**/*.ts*"),
        call(project, "Grep", pattern="CheckoutPage"),
        call(project, "Grep", pattern="checkout", path="docs") + call(project, "Grep", pattern="(?i)x", path="src"),
        call(project, "Glob", pattern="*", path=str(folder / "src")),
        call(project, "Grep", pattern="CheckoutPage", path=str(folder / "src" / "cart.ts")),
    ]
    assert shown[0].splitlines() == ["src/Checkout.tsx", "src/cart.ts"]
    assert shown[1].splitlines() == [
        "src/Checkout.tsx:1:export function CheckoutPage() {",
        "src/cart.ts:1:import { CheckoutPage } from './Checkout'",
    ]
    assert shown[3].splitlines() == ["src/Checkout.tsx", "src/cart.ts"]
    assert shown[4] == "src/cart.ts:1:import { CheckoutPage } from './Checkout'"
    assert str(folder) not in "".join(shown)


def test_a_file_is_read_by_its_relative_or_absolute_path(project: Project, folder: Path) -> None:
    text = (folder / "src/cart.ts").read_text()
    for path in ("src/cart.ts", "./src/cart.ts", "src/../src/cart.ts", str(folder / "src/cart.ts")):
        assert call(project, "Read", file_path=path) == text
    assert call(project, "Read", file_path="inner.txt") == "# Checkout\n"


@pytest.mark.parametrize(
    ("view_range", "expected"),
    [
        ([1, 1], "1"),
        ([2, 3], "2\n3"),
        ([3, 99], "3\n4\n5\n"),
        ([4, -1], "4\n5\n"),
        ([0, 2], "1\n2"),
        ([99, 100], ""),
        ([], "1\n2\n3\n4\n5\n"),
        (None, "1\n2\n3\n4\n5\n"),
    ],
)
def test_a_part_of_a_file_can_be_read(
    project: Project, folder: Path, view_range: list[int] | None, expected: str
) -> None:
    (folder / "lines.txt").write_text("1\n2\n3\n4\n5\n")
    assert call(project, "Read", file_path="lines.txt", view_range=view_range) == expected


@pytest.mark.parametrize("view_range", [[1], [1, 2, 3], "1-2", ["a", "b"], {"from": 1}])
def test_a_part_that_makes_no_sense_is_refused(project: Project, view_range: object) -> None:
    refusal(project, "Read", file_path="src/cart.ts", view_range=view_range)


OUTSIDE = (
    "..",
    "../outside/secret.txt",
    "src/../../outside/secret.txt",
    "src/../../../../../../../../etc/passwd",
    "/etc/passwd",
    "/",
    "/proc/self/environ",
    "/proc/1/root",
    "/proc/self/cwd/README.md",
    "/dev/stdin",
    "link.txt",
    "linked",
    "linked/secret.txt",
    "linked/../secret.txt",
    "src/up/secret.txt",
    "loop",
    "~/.ssh/id_rsa",
    "~root",
    "src/cart.ts\0.txt",
    "\0",
    "",
    "x" * 5000,
)
SECRETS = (
    ".env",
    "./.env",
    ".env.local",
    ".ENV",
    "config/.env",
    "config/../.env",
    ".git/config",
    ".git",
    ".ssh/id_rsa",
    "certs/server.pem",
    "certs/server.key",
    ".npmrc",
    "env-link",
)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: ascii(path)[:40])
def test_nothing_outside_the_project_is_read(project: Project, folder: Path, path: str) -> None:
    told = refusal(project, "Read", file_path=path)
    assert str(folder) not in told


@pytest.mark.parametrize("path", [path for path in OUTSIDE if path])
def test_nothing_outside_the_project_is_searched(project: Project, folder: Path, path: str) -> None:
    for name, arguments in (("Grep", {"pattern": "."}), ("Glob", {"pattern": "*"})):
        try:
            answer = call(project, name, path=path, **arguments)
        except (ToolError, ValueError) as refused:
            answer = str(refused)
        assert SECRET not in answer and "root:x:" not in answer and str(folder) not in answer
        assert path in ("linked/../secret.txt", "~/.ssh/id_rsa", "~root") or "secret.txt" not in answer.replace(
            path, ""
        )


@pytest.mark.parametrize("path", SECRETS)
def test_secrets_are_neither_read_nor_searched(project: Project, path: str) -> None:
    refusal(project, "Read", file_path=path)
    refusal(project, "Grep", pattern=".", path=path)
    refusal(project, "Read", file_path=path, view_range=[1, 1])


@pytest.mark.parametrize("pattern", [SECRET, ".", "KEY=", "(?s).*", "TOKEN|canary"])
@pytest.mark.parametrize("path", [None, ".", "certs", "config"])
def test_a_search_of_the_project_does_not_show_its_secrets(project: Project, pattern: str, path: str | None) -> None:
    try:
        assert SECRET not in call(project, "Grep", pattern=pattern, path=path)
    except ToolError as refused:
        assert SECRET not in str(refused)


@pytest.mark.parametrize(
    "pattern", ["**", "**/*", ".*", "**/.*", ".env", "**/.env*", ".git/**", "*.pem", "{.env,.git/*}"]
)
def test_a_list_of_files_shows_no_way_out(project: Project, pattern: str) -> None:
    paths = call(project, "Glob", pattern=pattern).splitlines()
    assert not any(path.startswith(("/", "..")) or "secret.txt" in path for path in paths)


def test_an_example_of_a_secret_is_none(project: Project) -> None:
    assert call(project, "Read", file_path=".env.example") == "KEY=put yours here\n"
    assert "put yours" in call(project, "Grep", pattern="KEY", path=".env.example")


@pytest.mark.parametrize("pattern", ["../*", "../outside/*", "src/../../**", "/etc/*", "/**", "..", "a/../../b"])
def test_a_glob_that_leads_out_is_refused(project: Project, pattern: str) -> None:
    assert "inside" in refusal(project, "Glob", pattern=pattern)


def test_a_pipe_is_refused_and_does_not_hang(project: Project, folder: Path) -> None:
    os.mkfifo(folder / "src" / "pipe")
    for name, arguments in (
        ("Read", {"file_path": "src/pipe"}),
        ("Grep", {"pattern": "x", "path": "src/pipe"}),
        ("Glob", {"pattern": "*", "path": "src/pipe"}),
    ):
        refusal(project, name, **arguments)
    assert "src/cart.ts" in call(project, "Grep", pattern="größer")
    assert "src/cart.ts" in call(project, "Glob", pattern="**/*.ts")


def test_a_socket_is_refused(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        refusal(project, "Read", file_path="socket")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("paper.pdf", b"%PDF-1.7\n" + bytes(100)),
        ("program", b"\x7fELF\xff\xfe\x00\x01"),
        ("latin.txt", "größer".encode("latin-1")),
    ],
)
def test_what_is_no_text_is_not_read(project: Project, folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert str(folder) not in refusal(project, "Read", file_path=name)
    assert "Checkout.tsx" in call(project, "Grep", pattern="CheckoutPage")


def test_an_empty_image_is_no_text_either(project: Project, folder: Path) -> None:
    (folder / "empty.png").write_bytes(b"")
    refusal(project, "Read", file_path="empty.png")


def test_a_folder_and_what_is_not_there_are_refused(project: Project, folder: Path) -> None:
    for path in ("src", ".", "src/missing.ts", "src/cart.ts/x", "x" * 300):
        assert str(folder) not in refusal(project, "Read", file_path=path)


def test_a_huge_file_is_refused_whole_and_read_in_parts(project: Project, folder: Path) -> None:
    (folder / "huge.log").write_text("".join(f"line {n}\n" for n in range(1, 400_001)))
    told = refusal(project, "Read", file_path="huge.log")
    assert "view_range" in told
    assert call(project, "Read", file_path="huge.log", view_range=[2, 3]).splitlines() == ["line 2", "line 3"]
    whole = call(project, "Read", file_path="huge.log", view_range=[1, 9000])
    assert len(whole) <= MAX_OUTPUT_CHARACTERS + 100


def test_answers_are_clipped(project: Project, folder: Path) -> None:
    (folder / "many").mkdir()
    for n in range(MAX_PATHS + 50):
        (folder / "many" / f"file-{n:04}.txt").write_text("needle " + "x" * 1000 + "\n" * 3)
    (folder / "wide.txt").write_text("needle " + "y" * 200_000)
    for answer in (
        call(project, "Read", file_path="wide.txt"),
        call(project, "Grep", pattern="needle"),
        call(project, "Grep", pattern="needle", path="wide.txt"),
        call(project, "Grep", pattern="(?m)^"),
    ):
        assert 0 < len(answer) <= MAX_OUTPUT_CHARACTERS + 100
    paths = call(project, "Glob", pattern="many/*").splitlines()
    assert len(paths) == MAX_PATHS + 1 and paths[-1] == "[50 more]"


def test_a_list_that_is_too_long_for_one_answer_still_counts_what_is_missing(project: Project, folder: Path) -> None:
    deep = folder / "many" / ("d" * 200)
    deep.mkdir(parents=True)
    for n in range(400):
        (deep / f"file-{n:04}.txt").touch()
    paths = call(project, "Glob", pattern="**/file-*").splitlines()
    assert len(paths) <= MAX_PATHS + 1 and paths[0].endswith("file-0000.txt") and paths[-1].startswith("[")


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{2,1}", "(?P<x", "\\", "(?<=a)b", "x" * 100_000 + "("])
def test_a_bad_pattern_is_told_and_not_raised(project: Project, folder: Path, pattern: str) -> None:
    told = refusal(project, "Grep", pattern=pattern)
    assert len(told) < 500 and str(folder) not in told


def test_a_pattern_with_a_nul_is_refused(project: Project) -> None:
    refusal(project, "Grep", pattern="a\0b")
    refusal(project, "Glob", pattern="a\0b")


def test_a_pattern_that_stops_other_engines_is_quick(project: Project, folder: Path) -> None:
    (folder / "evil.txt").write_text("a" * 50_000 + "!\n")
    for pattern in ("(a+)+$", "(a|a)*$", "^(a?){50}a{50}$"):
        call(project, "Grep", pattern=pattern)


@pytest.mark.parametrize(
    "pattern", ["--files", "-e", "-", "--", "--pre=cat", "-f/etc/passwd", "--hidden", "--no-ignore", "--follow"]
)
def test_a_pattern_is_never_an_option(project: Project, folder: Path, pattern: str) -> None:
    (folder / "options.txt").write_text(f"use {pattern} here\n")
    assert f"options.txt:1:use {pattern} here" in call(project, "Grep", pattern=pattern)
    assert call(project, "Glob", pattern=pattern) == "no matches"
    if pattern != "-":  # that is standard input, where nothing is
        refusal(project, "Grep", pattern="x", path=pattern)
        refusal(project, "Glob", pattern="*", path=pattern)


def test_what_is_not_found_is_said(project: Project) -> None:
    assert call(project, "Grep", pattern="zebra") == call(project, "Glob", pattern="*.zebra") == "no matches"


@pytest.mark.parametrize("name", ["Grep", "Glob"])
def test_a_path_that_is_not_there_is_not_called_a_bad_pattern(project: Project, name: str) -> None:
    assert "pattern" not in refusal(project, name, pattern="x", path="missing")


@pytest.mark.parametrize(("name", "pattern"), [("Grep", "CheckoutPage"), ("Glob", "**/*"), ("Glob", "**/*.js")])
def test_what_git_ignores_is_left_out(project: Project, folder: Path, name: str, pattern: str) -> None:
    (folder / ".gitignore").write_text("node_modules/\n")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "bundle.js").write_text("CheckoutPage")
    assert "node_modules" not in call(project, name, pattern=pattern)


def test_a_pattern_and_a_file_in_any_script(project: Project, folder: Path) -> None:
    (folder / "größer 😀.md").write_text("שלום\n")
    assert call(project, "Grep", pattern="שלום") == "größer 😀.md:1:שלום"
    assert call(project, "Glob", pattern="*😀*") == "größer 😀.md"
    assert call(project, "Read", file_path="größer 😀.md") == "שלום\n"


def test_arguments_of_the_wrong_kind_are_refused(project: Project) -> None:
    bad: list[tuple[str, dict[str, object]]] = [
        ("Read", {}),
        ("Read", {"file_path": 1}),
        ("Grep", {"pattern": ["x"]}),
        ("Grep", {"pattern": "x", "path": 5}),
        ("Glob", {"pattern": None}),
        ("Glob", {"pattern": "*", "more": 1}),
    ]
    for name, arguments in bad:
        refusal(project, name, **arguments)


@pytest.mark.parametrize("name", ["Grep", "Glob"])
def test_a_cancelled_search_leaves_no_process(
    project: Project, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A ripgrep that never ends.
    stuck = folder.parent / "rg"
    stuck.write_text("#!/bin/sh\nexec -a rg sleep 60\n".replace("exec -a rg", "exec"))
    stuck.chmod(0o755)
    monkeypatch.setattr(project, "_ripgrep", str(stuck))
    pids: list[int] = []
    start = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*arguments, **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    [tool] = [tool for tool in project.tools(("Grep", "Glob")) if tool.name == name]

    async def cancelled() -> None:
        task = asyncio.create_task(tool.call({"pattern": "x"}))
        while not pids:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())
    wait_until(lambda: not Path(f"/proc/{pids[0]}").exists(), seconds=1)


def test_a_search_that_takes_too_long_is_given_up(
    project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = folder.parent / "rg"
    stuck.write_text("#!/bin/sh\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(project, "_ripgrep", str(stuck))
    monkeypatch.setattr("worker.agent.tools.SEARCH_SECONDS", 0.1)
    assert "longer" in refusal(project, "Grep", pattern="x")


def test_searches_leave_no_process_behind(project: Project, folder: Path) -> None:
    for n in range(300):
        (folder / f"big-{n}.txt").write_text("needle " * 300)
    calls: list[Callable[[], str]] = [
        lambda: call(project, "Grep", pattern="needle"),
        lambda: call(project, "Glob", pattern="*"),
        lambda: refusal(project, "Grep", pattern="("),
    ]
    for made in calls:
        made()
    assert rg_processes() == set()


def test_only_the_tools_asked_for_are_made_and_each_once(project: Project) -> None:
    assert [tool.name for tool in project.tools(("Glob", "Read", "Glob"))] == ["Glob", "Read"]
    assert project.tools(()) == []
    for tool in project.tools(("Read", "Grep", "Glob")):
        schema = dict(tool.to_dict())["input_schema"]
        assert isinstance(schema, dict) and schema["additionalProperties"] is False


def test_a_project_may_be_named_by_a_symlink(folder: Path) -> None:
    link = folder.parent / "by-link"
    link.symlink_to(folder)
    project = Project(str(link))
    assert call(project, "Read", file_path="docs/guide.md") == "# Checkout\n"
    assert call(project, "Glob", pattern="docs/*") == "docs/guide.md"

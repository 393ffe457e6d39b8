"""Tests which files each tool may read, on a project full of secrets, links and other traps."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from shared.setting_rules import project_root
from tests.worker.agent.projects import FILES, SECRET, answer, lines, make_project, refusal, run, text, write
from tests.worker.agent.test_secret_names import FAMILIES
from worker.agent.project import Project, ripgrep_path

QUICK_SECONDS = 20.0
"""This is ten times what it takes, since the machine may be busy."""

IGNORED = {
    "node_modules/lib/index.js": f"CheckoutPage {SECRET}\n",
    "build/out.txt": f"{SECRET}\n",
    "src/generated.ts": f"{SECRET}\n",
    "logs/today.log": f"{SECRET}\n",
    "by-ignore/x.txt": f"{SECRET}\n",
    "by-rgignore/x.txt": f"{SECRET}\n",
}
OPENERS = ".gitignore", ".ignore", ".rgignore"
OPENING = "!.*\n!**/.*\n!.env\n!.git/\n!.git/**\n!*.pem\n!*.key\n!id_rsa\n!/credentials\n!**/secrets.yaml\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    write(outside / "secret.txt", f"{SECRET}\n")
    write(outside / "src" / "cart.ts", f"{SECRET}\n")
    root = make_project(tmp_path)
    for path, content in IGNORED.items():
        write(root / path, content)
    for names in FAMILIES.values():
        for name in names.split():
            write(root / "deploy" / name, f"CheckoutPage {SECRET}\n")
            write(root / name, f"CheckoutPage {SECRET}\n")
    for path in (".hidden/x.txt", "src/.hidden.ts", ".github/workflows/ci.yml", ".git/objects/ab/cd"):
        write(root / path, f"CheckoutPage {SECRET}\n")
    write(root / ".gitignore", f"node_modules/\nbuild/\nsrc/generated.ts\n*.log\n{OPENING}")
    write(root / ".ignore", f"by-ignore/\n{OPENING}")
    write(root / ".rgignore", f"by-rgignore/\n{OPENING}")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "linked").symlink_to(outside)
    (root / "src" / "up").symlink_to("../../outside")
    (root / "loop").symlink_to("loop")
    (root / "inner.txt").symlink_to("docs/guide.md")
    (root / "env-link").symlink_to(".env")
    os.link(outside / "secret.txt", root / "src" / "hard.txt")
    os.mkfifo(root / "src" / "pipe")
    os.mkfifo(root / "src" / "pipe.ts")
    return root


MAY_BE_READ = sorted([*FILES])
OUTSIDE = (
    "..",
    "../outside/secret.txt",
    "src/../../outside/secret.txt",
    "src/../../../../../../../../etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/1/root",
    "/proc/self/cwd/README.md",
    "/dev/stdin",
    "/dev/zero",
    "link.txt",
    "linked",
    "linked/secret.txt",
    "linked/../secret.txt",
    "src/up/secret.txt",
    "src/up",
    "inner.txt",
    "env-link",
    "loop",
    "~/.ssh/id_rsa",
    "~root",
    "src/cart.ts\0.txt",
    "src/cart.ts\n",
    "\0",
    "x" * 5000,
    "src/hard.txt",
    "src/pipe",
    "src/pipe.ts",
    "src/cart.ts/x",
    "SRC/cart.ts",
    "src/Cart.ts",
)


def not_to_be_read(root: Path) -> list[str]:
    hidden = [".hidden/x.txt", "src/.hidden.ts", ".github/workflows/ci.yml", ".git/objects/ab/cd", ".gitignore"]
    return [*OUTSIDE, *IGNORED, *hidden, "id_rsa", "deploy/.env", "deploy/prod.env", "secrets/db", ".kube/config"]


def test_every_tool_shows_every_file_that_may_be_read_and_no_other(root: Path) -> None:
    assert sorted(lines(root, "Glob", pattern="**", head_limit=500)) == MAY_BE_READ
    assert sorted(lines(root, "Grep", pattern="^", mode="files")) == MAY_BE_READ
    for path in MAY_BE_READ:
        assert text(root, "Read", file_path=path) == FILES[path].removesuffix("\n")


@pytest.mark.parametrize("pattern", [SECRET, ".", "CheckoutPage", "(?s).*", "canary|KEY"])
@pytest.mark.parametrize("mode", ["lines", "files", "counts"])
def test_a_search_shows_nothing_of_what_may_not_be_read(root: Path, pattern: str, mode: str) -> None:
    found = answer(root, "Grep", pattern=pattern, mode=mode, head_limit=500)
    assert SECRET not in found.text
    assert found.paths <= set(MAY_BE_READ)
    shown = {line.partition(":")[0] for line in found.text.splitlines() if not line.startswith("[")}
    assert shown <= {*MAY_BE_READ, "no matches"}


@pytest.mark.parametrize(
    "pattern",
    ["**", "**/*", ".*", "**/.*", ".env", "**/.env*", ".git/**", "*.pem", "{.env,.git/*}", "id_*", "*secret*"],
)
def test_a_list_of_files_names_nothing_that_may_not_be_read(root: Path, pattern: str) -> None:
    found = answer(root, "Glob", pattern=pattern, head_limit=500)
    assert found.paths <= set(MAY_BE_READ)
    assert set(found.text.splitlines()) <= {*MAY_BE_READ, "no matches"}


def test_a_path_that_may_not_be_read_is_refused_by_every_tool(root: Path) -> None:
    project = Project(str(root))
    for path in not_to_be_read(root):
        refusal(project, "Read", file_path=path)
        refusal(project, "Read", file_path=path, view_range=[1, 1])
        if path not in ("src/hard.txt",):
            refusal(project, "Grep", pattern=".", path=path)
            refusal(project, "Glob", pattern="*", path=path)
    # ripgrep lists a file that has two hard links; the second link is noticed only when the file is opened.
    assert text(project, "Grep", pattern=".", path="src/hard.txt") == "no matches"
    assert text(project, "Glob", pattern="hard.txt") == "no matches"


def test_each_family_of_secrets_is_refused(root: Path) -> None:
    project = Project(str(root))
    for names in FAMILIES.values():
        for name in names.split()[:4]:
            refusal(project, "Read", file_path=f"deploy/{name}")


@pytest.mark.parametrize("pattern", ["../*", "../outside/*", "src/../../**", "/etc/*", "..", "a/../../b"])
def test_a_glob_that_leads_out_of_the_project_is_refused(root: Path, pattern: str) -> None:
    assert "inside" in refusal(root, "Glob", pattern=pattern)


def test_ignore_files_are_respected_with_and_without_a_repository(root: Path) -> None:
    assert (root / ".git").exists()
    with_git = lines(root, "Glob", pattern="**", head_limit=500)
    shutil.rmtree(root / ".git")
    assert lines(root, "Glob", pattern="**", head_limit=500) == with_git == MAY_BE_READ
    write(root / ".gitignore", "docs/\n")
    refusal(root, "Read", file_path="docs/guide.md")


def test_an_ignore_file_that_re_includes_everything_exposes_no_secret(root: Path) -> None:
    for name in OPENERS:
        write(root / name, "!*\n!**\n")
        write(root / "src" / name, "!*\n")
    listed = lines(root, "Glob", pattern="**", head_limit=500)
    assert set(listed) == {*MAY_BE_READ, *IGNORED}
    assert answer(root, "Grep", pattern=SECRET, mode="files", head_limit=500).paths == set(IGNORED)


def test_a_root_that_is_a_symbolic_link_is_resolved_anew_for_each_job(tmp_path: Path) -> None:
    first, second = make_project(tmp_path / "1"), make_project(tmp_path / "2", {"new.txt": "new\n"})
    link = tmp_path / "current"
    link.symlink_to(first)
    project = Project(str(link))
    assert text(project, "Read", file_path="docs/guide.md") == "# Checkout"
    assert text(project, "Read", file_path=f"{link}/docs/guide.md") == "# Checkout"
    (tmp_path / "next").symlink_to(second)
    (tmp_path / "next").rename(link)
    assert lines(project, "Glob", pattern="**") == ["new.txt"]
    refusal(project, "Read", file_path="docs/guide.md")


def test_a_job_keeps_the_root_that_it_began_with(tmp_path: Path) -> None:
    first, second = make_project(tmp_path / "1"), make_project(tmp_path / "2", {"new.txt": "new\n"})
    link = tmp_path / "current"
    link.symlink_to(first)
    opened = Project(str(link)).open()
    link.unlink()
    link.symlink_to(second)
    assert opened.root == str(first)


def test_a_root_below_a_hidden_folder_shows_its_files(tmp_path: Path) -> None:
    root = make_project(tmp_path / ".cache" / "x")
    assert lines(root, "Glob", pattern="**") == MAY_BE_READ


def test_huge_files_and_pipes_do_not_delay_a_tool(root: Path) -> None:
    with (root / "sparse.txt").open("wb") as sparse:
        sparse.truncate(300_000_000)
    with (root / "one-line.txt").open("wb") as one:
        for _ in range(300):
            one.write(b"needle in a line " * 62_500)
    began = time.monotonic()
    assert "not a text file" in refusal(root, "Read", file_path="sparse.txt")
    whole = text(root, "Read", file_path="one-line.txt")
    assert whole.startswith("needle") and "more characters in this line" in whole and len(whole) < 3000
    assert text(root, "Grep", pattern="needle").startswith("no matches")
    assert "one-line.txt" in text(root, "Glob", pattern="*.txt")
    assert time.monotonic() - began < QUICK_SECONDS


def test_a_socket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        refusal(root, "Read", file_path="socket")


def test_a_folder_that_becomes_a_link_after_it_was_listed_is_not_followed(root: Path, tmp_path: Path) -> None:
    opened = Project(str(root)).open()
    assert run(opened.files("src/cart.ts")) == ["src/cart.ts"]
    shutil.rmtree(root / "src")
    (root / "src").symlink_to(tmp_path / "outside" / "src")
    assert run(opened.read("src/cart.ts", 1, None)) == {"error": "is not there"}
    assert run(opened.keep(["src/cart.ts", "docs/guide.md"])) == ["docs/guide.md"]


def test_ripgrep_is_the_one_that_is_installed_with_the_worker() -> None:
    path = ripgrep_path()
    assert path is not None and Path(path).exists()


@pytest.mark.parametrize("folder", ["/", "/etc", "/etc/ssl", "/proc/self", "/usr", "/home", "/dev", "~", "~/.."])
def test_a_directory_of_the_system_or_a_home_is_no_project(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.path.realpath("/tmp")) / "someone"
    monkeypatch.setenv("HOME", str(home))
    path = Path(folder.replace("~", str(home)))
    home.mkdir(exist_ok=True)
    if path.is_dir():
        with pytest.raises(ValueError, match="one project"):
            project_root(str(path))


def test_a_link_to_a_directory_of_the_system_is_no_project_either(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(ValueError, match="one project"):
        project_root(str(tmp_path / "link"))
    assert project_root(str(tmp_path)) == str(tmp_path)

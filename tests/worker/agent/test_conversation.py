"""Tests that of the files that a model names, only those that exist and that it was shown are published."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.schemas import SuggestedFile, Suggestion
from shared.telemetry.metrics import worker_metrics
from worker.agent.conversation import MAX_FILES, Conversation
from worker.agent.project import Project

SHOWN = ["app/[id]/page.tsx", "lib/with space.py", "a/ü.md", *(f"many/{number}.txt" for number in range(12))]
NOT_SHOWN = ["lib/unseen.py", ".env", "deploy/id_rsa", ".git/config", "terraform.tfstate"]


@pytest.fixture
def conversation(tmp_path: Path) -> Conversation:
    for name in [*SHOWN, *NOT_SHOWN]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    (tmp_path / "linked.py").symlink_to(tmp_path / "lib" / "unseen.py")
    conversation = Conversation()
    conversation.project = Project(str(tmp_path)).open()
    # Even if a tool wrongly showed a secret or a link, an answer must not name it.
    conversation.seen = {*SHOWN, ".env", "deploy/id_rsa", "linked.py", "lib"}
    return conversation


def suggestion(*paths: str) -> Suggestion:
    files = [SuggestedFile(path=path, why="It is there.") for path in paths]
    return Suggestion(title="t", rationale="r", description="d", implementation_considerations=[], files=files)


def published(conversation: Conversation, *paths: str) -> list[str]:
    return [file.path for file in conversation.proven(suggestion(*paths)).files]


@pytest.mark.parametrize("path", SHOWN[:3])
def test_a_file_that_was_shown_is_named_by_its_path_in_the_project(conversation: Conversation, path: str) -> None:
    root = conversation.project.root if conversation.project else ""
    for spelled in (path, f"./{path}", f"{root}/{path}", f"lib/../{path}"):
        assert published(conversation, spelled) == [path]


LIES = [
    *NOT_SHOWN,
    "absent.py",
    "",
    ".",
    "lib",
    "linked.py",
    "APP/[id]/page.tsx",
    "app/[ID]/page.tsx",
    "../outside.py",
    "/etc/passwd",
    "app/[id]/page.tsx/",
    "app/[id]/page.tsx:3",
    "app/[id]/page.tsx\n",
    "app/[id]/page.tsx\x00.png",
    "a/u\u0308.md",
    "x" * 5_000,
    "file:///etc/passwd",
    "https://example.org/lib/with space.py",
    "~/.ssh/id_rsa",
    "\udc80",
]


@pytest.mark.parametrize("path", LIES, ids=ascii)
def test_a_path_that_cannot_be_verified_is_left_out(conversation: Conversation, path: str) -> None:
    found = published(conversation, "a/ü.md", path)
    # Some models write a slash at the end of a path; it still names the same file.
    assert found == (["a/ü.md", "app/[id]/page.tsx"] if path == "app/[id]/page.tsx/" else ["a/ü.md"])


@given(paths=st.lists(st.one_of(st.text(), st.sampled_from([*LIES, *SHOWN])), max_size=30))
def test_whatever_the_model_writes_only_files_that_were_shown_are_named(paths: list[str]) -> None:
    conversation = Conversation()
    conversation.project = Project("/").open()
    assert published(conversation, *paths) == []


def test_a_file_that_was_deleted_meanwhile_is_left_out(conversation: Conversation, tmp_path: Path) -> None:
    (tmp_path / "a/ü.md").unlink()
    assert published(conversation, "a/ü.md") == []


def test_a_file_is_named_once_and_eight_at_most(conversation: Conversation) -> None:
    assert published(conversation, "a/ü.md", "./a/ü.md") == ["a/ü.md"]
    assert published(conversation, *SHOWN) == SHOWN[:MAX_FILES]


def test_without_a_project_no_file_is_named() -> None:
    conversation = Conversation()
    conversation.seen = {"a.py"}
    assert published(conversation, "a.py") == []


def test_each_path_that_is_left_out_is_counted_once_by_its_reason(conversation: Conversation) -> None:
    def counted(reason: str) -> float:
        return float(worker_metrics().files_dropped.labels(reason)._value.get())

    before = {reason: counted(reason) for reason in ("absent", "unseen", "outside", "secret", "repeated", "too_many")}
    lying = suggestion("absent.py", "lib/unseen.py", "../a", ".env", "a/ü.md", "a/ü.md", *SHOWN[3:12])
    assert conversation.proven(lying) == conversation.proven(lying)
    after = {reason: counted(reason) for reason in before}
    grown = {reason: after[reason] - before[reason] for reason in before}
    assert grown == {"absent": 1, "unseen": 1, "outside": 1, "secret": 1, "repeated": 1, "too_many": 2}

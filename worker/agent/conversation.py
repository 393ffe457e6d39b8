"""Holds the state of one job's conversation with its model, over all attempts of the job in this process."""

import stat
from collections.abc import Iterable
from pathlib import Path

from anthropic.lib.tools import ToolError

from shared.contract.schemas import SuggestedFile, Suggestion, TokenUsage
from shared.telemetry.metrics import worker_metrics
from worker.agent.event_reader import JsonObject
from worker.agent.kept_turns import KeptTurn, unpack
from worker.agent.project import OpenProject
from worker.agent.secret_names import is_hidden, is_secret

MAX_FILES = 8
"""The most files of one suggestion, as the contract says."""
MAX_TOOL_CALLS = 40
"""The most tool calls of one job. Later calls get a result that says so, so that the model answers."""


class Conversation:
    """Holds the turns and limits of a job, and the files that its suggestions may name."""

    def __init__(self) -> None:
        self.project: OpenProject | None = None
        self.seen: set[str] = set()
        """The files of the project that a tool has shown to the model."""
        self.calls_left = MAX_TOOL_CALLS
        self.spent_before = TokenUsage()
        """What the attempts before this one cost."""
        self.waited_seconds = 0.0
        """How long the job has waited for the model's provider in all. It does not count towards an attempt's time."""
        self.turns: list[KeptTurn] = []
        """The whole turns so far, from which the next attempt continues."""
        self._judged: set[tuple[str, ...]] = set()

    def load(self, turns: Iterable[bytes]) -> None:
        """Loads the packed turns that attempts on other workers have stored, up to the first one that does not fit."""
        for data in turns:
            turn = unpack(data)
            if turn is None or (self.turns and turn.key != self.turns[0].key) or (not self.turns and not turn.first):
                break
            self.add(turn)
            self.calls_left -= turn.call_count

    def add(self, turn: KeptTurn) -> None:
        """Appends one whole turn."""
        self.turns.append(turn)
        self.seen.update(turn.seen)

    def turns_for(self, key: str) -> int:
        """Returns how many turns a conversation with this key continues from. It discards turns with another key."""
        if self.turns and self.turns[0].key != key:
            self.turns.clear()
        return len(self.turns)

    def messages(self, first: list[JsonObject]) -> list[JsonObject]:
        """Returns the messages to continue with: those of the kept turns, or `first` alone where there are none."""
        messages: list[JsonObject] = [{"role": "user", "content": self.turns[0].first if self.turns else first}]
        for turn in self.turns:
            messages += [{"role": "assistant", "content": turn.assistant}, {"role": "user", "content": turn.user}]
        return messages

    def proven(self, suggestion: Suggestion) -> Suggestion:
        """Returns the suggestion without the files that are not in the project or were not shown to the model."""
        kept: dict[str, SuggestedFile] = {}
        dropped: list[str] = []
        for file in suggestion.files:
            path, reason = self._judge(file.path)
            if not reason and path in kept:
                reason = "repeated"
            elif not reason and len(kept) == MAX_FILES:
                reason = "too_many"
            if reason:
                dropped.append(reason)
            else:
                kept[path] = SuggestedFile(path=path, why=file.why)
        self._count(suggestion, dropped)
        return suggestion.model_copy(update={"files": list(kept.values())})

    def _judge(self, path: str) -> tuple[str, str]:
        """Returns the path relative to the root, and the reason why it must not be named; '' where it may."""
        if self.project is None:
            return path, "no_project"
        try:
            relative = self.project.relative(path)
        except ToolError:
            return path, "outside"
        if is_hidden(relative) or is_secret(relative):
            return relative, "secret"
        if not _is_file(Path(self.project.root) / relative):
            return relative, "absent"
        return relative, "" if relative in self.seen else "unseen"

    def _count(self, suggestion: Suggestion, reasons: Iterable[str]) -> None:
        """Counts the files left out, once per suggestion: each is checked again when the whole answer has come."""
        key = (suggestion.title, *(file.path for file in suggestion.files))
        if key not in self._judged:
            self._judged.add(key)
            for reason in reasons:
                worker_metrics().files_dropped.labels(reason).inc()


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False

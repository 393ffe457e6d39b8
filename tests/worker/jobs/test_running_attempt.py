"""Tests what viewers see of the agent's calls of tools."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shared.contract.events import decode
from tests.worker.jobs.builders import ANSWER, FakeAgent, run, running
from tests.worker.publishing.recording_writer import RecordingWriter
from worker.agent.feature_agent import AgentEvent, Answered
from worker.agent.turn import UsedTool
from worker.jobs.running_attempt import SHOWN_INPUT_CHARACTERS


class UsesTool(FakeAgent):
    """Stands for an agent whose model has called a tool with this input."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        yield UsedTool("Grep", self.given)
        yield Answered(ANSWER)


def shown(given: dict[str, Any]) -> dict[str, Any]:
    writer = RecordingWriter()
    run(running(UsesTool(given), writer))
    [tool] = [append for append in writer.appends if append.name == "tool"]
    event: Any = decode("tool", tool.data)
    return dict(event.input)


def test_viewers_see_what_the_model_gave_to_a_tool() -> None:
    given = {"file_path": "src/a.py", "view_range": [1, 50], "ignore_case": True, "context": 3}
    assert shown(given) == given


@pytest.mark.parametrize(
    "given",
    [
        {"pattern": "x" * 100_000},
        {"view_range": list(range(100_000))},
        {"path": {"deep": ["x" * 100_000]}},
        {"context": 10**4000},
        {"x" * 100_000: 1},
        {f"n{number}": "x" for number in range(100_000)},
    ],
    ids=["text", "list", "object", "number", "name", "many"],
)
def test_an_input_of_any_size_is_shown_shortened(given: dict[str, Any]) -> None:
    seen = shown(given)
    assert seen and len(str(seen)) < 6 * 2 * SHOWN_INPUT_CHARACTERS

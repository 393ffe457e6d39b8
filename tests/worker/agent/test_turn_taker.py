"""Tests that a turn that fails before its answer was shown is requested again in the same attempt, after a wait."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contract.values import ErrorCode, WaitReason
from shared.errors import AttemptFailed
from shared.gate import Delay, Report
from tests.sandboxes import Sandbox, running_sandbox
from tests.worker.agent.builders import job
from worker.agent import provider_waits
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import AgentEvent, Answered, FeatureAgent
from worker.agent.gate import Gate, OpenGate, limits_of
from worker.agent.model_client import model_client
from worker.agent.project import Project
from worker.agent.provider_waits import Resumes, Waits
from worker.agent.turn import Spent, UsedTool, Wrote
from worker.agent.turn_taker import MAX_TRIES


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(chars=200) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_waits, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Checkout.tsx").write_text("export function CheckoutPage() {\n  return null\n}\n")
    (tmp_path / "cart.ts").write_text("import { CheckoutPage } from './Checkout'\n")
    return Project(str(tmp_path))


class Recording(OpenGate):
    """Represents a gate that records its reports, and answers its first questions as the test sets it."""

    def __init__(self, *answers: Delay) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []
        self.reports: list[tuple[str, Report]] = []

    async def ask(self, request: str, input_tokens: int) -> Delay | None:
        self.asked.append((request, input_tokens))
        return self.answers.pop(0) if self.answers else None

    def report(self, request: str, report: Report) -> None:
        self.reports.append((request, report))

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for _, report in self.reports]


def asked(
    sandbox: Sandbox,
    page: str,
    project: Project | None = None,
    *,
    gate: Gate | None = None,
    silence: float = 5,
    max_wait_seconds: float = 5,
    conversation: Conversation | None = None,
    into: list[AgentEvent] | None = None,
) -> list[AgentEvent]:
    events: list[AgentEvent] = [] if into is None else into

    async def run() -> None:
        async with model_client("any", sandbox.url, silence) as client:
            agent = FeatureAgent(client, project, max_wait_seconds=max_wait_seconds)
            async for event in agent.suggest(
                job(page), "sandbox", None, conversation or Conversation(), gate or OpenGate()
            ):
                events.append(event)

    asyncio.run(run())
    return events


BEFORE_THE_ANSWER = (
    "overloaded once",
    "rate limited once",
    "unavailable once",
    "bad gateway once",
    "silent once",
    "overloaded in turn 2 once",
    "broken stream in turn 1 once",
    "broken stream in turn 2 once",
    "early end in turn 2 once",
    "error event in turn 3 once",
    "stall in turn 2 once",
    "empty answer once",
)


@pytest.mark.parametrize("words", BEFORE_THE_ANSWER)
def test_a_request_that_fails_before_the_answer_is_repeated_with_the_same_conversation(
    sandbox: Sandbox, project: Project, words: str
) -> None:
    page = f"CheckoutPage {words}"
    events = asked(sandbox, page, project, silence=0.5)
    assert isinstance(events[-1], Answered)
    requests = sandbox.requests(page)
    bodies = [request["body"] for request in requests]
    assert len(bodies) == len({str(body) for body in bodies}) + 1, "exactly one request is sent twice"
    undisturbed = [event for event in asked(sandbox, "CheckoutPage", project) if isinstance(event, UsedTool)]
    assert [event for event in events if isinstance(event, UsedTool)] == undisturbed
    assert sum(isinstance(event, Waits) for event in events) == 1 == sum(isinstance(event, Resumes) for event in events)


def test_the_usage_of_a_failed_request_is_counted(sandbox: Sandbox, project: Project) -> None:
    events = asked(sandbox, "Costly CheckoutPage broken stream in turn 2 once", project)
    spent = [event.usage.total_tokens for event in events if isinstance(event, Spent)]
    requests = sandbox.requests("Costly CheckoutPage broken stream in turn 2 once")
    assert spent == sorted(spent) and len(requests) == 5
    assert spent[-1] >= sum(request["inputTokens"] for request in requests)


def test_a_turn_is_requested_a_limited_number_of_times_and_then_fails(sandbox: Sandbox) -> None:
    with pytest.raises(AttemptFailed) as failed:
        asked(sandbox, "Never unavailable")
    assert failed.value.code is ErrorCode.MODEL_UNAVAILABLE and failed.value.worth_retrying
    assert len(sandbox.requests("Never unavailable")) == MAX_TRIES


def test_an_answer_that_broke_after_it_was_shown_is_not_requested_again_in_the_same_attempt(sandbox: Sandbox) -> None:
    events: list[AgentEvent] = []
    with pytest.raises(AttemptFailed) as failed:
        asked(sandbox, "Shown broken stream once", into=events)
    assert failed.value.worth_retrying and any(isinstance(event, Wrote) for event in events)
    assert len(sandbox.requests("Shown broken stream once")) == 1


@pytest.mark.parametrize(("words", "status"), [("overloaded", 529), ("rate limited", 429)])
def test_a_job_waits_for_a_provider_that_refuses_up_to_its_longest_wait(
    sandbox: Sandbox, words: str, status: int
) -> None:
    page, conversation, began = f"Patient {words}", Conversation(), time.monotonic()
    conversation.waited_seconds = 1.0  # from an earlier attempt
    with pytest.raises(AttemptFailed) as failed:
        asked(sandbox, page, max_wait_seconds=2.5, conversation=conversation)
    assert failed.value.code is ErrorCode.MODEL_OVERLOADED and not failed.value.worth_retrying
    assert failed.value.is_retryable
    assert time.monotonic() - began >= 1.5
    assert conversation.waited_seconds == pytest.approx(2.5, abs=0.5)
    assert {request["status"] for request in sandbox.requests(page)} == {status}


def test_no_request_is_repeated_before_a_retry_after_is_over(sandbox: Sandbox) -> None:
    page = "Obedient retry after 2 once"
    events = asked(sandbox, page)
    first, second = sandbox.requests(page)
    assert second["receivedAt"] - first["receivedAt"] >= 2000
    [wait] = [event for event in events if isinstance(event, Waits)]
    assert wait.reason is WaitReason.RATE_LIMITED


def test_a_delay_at_the_gate_is_reported_and_waited_for(sandbox: Sandbox) -> None:
    gate = Recording(Delay(300, 5, WaitReason.OVERLOADED), Delay(200, 6, WaitReason.OVERLOADED))
    conversation, began = Conversation(), time.monotonic()
    events = asked(sandbox, "Delayed page", gate=gate, conversation=conversation)
    assert events[:2] == [Waits(WaitReason.OVERLOADED, 5), Waits(WaitReason.OVERLOADED, 6)]
    assert isinstance(events[2], Resumes) and isinstance(events[-1], Answered)
    assert time.monotonic() - began >= 0.5 and conversation.waited_seconds >= 0.5
    assert len({request for request, _ in gate.asked}) == 1
    assert gate.outcomes == ["accepted"]


def test_each_request_asks_the_gate_first_and_reports_the_limits_in_the_headers(
    sandbox: Sandbox, project: Project
) -> None:
    gate = Recording()
    asked(sandbox, "CheckoutPage at the gate", project, gate=gate)
    assert len(gate.asked) == 4 and gate.outcomes == ["accepted"] * 4
    assert [request for request, _ in gate.asked] == [request for request, _ in gate.reports]
    first = gate.reports[0][1].limits
    assert first is not None and set(first) == {"requests", "input", "output"}
    limit, left = first["requests"]
    assert limit == 1_000_000 and left == pytest.approx(1_000_000, abs=1000)
    assert all(tokens > 0 for _, tokens in gate.asked)
    assert gate.asked[1][1] < 500, "tokens that the cache holds are not counted again"


@pytest.mark.parametrize(
    ("words", "outcomes"),
    [
        ("overloaded once", ["refused", "accepted"]),
        ("unavailable once", ["unknown", "accepted"]),
        ("silent once", ["unknown", "accepted"]),
    ],
)
def test_the_outcome_of_each_request_is_reported_to_the_gate(sandbox: Sandbox, words: str, outcomes: list[str]) -> None:
    gate = Recording()
    asked(sandbox, f"Reported {words}", gate=gate, silence=0.5)
    assert gate.outcomes == outcomes


def test_an_overload_in_the_middle_of_a_response_is_reported_to_the_gate(sandbox: Sandbox, project: Project) -> None:
    gate = Recording()
    asked(sandbox, "CheckoutPage error event in turn 1 once", project, gate=gate)
    assert gate.outcomes[:3] == ["accepted", "cut", "accepted"]


def test_a_job_that_is_stopped_tells_the_gate_that_it_no_longer_waits(sandbox: Sandbox) -> None:
    gate = Recording(Delay(60_000, 5, WaitReason.RATE_LIMITED))

    async def run() -> None:
        async with model_client("any", sandbox.url) as client:
            task = asyncio.create_task(consume(FeatureAgent(client, None)))
            while not gate.asked:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait({task})

    async def consume(agent: FeatureAgent) -> None:
        async for _ in agent.suggest(job("Left page"), "sandbox", None, Conversation(), gate):
            pass

    asyncio.run(run())
    assert gate.outcomes == ["left"] and not sandbox.requests("Left page")


def test_limits_are_read_from_the_headers_also_behind_a_gateway() -> None:
    limits = {"limit": "50", "remaining": "7", "reset": "2026-01-01T00:00:00Z"}
    plain = {f"anthropic-ratelimit-requests-{name}": value for name, value in limits.items()}
    passed_on = {f"llm_provider-{name}": value for name, value in plain.items()}
    assert limits_of(plain) == limits_of(passed_on) == {"requests": (50, 7)}


@pytest.mark.parametrize(
    ("limit", "left"),
    [("x", "1"), ("0", "0"), ("-1", "5"), ("50", "-1"), ("inf", "5"), ("50", "inf"), ("50", "nan"), ("nan", "5")],
)
def test_invalid_limits_in_headers_are_ignored(limit: str, left: str) -> None:
    stated = {"anthropic-ratelimit-requests-limit": limit, "anthropic-ratelimit-requests-remaining": left}
    assert limits_of(stated) == {}

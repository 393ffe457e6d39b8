"""A worker that is lost or drained in a late turn leaves its conversation to the next one."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.stack import Event, Person, Stack, Watcher, own_events, stack

PAGE = "Checkout five tool turns, stall once"
TURNS = 5


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    project = tmp_path_factory.mktemp("project")
    for number in range(6):
        (project / f"checkout{number}.ts").write_text("export const checkout = 1\n" * 40)
    with stack(tmp_path_factory.mktemp("stack"), PROJECT_ROOT=str(project)) as it:
        it.start_sandbox(chars=8, interval_ms=10)
        it.start_web()
        yield it


def weight(request: dict[str, Any]) -> float:
    """What the input of a request costs, reads from the cache at a tenth."""
    return float(request["inputTokens"] + request["cacheCreationTokens"] + request["cacheReadTokens"] / 10)


def second_attempt(watcher: Watcher) -> list[Event]:
    return [event for event in own_events(watcher.kept) if event.id.startswith("2-")]


@pytest.mark.parametrize("loss", ["kill", "drain"])
def test_the_next_attempt_goes_on_from_whole_turns(system: Stack, alice: Person, loss: str) -> None:
    first = system.start_worker(DRAIN_SECONDS="0")
    page = f"{PAGE}, {loss}"
    watcher = Watcher(system, alice.ask(page))
    wait_until(lambda: watcher.saw("delta"), seconds=30)
    before = system.requests_for(page)
    assert len(before) == TURNS + 1
    system.start_worker()
    first.send(signal.SIGKILL if loss == "kill" else signal.SIGTERM)
    assert watcher.join().status == "completed"
    started, *looks = second_attempt(watcher)[: TURNS + 1]
    assert (started.data["turnsKept"], started.data["cause"]) == (TURNS, "worker_lost" if loss == "kill" else "drain")
    assert [event.name for event in looks] == ["tool"] * TURNS
    after = system.requests_for(page)[len(before) :]
    assert len(after) == 1 and after[0]["turn"] == TURNS + 1
    # Asked anew, the whole conversation would cost twice as much.
    assert sum(map(weight, [*before, *after])) <= 1.35 * sum(map(weight, before))
    assert not system.redis.keys("suggestion:*:turns")
    final = watcher.final
    assert final is not None and any(suggestion["files"] for suggestion in final.data["suggestions"])


def test_an_answer_that_broke_is_asked_for_again_from_whole_turns(system: Stack, alice: Person) -> None:
    system.start_worker()
    page = "Checkout three tool turns, broken stream once"
    watcher = Watcher(system, alice.ask(page))
    assert watcher.join().status == "completed"
    started = second_attempt(watcher)[0]
    assert (started.data["turnsKept"], started.data["cause"]) == (3, "model_error")
    assert [request["turn"] for request in system.requests_for(page)] == [1, 2, 3, 4, 4]


def test_an_agent_that_was_changed_meanwhile_begins_anew(system: Stack, alice: Person) -> None:
    first = system.start_worker()
    page = f"{PAGE}, another agent"
    watcher = Watcher(system, alice.ask(page))
    wait_until(lambda: watcher.saw("delta"), seconds=30)
    agent = {
        "name": "Ada",
        "role": "Accessibility expert",
        "focus": "What people with low vision need",
        "systemPrompt": "You look at every page as somebody who uses a screen reader would do it.",
        "temperature": None,
        "tools": ["Read", "Grep", "Glob"],
        "isActive": True,
    }
    assert alice.http.put("/api/feature-planner/suggestion-agent", json=agent).status_code in (200, 201)
    system.start_worker()
    first.send(signal.SIGKILL)
    assert watcher.join().status == "completed"
    started = second_attempt(watcher)[0]
    assert (started.data["turnsKept"], started.data["agent"]) == (0, "Ada")

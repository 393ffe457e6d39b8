"""Tests that a worker that is lost or drained in a late turn leaves its conversation to the next worker."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.stack import Event, Person, Stack, Watcher, own_events, stack

TURNS = 5
"""This many turns read the project; a sixth turn has the answer."""
PAGE = "Checkout five tool turns"


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
    """Returns what the input of a request costs, in tokens; those read from the cache count a tenth."""
    return float(request["inputTokens"] + request["cacheCreationTokens"] + request["cacheReadTokens"] / 10)


def answer_of(watcher: Watcher) -> Any:
    assert watcher.final is not None
    return watcher.final.data["suggestions"]


def second_attempt(watcher: Watcher) -> list[Event]:
    return [event for event in own_events(watcher.kept) if event.id.startswith("2-")]


def costs_at_most_a_third_more(requests: list[dict[str, Any]], k: int) -> bool:
    """Asserts that only the k-th turn was requested twice; returns whether that cost at most a third more."""
    assert [request["turn"] for request in requests] == [*range(1, k + 1), *range(k, TURNS + 2)]
    return sum(map(weight, requests)) <= 1.35 * sum(map(weight, requests[:k] + requests[k + 1 :]))


@pytest.mark.parametrize("loss", ["kill", "drain"])
def test_the_turns_before_the_one_in_which_a_worker_is_lost_are_not_repeated(
    system: Stack, alice: Person, loss: str
) -> None:
    first = system.start_worker(DRAIN_SECONDS="0")
    pages = {k: f"{PAGE}, {loss}, stall in turn {k} once" for k in range(2, TURNS + 2)}
    watchers = {k: Watcher(system, alice.ask(page)) for k, page in pages.items()}
    wait_until(lambda: all(len(system.requests_for(page)) == k for k, page in pages.items()), seconds=30)
    wait_until(lambda: all(system.redis.llen(f"suggestion:{w.job_id}:turns") == k - 1 for k, w in watchers.items()))
    system.start_worker()
    first.send(signal.SIGKILL if loss == "kill" else signal.SIGTERM)
    cause = "worker_lost" if loss == "kill" else "drain"
    for k, watcher in watchers.items():
        assert watcher.join().status == "completed"
        assert costs_at_most_a_third_more(system.requests_for(pages[k]), k)
        started, *looks = second_attempt(watcher)[:k]
        assert (started.data["turnsKept"], started.data["cause"]) == (k - 1, cause)
        assert [event.name for event in looks] == ["tool"] * (k - 1)
        assert watcher.final is not None and any(each["files"] for each in watcher.final.data["suggestions"])
    assert not system.redis.keys("suggestion:*:turns")
    # Because of `once`, a second job for the same page is not disturbed.
    undisturbed = Watcher(system, alice.ask(pages[TURNS]))
    assert undisturbed.join().attempt == 1
    assert answer_of(undisturbed) == answer_of(watchers[TURNS])


def test_only_the_turn_that_was_refused_or_broken_is_requested_again(system: Stack, alice: Person) -> None:
    system.start_worker()
    pages = {
        (fault, k): f"{PAGE}, {fault} in turn {k} once"
        for k in range(2, TURNS + 2)
        for fault in ("error event", "broken stream")
    }
    watchers = {key: Watcher(system, alice.ask(page)) for key, page in pages.items()}
    for (fault, k), watcher in watchers.items():
        assert watcher.join().status == "completed"
        assert costs_at_most_a_third_more(system.requests_for(pages[fault, k]), k)


def test_an_answer_that_broke_is_requested_again_after_the_complete_turns(system: Stack, alice: Person) -> None:
    system.start_worker()
    page = "Checkout three tool turns, broken stream once"
    watcher = Watcher(system, alice.ask(page))
    assert watcher.join().status == "completed"
    started = second_attempt(watcher)[0]
    assert (started.data["turnsKept"], started.data["cause"]) == (3, "model_error")
    assert [request["turn"] for request in system.requests_for(page)] == [1, 2, 3, 4, 4]


def test_a_job_whose_custom_agent_was_changed_meanwhile_begins_its_conversation_anew(
    system: Stack, alice: Person
) -> None:
    first = system.start_worker()
    page = f"{PAGE}, another agent, stall once"
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

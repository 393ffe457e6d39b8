"""Tests when the model is asked to answer, when it is forced to, and when a job has used up its tokens."""

import time

import pytest

from shared.contract.schemas import TokenUsage
from worker.agent.limits import MAX_TURNS, Limits, Urgency, weight


def limits(timeout_seconds: float = 1_000, max_tokens: int = 1_000, waited: float = 0) -> Limits:
    return Limits(timeout_seconds, max_tokens, lambda: waited)


def spent(tokens: int, cached: int = 0) -> TokenUsage:
    return TokenUsage(input_tokens=tokens, cache_read_tokens=cached, total_tokens=tokens + cached)


def test_the_model_is_not_asked_to_answer_while_no_limit_is_near() -> None:
    bounds = limits()
    urgencies = [bounds.before_turn(number, spent(10), calls_are_used_up=False) for number in range(2, MAX_TURNS - 1)]
    assert set(urgencies) == {Urgency.NONE}


def test_the_model_is_asked_to_answer_in_the_last_turn_but_one_and_forced_to_in_the_last() -> None:
    bounds = limits()
    assert bounds.before_turn(MAX_TURNS - 1, spent(0), calls_are_used_up=False) is Urgency.ASKED
    assert bounds.before_turn(MAX_TURNS, spent(0), calls_are_used_up=False) is Urgency.FORCED


def test_a_model_that_calls_tools_after_it_was_asked_to_answer_is_forced_to() -> None:
    bounds = limits()
    assert bounds.before_turn(2, spent(0), calls_are_used_up=True) is Urgency.ASKED
    assert bounds.before_turn(3, spent(0), calls_are_used_up=True) is Urgency.FORCED


@pytest.mark.parametrize(("waited", "urgency"), [(0, Urgency.ASKED), (700, Urgency.NONE)])
def test_time_spent_waiting_for_the_provider_does_not_count(
    monkeypatch: pytest.MonkeyPatch, waited: float, urgency: Urgency
) -> None:
    bounds = limits(timeout_seconds=1_000, waited=waited)
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 601)
    assert bounds.before_turn(2, spent(0), calls_are_used_up=False) is urgency


@pytest.mark.parametrize(
    ("usage", "urgency", "is_spent"),
    [
        (spent(899), Urgency.NONE, False),
        (spent(901), Urgency.ASKED, False),
        (spent(1_001), Urgency.ASKED, True),
        (spent(0, cached=8_900), Urgency.NONE, False),
        (spent(500, cached=4_100), Urgency.ASKED, False),
        (spent(500, cached=5_100), Urgency.ASKED, True),
    ],
)
def test_tokens_read_from_the_cache_count_a_tenth(usage: TokenUsage, urgency: Urgency, is_spent: bool) -> None:
    assert limits().before_turn(2, usage, calls_are_used_up=False) is urgency
    assert limits().is_spent(usage) is is_spent


def test_output_tokens_count_too() -> None:
    assert weight(TokenUsage(output_tokens=7, cache_creation_tokens=3, total_tokens=10)) == 10

"""Tests what is logged about an outage, with a clock that the tests advance."""

import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError, OutOfMemoryError, TimeoutError

from shared.state.outages import Outages


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    clock = [1000.0]
    monkeypatch.setattr("shared.state.outages.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def turn(seconds: float) -> None:
        clock[0] += seconds

    return turn


def test_an_hour_without_redis_is_logged_in_few_lines(
    turn: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    outages = Outages()
    with caplog.at_level(logging.WARNING):
        for _ in range(7200):
            outages.note(ConnectionError("refused"))
            turn(0.5)
        outages.over()
    assert len(caplog.messages) < 25
    assert caplog.messages[0] == "Redis is away: ConnectionError"
    assert caplog.messages[1] == "Redis is still away, after 10 s: ConnectionError"
    assert caplog.messages[-1] == "Redis answers again, after 3600.0 s"
    assert not outages.is_away


def test_a_time_out_that_ends_after_the_outage_is_not_another_outage(
    turn: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    outages = Outages()
    with caplog.at_level(logging.WARNING):
        outages.note(TimeoutError())
        turn(1)
        outages.over()
        turn(2)
        outages.note(TimeoutError())
    assert len(caplog.messages) == 2
    assert not outages.is_away


def test_a_full_redis_that_answers_other_commands_is_logged_in_few_lines_and_counts_as_away(
    turn: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    outages = Outages()
    with caplog.at_level(logging.WARNING):
        for _ in range(600):
            outages.note(OutOfMemoryError("command not allowed"))
            outages.over()  # a lease was renewed meanwhile
            assert outages.is_away
            turn(1)
        assert caplog.messages[0] == "Redis is full: OutOfMemoryError"
        assert len(caplog.messages) < 10
        turn(40)
        outages.over()
    assert caplog.messages[-1] == "Redis has refused nothing for 30 s"
    assert not outages.is_away

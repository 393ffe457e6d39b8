"""Tests that the running attempt keeps turns of a conversation, in order, within limits, until the job ends."""

from dataclasses import replace

import pytest
from redis import Redis

from shared.state import job_store, keys
from shared.state.job_store import JobStore
from tests.shared.state.builders import new_job, started


def test_kept_turns_are_read_in_their_order(store: JobStore, redis: Redis) -> None:
    attempt = started(store, new_job(store))
    assert [store.keep_turn(attempt, number, turn) for number, turn in enumerate((b"a", b"b", b"c"))] == [1, 2, 3]
    assert store.kept_turns(attempt.job_id) == [b"a", b"b", b"c"]
    assert 0 < redis.pttl(keys.turns(attempt.job_id)) <= store.ttl_ms


def test_only_the_running_attempt_may_keep_turns(store: JobStore) -> None:
    attempt = started(store, new_job(store))
    for other in (replace(attempt, number=2), replace(attempt, execution=f"{attempt.job_id}:other")):
        assert store.keep_turn(other, 0, b"x") is None
    store.release(attempt, "w1")
    again = started(store, attempt.job_id, "w2")
    assert store.keep_turn(attempt, 0, b"late") is None and store.keep_turn(again, 0, b"mine") == 1
    assert store.kept_turns(attempt.job_id) == [b"mine"]


def test_a_turn_is_kept_once_and_never_after_a_gap_and_the_first_replaces_all(store: JobStore) -> None:
    attempt = started(store, new_job(store))
    assert store.keep_turn(attempt, 0, b"a") == 1 == store.keep_turn(attempt, 2, b"c")
    assert store.keep_turn(attempt, 1, b"b") == 2 == store.keep_turn(attempt, 1, b"b")
    assert store.kept_turns(attempt.job_id) == [b"a", b"b"]
    assert store.keep_turn(attempt, 0, b"new") == 1 and store.kept_turns(attempt.job_id) == [b"new"]


def test_no_turns_are_kept_beyond_the_limit(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "MAX_TURNS_BYTES", 10)
    attempt = started(store, new_job(store))
    assert store.keep_turn(attempt, 0, b"12345") and store.keep_turn(attempt, 1, b"67890")
    assert store.keep_turn(attempt, 2, b"x") is None and len(store.kept_turns(attempt.job_id)) == 2


def test_kept_turns_are_deleted_when_the_job_ends(store: JobStore, redis: Redis) -> None:
    attempt = started(store, new_job(store))
    store.keep_turn(attempt, 0, b"a")
    store.release(attempt, "w1")
    assert store.kept_turns(attempt.job_id) == [b"a"]
    store.cancel(attempt.job_id, "alice")
    assert not redis.exists(keys.turns(attempt.job_id))

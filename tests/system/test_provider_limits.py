"""Tests two workers with a provider that limits requests: every job completes, and few requests are refused."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import wait_until
from tests.stack import Person, Stack, Watcher, stack

JOBS_IN_ALL, USERS = 40, 8


@contextmanager
def limited(folder: Path, *options: str, workers: int = 2, **settings: Any) -> Iterator[Stack]:
    with stack(folder, **settings) as it:
        it.start_sandbox(*options, chars=200, interval_ms=1)
        it.start_web()
        for _ in range(workers):
            it.start_worker()
        yield it


def asked_together(system: Stack, **fields: Any) -> list[Watcher]:
    """Creates jobs of several users at once, and returns a viewer of each job."""
    people = [Person(system, f"user{number}") for number in range(USERS)]
    jobs = [
        (person, person.ask(f"Page {number} fast", **fields))
        for number, person in enumerate(people * (JOBS_IN_ALL // USERS))
    ]
    watchers = [Watcher(system, job_id, name=person.name) for person, job_id in jobs]
    for person in people:
        person.close()
    return watchers


def all_answered(watchers: list[Watcher], seconds: float) -> None:
    for watcher in watchers:
        assert watcher.join(seconds).status == "completed"
        assert [event.name for event in watcher.kept].count("started") == 1


def accepted(system: Stack) -> list[dict[str, Any]]:
    return [request for request in system.sandbox_requests() if not request["isRefused"]]


def seconds_taken(system: Stack) -> float:
    times = [request["receivedAt"] for request in accepted(system)]
    return float(max(times) - min(times)) / 1000


@pytest.mark.parametrize(
    ("options", "most_refused"), [((), 4), (("--strip-limit-headers",), 10)], ids=["headers", "stripped"]
)
def test_forty_jobs_at_once_take_little_longer_than_the_limit_of_requests_requires(
    tmp_path: Path, options: tuple[str, ...], most_refused: int
) -> None:
    with limited(tmp_path, "--requests-per-minute", "120", "--burst", "5", *options) as system:
        all_answered(asked_together(system), 60)
        assert len(accepted(system)) == JOBS_IN_ALL
        assert len(system.sandbox_requests()) - JOBS_IN_ALL <= most_refused
        assert seconds_taken(system) <= 1.25 * (JOBS_IN_ALL - 5) / 2


def test_forty_jobs_at_once_take_little_longer_than_the_limit_of_input_tokens_requires(tmp_path: Path) -> None:
    with limited(tmp_path, "--input-tokens-per-minute", "60000", "--input-tokens-burst", "3000") as system:
        all_answered(asked_together(system, additionalContext="What people ask. " * 55), 60)
        needed = sum(request["inputTokens"] + request["cacheCreationTokens"] for request in accepted(system))
        assert len(system.sandbox_requests()) - JOBS_IN_ALL <= 4
        assert needed > 9000, "the jobs must need more tokens than the limit lets through at once"
        assert seconds_taken(system) <= 1.25 * (needed - 3000) / 1000


def test_no_request_is_sent_before_a_retry_after_is_over_and_the_wait_is_published(tmp_path: Path) -> None:
    with limited(tmp_path) as system:
        httpx.post(f"{system.sandbox_url}/sandbox/refusals", json={"count": 1, "retryAfter": 4}).raise_for_status()
        watchers = asked_together(system)
        all_answered(watchers, 60)
        (refused,) = (request for request in system.sandbox_requests() if request["isRefused"])
        waits = [event.data["until"] for watcher in watchers for event in watcher.kept if event.name == "waiting"]
        # Requests that had been sent before the refusal arrived, which was 4 s before `until`, are still answered.
        later = [r for r in accepted(system) if r["receivedAt"] > min(waits) - 3000]
        assert len(later) > JOBS_IN_ALL / 2
        assert min(r["receivedAt"] for r in later) >= refused["receivedAt"] + 4000
        assert any(watcher.saw("waiting", reason="rate_limited") for watcher in watchers)


def test_a_cancel_during_a_wait_acts_at_once_and_no_more_requests_are_sent(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1) as system:
        alice = Person(system)
        job_id = alice.ask("Patient page retry after 60")
        watcher = Watcher(system, job_id)
        wait_until(lambda: watcher.saw("waiting"))
        began = time.monotonic()
        alice.cancel(job_id)
        assert watcher.join().status == "cancelled" and time.monotonic() - began < 5
        assert len(system.sandbox_requests()) == 1
        alice.close()


def test_a_worker_that_stops_gives_back_waiting_jobs_at_once(tmp_path: Path) -> None:
    with limited(tmp_path, workers=0, DRAIN_SECONDS="60") as system:
        old = system.start_worker()
        alice = Person(system)
        watcher = Watcher(system, alice.ask("Patient page retry after 6 once"))
        wait_until(lambda: watcher.saw("waiting"))
        began = time.monotonic()
        assert old.stop() == 0 and time.monotonic() - began < 15
        system.start_worker()
        assert watcher.join().status == "completed"
        assert watcher.saw("started", attempt=2, cause="drain")
        refused, answered = system.sandbox_requests()
        assert answered["receivedAt"] >= refused["receivedAt"] + 6000, (
            "the other worker has to wait for the retry-after too"
        )
        alice.close()


def test_a_worker_leaves_jobs_in_the_queue_that_would_only_wait_for_the_provider(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1, WORKER_CONCURRENCY="8") as system:
        httpx.post(f"{system.sandbox_url}/sandbox/refusals", json={"count": 1, "retryAfter": 6}).raise_for_status()
        alice = Person(system)
        first = Watcher(system, alice.ask("Page 0 fast"))
        wait_until(lambda: first.saw("waiting"))
        later = [Watcher(system, alice.ask(f"Page {number} fast")) for number in range(1, 6)]
        wait_until(lambda: all(watcher.saw("queued", position=place) for place, watcher in enumerate(later[1:], 1)))
        assert [alice.read(watcher.job_id)["status"] for watcher in later] == ["in_progress", *["pending"] * 4]
        all_answered([first, *later], 60)
        alice.close()


def test_the_wait_for_the_provider_adds_up_over_all_workers_that_run_a_job(tmp_path: Path) -> None:
    with limited(tmp_path, workers=0) as system:
        alice = Person(system)
        old = system.start_worker()
        watcher = Watcher(system, alice.ask("Hopeless page retry after 60"))
        wait_until(lambda: watcher.saw("waiting"))
        assert old.stop() == 0
        record = f"suggestion:{watcher.job_id}"
        waited = int(system.redis.hget(record, "waited") or 0)
        assert 0 < waited < 60_000
        # This leaves the next worker almost nothing of the 300 s that MAX_WAIT_SECONDS allows.
        system.redis.hset(record, "waited", 299_990 + waited)
        system.start_worker()
        assert watcher.join().status == "failed"
        alice.close()


def test_a_job_fails_as_retryable_after_the_longest_wait(tmp_path: Path) -> None:
    with limited(tmp_path, workers=1, MAX_WAIT_SECONDS="3") as system:
        alice = Person(system)
        watcher = Watcher(system, alice.ask("Hopeless page retry after 60"))
        job = watcher.join()
        alice.close()
        assert job.error is not None
        assert (job.error.code, job.error.retryable, job.attempt) == ("MODEL_OVERLOADED", True, 1)
        assert watcher.saw("waiting", reason="rate_limited")
        assert len(system.sandbox_requests()) == 1

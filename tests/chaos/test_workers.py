"""Tests workers that freeze, stop, or have to cancel a job."""

import signal
from pathlib import Path

import pytest
from rq import SimpleWorker

from tests.conftest import wait_until
from tests.stack import Person, Stack, Watcher, own_events, stack

TAKEOVER_SECONDS = 15


def test_a_frozen_worker_that_was_replaced_writes_nothing_when_it_thaws_and_goes_on_working(
    system: Stack, alice: Person
) -> None:
    frozen, page = system.start_worker(), "stall once"
    job_id = alice.ask(page)
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("delta"))
    frozen.send(signal.SIGSTOP)
    other = system.start_worker()
    wait_until(lambda: watcher.saw("started", attempt=2), seconds=TAKEOVER_SECONDS)
    frozen.send(signal.SIGCONT)
    job = watcher.join()
    assert job.status == "completed"
    ids = [event.id for event in own_events(watcher.kept)]
    second = [event_id for event_id in ids if event_id.startswith("2-")]
    assert second == [f"2-{number}" for number in range(1, len(second) + 1)]
    assert ids == sorted(ids, key=lambda event_id: tuple(map(int, event_id.split("-"))))
    # The thawed worker has closed its call of the model, and takes jobs again.
    wait_until(lambda: sorted(r["outcome"] for r in system.requests_for(page)) == ["closed", "completed"])
    other.stop()
    assert Watcher(system, alice.ask("after the thaw fast")).join().status == "completed"


def test_jobs_that_end_at_the_same_time_share_few_connections_without_errors(system: Stack, alice: Person) -> None:
    worker = system.start_worker()
    worker.send(signal.SIGSTOP)
    job_ids = [alice.ask(f"one of many, {number} fast") for number in range(60)]
    worker.send(signal.SIGCONT)
    watchers = [Watcher(system, job_id) for job_id in job_ids]
    assert {watcher.join().status for watcher in watchers} == {"completed"}
    wait_until(lambda: not system.redis.keys("rq:job:*"))
    assert not any(worker.has_said(text) for text in ("bookkeeping of", "Redis is away"))
    [stock] = SimpleWorker.all(system.redis)
    assert (stock.successful_job_count, stock.get_current_executions()) == (60, [])
    connections = len(system.redis.client_list())
    assert worker.stop() == 0
    assert 1 < connections - len(system.redis.client_list()) <= 9


def test_a_stopping_worker_finishes_the_jobs_that_fit_and_gives_the_others_back(system: Stack, alice: Person) -> None:
    old = system.start_worker(DRAIN_SECONDS="1")
    long = Watcher(system, alice.ask("drained, stall once"))
    wait_until(lambda: long.saw("delta"))
    short = Watcher(system, alice.ask("short fast"))
    wait_until(lambda: short.saw("started"))
    old.send(signal.SIGTERM)
    system.start_worker()
    assert old.wait() == 0
    watchers = [short, long]
    jobs = [watcher.join() for watcher in watchers]
    assert [job.status for job in jobs] == ["completed", "completed"]
    assert not any(watcher.saw("error") for watcher in watchers)
    assert not short.saw("started", attempt=2)
    assert long.saw("started", attempt=2, cause="drain")
    assert long.final is not None
    assert long.final.data["retryCount"] == 0


def test_a_second_sigterm_does_not_wait(system: Stack, alice: Person) -> None:
    old = system.start_worker(DRAIN_SECONDS="60")
    watcher = Watcher(system, alice.ask("hurried, stall once"))
    wait_until(lambda: watcher.saw("delta"))
    old.send(signal.SIGTERM)
    wait_until(lambda: old.has_said("waiting for the running jobs"))
    old.send(signal.SIGTERM)
    assert old.wait(10) == 0
    wait_until(lambda: watcher.saw("queued", workers=0), seconds=15)
    system.start_worker()
    assert watcher.join().status == "completed"
    assert watcher.saw("started", attempt=2, cause="drain")


def test_a_waiting_job_is_cancelled_at_once_and_never_run(system: Stack, alice: Person) -> None:
    job_id = alice.ask("never run")
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("queued", position=1, workers=0))
    answer = alice.cancel(job_id)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    watcher.join()
    assert [event.id for event in own_events(watcher.kept)] == ["0-1"]
    system.start_worker()
    assert Watcher(system, alice.ask("the next fast")).join().status == "completed"
    assert system.requests_for("never run") == []


@pytest.mark.parametrize("trouble", ["stall", "silent"])
def test_a_cancel_reaches_a_model_that_has_gone_silent(system: Stack, alice: Person, trouble: str) -> None:
    system.start_worker()
    page = f"{trouble} fast"
    job_id = alice.ask(page)
    wait_until(lambda: [r["outcome"] for r in system.requests_for(page)] == ["running"])
    alice.cancel(job_id)
    wait_until(lambda: [r["outcome"] for r in system.requests_for(page)] == ["closed"])
    assert Watcher(system, job_id).join().status == "cancelled"


def test_an_attempt_that_takes_too_long_ends_as_timed_out_and_frees_its_slot(system: Stack, alice: Person) -> None:
    system.start_worker(JOB_TIMEOUT_SECONDS="1", WORKER_CONCURRENCY="1")
    watcher = Watcher(system, alice.ask("too slow, slow"))
    job = watcher.join()
    assert (job.status, job.error and job.error.code) == ("failed", "TIMEOUT")
    assert Watcher(system, alice.ask("fast")).join().status == "completed"


def test_three_suggestions_that_are_complete_at_the_time_limit_are_delivered(system: Stack, alice: Person) -> None:
    system.start_worker(JOB_TIMEOUT_SECONDS="4")
    watcher = Watcher(system, alice.ask("stall after three fast"))
    job = watcher.join()
    assert (job.status, job.is_partial, len(job.suggestions or ())) == ("completed", True, 3)


def test_a_job_that_no_worker_takes_expires_and_its_viewers_get_that_event(tmp_path: Path) -> None:
    with stack(tmp_path, JOB_TTL_SECONDS="2") as system:
        system.start_web()
        alice = Person(system)
        job_id = alice.ask("waits in vain")
        with alice.stream(job_id) as events:
            last = list(events)[-1]
        assert (last.name, last.data["code"]) == ("error", "EXPIRED")
        assert alice.http.get(f"/api/feature-planner/suggest-feature/{job_id}").status_code == 404
        wait_until(lambda: system.redis.llen("rq:queue:suggestions") == 0)
        alice.close()

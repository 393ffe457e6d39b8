"""Tests that the jobs of workers that are killed are run again, fail or can be cancelled."""

import signal

from shared.state import keys
from tests.conftest import wait_until
from tests.stack import Person, Stack, Watcher

TAKEOVER_SECONDS = 15


def test_a_killed_workers_job_runs_again_elsewhere_and_is_answered_once(system: Stack, alice: Person) -> None:
    workers = [system.start_worker(), system.start_worker()]
    job_id = alice.ask("killed, stall once")
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("delta"))
    holder = system.redis.hget(keys.record(job_id), "holder")
    next(worker for worker in workers if f".{worker.pid}.".encode() in (holder or b"")).send(signal.SIGKILL)
    wait_until(lambda: watcher.saw("started", attempt=2, cause="worker_lost"), seconds=TAKEOVER_SECONDS)
    job = watcher.join()
    assert job.status == "completed"
    assert watcher.final is not None
    assert watcher.final.data["retryCount"] == 1
    assert job.text is not None
    assert job.text.count(watcher.final.data["suggestions"][0]["description"]) == 1


def test_a_job_that_kills_every_worker_ends_as_lost(system: Stack, alice: Person) -> None:
    job_id = alice.ask("deadly, stall")
    watcher = Watcher(system, job_id)
    for attempt in (1, 2, 3):
        worker = system.start_worker()
        wait_until(lambda: watcher.saw("started", attempt=attempt), seconds=TAKEOVER_SECONDS)  # noqa: B023
        worker.send(signal.SIGKILL)
    job = watcher.join()
    assert (job.status, job.error and job.error.code) == ("failed", "WORKER_LOST")
    assert alice.read(job_id)["status"] == "failed"


def test_viewers_see_that_no_worker_runs_and_the_job_runs_when_one_starts(system: Stack, alice: Person) -> None:
    worker = system.start_worker()
    job_id = alice.ask("orphaned, stall once")
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("delta"))
    worker.send(signal.SIGKILL)
    wait_until(lambda: watcher.saw("queued", position=1, workers=0), seconds=20)
    system.start_worker()
    assert watcher.join().status == "completed"


def test_a_job_whose_worker_has_just_died_can_still_be_cancelled(system: Stack, alice: Person) -> None:
    worker = system.start_worker()
    job_id = alice.ask("dead and cancelled, stall")
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("delta"))
    worker.send(signal.SIGKILL)
    assert alice.cancel(job_id).status_code == 202
    system.start_worker()
    job = watcher.join()
    assert job.status == "cancelled"
    assert not watcher.saw("started", attempt=2)

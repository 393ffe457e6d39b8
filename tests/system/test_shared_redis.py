"""Tests a Redis that is shared: two deployments in one database, and a user with only the rights it needs."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rq.worker import Worker

from shared.state import rights
from tests.api.server.test_strangers import AGENT, AGENT_BODY
from tests.conftest import clean_environment, free_port, wait_until
from tests.forks import FORKS
from tests.stack import JOBS, ROOT, Person, Stack, Watcher, stack

OPERATIONS = ROOT / "docs/operations.md"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_sandbox()
        yield it


def test_two_deployments_in_one_database_neither_see_nor_run_each_others_jobs(shared: Stack) -> None:
    ports = {name: free_port() for name in ("blue", "green")}
    for name, port in ports.items():
        shared.start_web(port, REDIS_PREFIX=name)
    shared.start_worker(REDIS_PREFIX="blue", CLAUDE_MODEL="sandbox")
    blue, green = (Person(shared, port=port) for port in ports.values())
    key = {"Idempotency-Key": "the-same-in-both"}
    mine, other = blue.ask("of blue", headers=key), green.ask("of green", headers=key)
    assert mine != other
    watcher = Watcher(shared, mine, port=ports["blue"])
    assert watcher.join().status == "completed"
    assert green.http.get(f"/api/feature-planner/suggest-feature/{mine}").status_code == 404
    assert green.read(other)["status"] == "pending"
    assert [job["jobId"] for job in blue.jobs()] == [mine]
    assert [job["jobId"] for job in green.jobs()] == [other]
    assert blue.http.get("/readyz").json()["workers"] == 1
    assert green.http.get("/readyz").json()["workers"] == 0
    assert shared.redis.lrange("rq:queue:green:suggestions", 0, -1) == [other.encode()]
    found = {key.decode() for key in shared.redis.scan_iter(count=1000)}
    assert [key for key in found if not key.startswith(("blue:", "green:", "rq:"))] == []
    blue.close()
    green.close()
    assert {f"blue:suggestion:{mine}", f"green:suggestion:{other}"} <= found


def test_workers_with_other_settings_or_of_another_application_are_reported(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox()
        system.start_web()
        metrics = lambda: httpx.get(f"http://127.0.0.1:{system.web_port}/metrics").text  # noqa: E731
        first = system.start_worker(REDIS_PREFIX="")
        system.start_worker()
        assert "planner_worker_settings 1.0" in metrics() and "ok   redis neighbours" in checked(system)
        apart = system.start_worker(REDIS_PREFIX="green", ANTHROPIC_API_KEY="of-another")
        assert "planner_worker_settings 1.0" in metrics() and "ok   redis neighbours" in checked(system)
        other = system.start_worker(ANTHROPIC_API_KEY="of-another")
        wait_until(lambda: other.has_said("different settings"))
        assert "planner_worker_settings 2.0" in metrics()
        assert "warn redis neighbours: workers of the queue suggestions have different settings" in checked(system)
        assert not any(worker.has_said("settings:") for worker in (first, apart))
        assert other.stop() == 0
        for queue in ("mails", "suggestions"):
            Worker([queue], connection=system.redis, name=f"of-{queue}").register_birth()
        said = checked(system)
        assert "take jobs from the queue suggestions: of-suggestions" in said and "their queues: mails" in said
        assert "of-another" not in said
        assert "planner_worker_settings 2.0" in metrics()


def checked(system: Stack) -> str:
    """Returns what `--check` of a web process prints."""
    process = FORKS.start("api", "--check", env=clean_environment(**system.settings, PORT=str(free_port())))
    with process.stdout:
        said = process.stdout.read()
    process.wait()
    return said


def test_the_documented_rights_are_enough_for_everything_that_the_processes_do(tmp_path: Path) -> None:
    rules = next(line for line in OPERATIONS.read_text().splitlines() if line.startswith("user planner ")).split()[2:]
    assert rules == ["on", ">PASSWORD", *rights.acl_rules().split()]
    with stack(tmp_path, COMPLETED_RETENTION_SECONDS="0", JOB_TIMEOUT_SECONDS="60") as system:
        system.redis.execute_command("ACL", "SETUSER", "planner", *rules)
        system.settings["REDIS_URL"] = system.redis_server.url.replace("redis://", "redis://planner:PASSWORD@")
        system.start_sandbox()
        system.start_web()
        lost = system.start_worker(METRICS_PORT=str(free_port()))
        alice = Person(system)
        assert alice.http.put(AGENT, json=AGENT_BODY).status_code == 200
        taken_over = Watcher(system, alice.ask("taken over, stall once"))
        wait_until(lambda: taken_over.saw("delta"))
        lost.popen.kill()
        drained = system.start_worker(DRAIN_SECONDS="0")
        cancelled, retried = alice.ask("silent"), alice.ask("error event once", {"Idempotency-Key": "a-key"})
        assert alice.ask("error event once", {"Idempotency-Key": "a-key"}) == retried
        watchers = [Watcher(system, job) for job in (cancelled, retried)]
        wait_until(lambda: watchers[0].saw("started"))
        alice.cancel(cancelled)
        wait_until(lambda: taken_over.saw("started", attempt=2))
        slow = Watcher(system, alice.ask("slow"))
        wait_until(lambda: slow.saw("delta"))
        drained.stop()
        system.start_worker()
        wait_until(lambda: slow.saw("started", attempt=2))
        alice.cancel(slow.job_id)
        ends = [watcher.join().status for watcher in (taken_over, *watchers, slow)]
        assert ends == ["completed", "cancelled", "completed", "cancelled"]
        assert alice.http.get("/readyz").json() == {"status": "ok", "redis": "ok", "workers": 1}
        assert alice.http.get(JOBS).status_code == alice.http.get("/metrics").status_code == 200
        assert alice.http.get(AGENT).status_code == 200
        assert alice.http.delete(AGENT).status_code == 204
        alice.close()
        # redis-py tries CLIENT subcommands that are not needed, and Redis 6 does not log which ones.
        assert {str(entry["object"]).partition("|")[0] for entry in system.redis.acl_log()} <= {"client"}
        assert not any("Traceback" in line for process in system.processes for line in process.lines)

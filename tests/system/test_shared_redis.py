"""Two deployments in one Redis database, told apart by REDIS_PREFIX alone."""

from collections.abc import Iterator

import pytest

from tests.conftest import free_port, wait_until
from tests.stack import Person, Stack, Watcher, stack


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
    assert blue.http.get("/readyz").json()["workers"] == 1
    assert green.http.get("/readyz").json()["workers"] == 0
    shared.start_worker(REDIS_PREFIX="green", CLAUDE_MODEL="sandbox")
    wait_until(lambda: green.read(other)["status"] == "completed")
    found = {key.decode() for key in shared.redis.scan_iter(count=1000)}
    assert all(key.startswith(("blue:", "green:", "rq:")) for key in found), found
    blue.close()
    green.close()
    assert {f"blue:suggestion:{mine}", f"green:suggestion:{other}"} <= found

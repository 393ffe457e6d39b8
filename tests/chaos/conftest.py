"""Provides the fixtures that the chaos tests share: a system whose answers take some 3 s.

`stall once` in a page's name makes the first answer stop half-way, so that a test has time to break something.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.stack import Person, Stack, running_stack


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides Redis, the sandbox and a web process to a module, since starting them takes longer than most tests."""
    with running_stack(tmp_path_factory.mktemp("stack"), chars=8, has_worker=False) as it:
        yield it


@pytest.fixture
def system(lasting: Stack) -> Iterator[Stack]:
    """Provides the module's system with no data in it. What a test starts, such as workers, is stopped after it."""
    kept = list(lasting.processes)
    yield lasting
    for process in reversed(lasting.processes[len(kept) :]):
        process.cleanup()
    lasting.processes[:] = kept
    lasting.redis.flushall()
    httpx.delete(f"{lasting.sandbox_url}/sandbox/requests")


@pytest.fixture
def alice(system: Stack) -> Iterator[Person]:
    person = Person(system)
    yield person
    person.close()

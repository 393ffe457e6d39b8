"""What the chaos tests share: a system whose answers take some 3 s.

`stall once` in a page's name makes the first answer stop in its middle, for as long as a test needs to break it.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.stack import Person, Stack, running_stack


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis, the sandbox and a web process, for the tests of a module: starting them takes longer than most tests."""
    with running_stack(tmp_path_factory.mktemp("stack"), chars=8, has_worker=False) as it:
        yield it


@pytest.fixture
def system(lasting: Stack) -> Iterator[Stack]:
    """Provides the lasting system, empty. Workers, and whatever else is started, are the test's own."""
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

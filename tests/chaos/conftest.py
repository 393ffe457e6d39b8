"""What the chaos tests share: a system whose answers take some 3 s, so that there is a middle to break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Person, Stack, stack


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Stack]:
    """Redis, the sandbox and a web process; workers are the tests' own."""
    with stack(tmp_path) as it:
        it.start_sandbox(chars=8, interval_ms=10)
        it.start_web()
        yield it


@pytest.fixture
def alice(system: Stack) -> Iterator[Person]:
    person = Person(system)
    yield person
    person.close()

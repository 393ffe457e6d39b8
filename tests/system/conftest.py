"""Provides the fixtures that the tests of the whole system share: one system for each module, and a user of it."""

from collections.abc import Iterator

import pytest

from tests.stack import Person, Stack, running_stack


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Provides settings in addition to those of every stack; a module may override it."""
    return {}


@pytest.fixture(scope="module")
def system(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides Redis, the sandbox, a web process and a worker, for the tests of a module."""
    with running_stack(tmp_path_factory.mktemp("stack"), settings) as it:
        yield it


@pytest.fixture
def alice(system: Stack) -> Iterator[Person]:
    person = Person(system)
    yield person
    person.close()

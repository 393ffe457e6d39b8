"""What the tests of the sandbox share: the SDK, pointed at the sandbox of their module."""

from collections.abc import Iterator

import pytest
from anthropic import Anthropic

from tests.sandboxes import Sandbox, client_of


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Provides a sandbox that writes fast."""
    running = Sandbox("--chars", "40", "--interval-ms", "1")
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Anthropic]:
    """Provides the SDK, pointed at the sandbox."""
    with client_of(sandbox) as pointed:
        yield pointed

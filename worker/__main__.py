"""Runs the worker process: `python -m worker`.

With `--check` it only reports whether it could work in this environment, with `--alive` whether a worker of this host
works."""

import argparse
import sys

from shared import standard_streams
from shared.cli import require_half


def main() -> int:
    """Runs the worker, or the check that the command line names. Returns the exit code."""
    standard_streams.open_missing()
    parser = argparse.ArgumentParser(prog="python -m worker", description="Runs the agent for many jobs at once.")
    parser.add_argument("--check", action="store_true", help="only say whether it could work in this environment")
    parser.add_argument("--alive", action="store_true", help="only say whether the worker of this host works (a probe)")
    arguments = parser.parse_args()
    require_half("worker")
    # This import needs the packages that `require_half` has checked for.
    if arguments.alive:
        from worker.alive import is_alive

        return is_alive()
    if arguments.check:
        from worker import checks

        return checks.main()
    from worker import process

    return process.main()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m worker`: runs the worker process.

With `--check` it only says whether it could work in this environment, with `--alive` whether the host's worker does."""

import argparse
import sys

from shared.cli import require_half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Runs the agent for many jobs at once.")
    parser.add_argument("--check", action="store_true", help="only say whether it could work in this environment")
    parser.add_argument("--alive", action="store_true", help="only say whether the worker of this host works (a probe)")
    arguments = parser.parse_args()
    require_half("worker")
    # Not before it is known that the packages of this half are here.
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

"""`python -m worker`: runs the worker process, or with `--check` says whether it could work in this environment."""

import argparse
import sys

from shared.cli import require_half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Runs the agent for many jobs at once.")
    parser.add_argument("--check", action="store_true", help="only say whether it could work in this environment")
    is_check = parser.parse_args().check
    require_half("worker")
    # Not before it is known that the packages of this half are here.
    from worker import checks, process

    return checks.main() if is_check else process.main()


if __name__ == "__main__":
    sys.exit(main())

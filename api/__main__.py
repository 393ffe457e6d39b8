"""`python -m api --check`: says whether the web process could serve with this environment."""

import argparse
import sys

from shared.cli import require_half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="look at everything, then exit")
    parser.parse_args()
    require_half("api")
    # Not before it is known that the packages of this half are here.
    from api import checks

    return checks.main()


if __name__ == "__main__":
    sys.exit(main())

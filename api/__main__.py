"""Reports whether the web process could serve with this environment: `python -m api --check`."""

import argparse
import sys

from shared.cli import require_half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="look at everything, then exit")
    parser.parse_args()
    require_half("api")
    # This import needs the packages that `require_half` has checked for.
    from api import checks

    return checks.main()


if __name__ == "__main__":
    sys.exit(main())

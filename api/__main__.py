"""`python -m api --check`: says whether the web process could serve with this environment."""

import argparse
import sys

from api.checks import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="look at everything, then exit")
    parser.parse_args()
    sys.exit(main())

"""Runs a worker whose code has been changed by the Python code in the first argument, which is executed before."""

import sys

from worker import process

if __name__ == "__main__":
    exec(sys.argv[1], {})
    sys.exit(process.main())

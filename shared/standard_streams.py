"""Makes sure that the process has standard input, output and error, whatever it was started with."""

import os
import sys


def open_missing() -> None:
    """Opens the null device in place of each standard stream that was closed when the process started.

    Otherwise the next file or socket would get its number: then libuv, which never closes these three, ends the worker
    by an assertion when that is closed, and what is printed goes into a socket.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is used, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- it stays open as long as the process runs
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115

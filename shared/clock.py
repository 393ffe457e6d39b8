"""Tells the time of day as the contract writes it. Durations are measured with `time.monotonic`, never with this."""

import time


def now_ms() -> int:
    """Returns the milliseconds since the Unix epoch."""
    return int(time.time() * 1000)

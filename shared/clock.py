"""The time of day as the contract writes it. Durations are measured by `time.monotonic`, never by this."""

import time


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return int(time.time() * 1000)

"""Helps with watchers of the event loop, which call back when a socket can be read or written."""

from typing import Any

READ, WRITE = 1, 2
"""The events that `loop.io` takes."""


def close(*watchers: Any) -> None:
    """Stops and frees these watchers; each may be None."""
    for watcher in watchers:
        if watcher is not None:
            watcher.stop()
            watcher.close()

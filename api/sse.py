"""Events as bytes of a text/event-stream; pure.

Every frame is made once, in both shapes a connection may need: as it is, and as a finished HTTP/1.1 chunk.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.event_log import Entry
from shared.events import Event

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "Connection": "keep-alive",
    # Tells nginx not to collect the stream before it passes it on.
    "X-Accel-Buffering": "no",
}


class Frame(NamedTuple):
    plain: bytes
    chunk: bytes


def frame(plain: bytes) -> Frame:
    return Frame(plain, b"%x\r\n%b\r\n" % (len(plain), plain))


def retry(milliseconds: int) -> bytes:
    """A line that tells the client how long to wait before it comes back; an event or an empty line follows."""
    return b"retry: %d\n" % milliseconds


KEEP_ALIVE = frame(b": keep-alive\n\n")


def of_connection(event: Event) -> bytes:
    """An event that belongs to the connection alone: it bears no id."""
    return b"event: %b\ndata: %b\n\n" % (event.event.encode(), event.encode())


def of_log(entry: Entry) -> bytes:
    """An event of the job's log. Its data is one line: JSON escapes what would break it."""
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (*entry.id, entry.name.encode(), entry.data)


def replay(entries: Iterable[Entry]) -> bytes:
    """The entries in their order."""
    return b"".join(map(of_log, entries))

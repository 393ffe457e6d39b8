"""Events as bytes of a text/event-stream; pure."""

from collections.abc import Iterable

from shared.contract.events import Event
from shared.state.event_log import Entry

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "Connection": "keep-alive",
    # Tells nginx not to collect the stream before it passes it on.
    "X-Accel-Buffering": "no",
}


def chunk(plain: bytes) -> bytes:
    """The bytes as a finished HTTP/1.1 chunk, which is what viewers are given."""
    return b"%x\r\n%b\r\n" % (len(plain), plain)


def unchunk(chunk: bytes) -> bytes:
    """The bytes that a chunk was made of, for a connection that knows no chunks."""
    return chunk[chunk.index(b"\n") + 1 : -2]


def retry(milliseconds: int) -> bytes:
    """A line that tells the client how long to wait before it comes back; an event or an empty line follows."""
    return b"retry: %d\n" % milliseconds


KEEP_ALIVE = chunk(b": keep-alive\n\n")


def encode_event(event: Event) -> bytes:
    """An event that belongs to the connection alone: it bears no id."""
    return b"event: %b\ndata: %b\n\n" % (event.event.encode(), event.encode())


def encode_entry(entry: Entry) -> bytes:
    """An event of the job's log. Its data is one line: JSON escapes what would break it."""
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (*entry.id, entry.name.encode(), entry.data)


_DELTA_CHUNK = b"%x\r\nid: %b\nevent: delta\ndata: %b\n\n\r\n"
_DELTA_BYTES = len("id: \nevent: delta\ndata: \n\n")


def delta_chunk(event_id: bytes, data: bytes) -> bytes:
    """The chunk of a delta, which is most of what is ever sent, in one step."""
    return _DELTA_CHUNK % (_DELTA_BYTES + len(event_id) + len(data), event_id, data)


def replay(entries: Iterable[Entry]) -> bytes:
    """The entries in their order."""
    return b"".join(map(encode_entry, entries))

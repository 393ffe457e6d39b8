"""Encodes events as bytes of a text/event-stream. Its functions have no side effects."""

from collections.abc import Iterable

from shared.contract.events import Event
from shared.state.event_log import Entry

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "Connection": "keep-alive",
    # Tells nginx not to buffer the stream.
    "X-Accel-Buffering": "no",
}


def chunk(plain: bytes) -> bytes:
    """Returns the bytes as an HTTP/1.1 chunk, the form in which viewers get them."""
    return b"%x\r\n%b\r\n" % (len(plain), plain)


def unchunk(chunk: bytes) -> bytes:
    """Returns the bytes that a chunk was made of, for a connection without chunked encoding."""
    return chunk[chunk.index(b"\n") + 1 : -2]


def retry(milliseconds: int) -> bytes:
    """Returns a line that tells the client when to reconnect. An event or an empty line must follow it."""
    return b"retry: %d\n" % milliseconds


KEEP_ALIVE = chunk(b": keep-alive\n\n")
FORGET_CURSOR = b"id:\n\n"
"""Makes an EventSource forget the last id that it has seen."""


def encode_event(event: Event) -> bytes:
    """Returns an event that belongs to the connection and not to the log, so it has no id."""
    return b"event: %b\ndata: %b\n\n" % (event.event.encode(), escape_line_ends(event.encode()))


_ENTRY = b"id: %b\nevent: %b\ndata: %b\n\n"
_ENTRY_CHUNK = b"%x\r\n" + _ENTRY + b"\r\n"
_ENTRY_BYTES = len(_ENTRY % (b"", b"", b""))


def entry_chunk(event_id: bytes, name: bytes, data: bytes) -> bytes:
    """Returns an event of the job's log as a chunk. `data` is JSON on one line, as `escape_line_ends` returns it."""
    return _ENTRY_CHUNK % (_ENTRY_BYTES + len(event_id) + len(name) + len(data), event_id, name, data)


def replay(entries: Iterable[Entry]) -> bytes:
    """Returns the entries as chunks, in their order."""
    return b"".join(_ENTRY % (b"%d-%d" % entry.id, entry.name.encode(), entry.data) for entry in entries)


def escape_line_ends(data: bytes) -> bytes:
    """Escapes the characters of JSON that some readers take for the end of a line: U+0085, U+2028 and U+2029."""
    if data.isascii():
        return data
    for character, escaped in _LINE_ENDS:
        data = data.replace(character, escaped)
    return data


_LINE_ENDS = [(chr(code).encode(), b"\\u%04x" % code) for code in (0x85, 0x2028, 0x2029)]

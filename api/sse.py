"""Events as bytes of a text/event-stream; pure.

Every frame is made once, in both shapes a connection may need: as it is, and as a finished HTTP/1.1 chunk.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.event_log import Entry, EventId
from shared.events import Delta, Event

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
    """The entries in their order, neighbouring deltas merged into one that bears the last one's id."""
    return b"".join(of_log(entry) for entry in merged(entries))


def merged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries with every run of deltas made one."""
    run: list[Entry] = []
    for entry in entries:
        if entry.name == Delta.event:
            run.append(entry)
            continue
        yield from _joined(run)
        run = []
        yield entry
    yield from _joined(run)


def _joined(run: list[Entry]) -> Iterator[Entry]:
    if len(run) < 2:
        yield from run
        return
    deltas = [Delta.model_validate_json(entry.data) for entry in run]
    text = "".join(delta.text for delta in deltas)
    yield Entry(run[-1].id, Delta.event, deltas[-1].model_copy(update={"text": text}).encode())


def after(entries: list[Entry], cursor: EventId | None) -> list[Entry]:
    """What a client with this cursor has not seen of these entries, which are all of one attempt, from its start.

    A cursor of another attempt, or one past the end, is none: the client gets everything.
    """
    if cursor is None or not entries or cursor.attempt != entries[-1].id.attempt:
        return entries
    seen = cursor.sequence - entries[0].id.sequence + 1
    return entries[seen:] if seen <= len(entries) else entries

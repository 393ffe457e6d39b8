"""Keeps the events of a job's current attempt so that the cost of a replay grows with their text, not their number.

Consecutive deltas are kept as one text. A viewer that joins gets them as one event with the id of the last.
"""

from array import array
from bisect import bisect_right

from pydantic import ValidationError

from api.delivery.sse import escape_line_ends
from shared.contract.events import Delta
from shared.state.event_log import Entry, EventId

_TEXT_BEGINS, _TEXT_ENDS = b'"text":"', b'","totalLength":'
"""These enclose a delta's text in its JSON, and cannot occur within it, since a quote in a text is escaped."""
_DELTA = Delta.event.encode()
_PENDING_DELTAS = 64
"""This many deltas are kept before they are joined, which costs less than joining them one by one."""


class DeltaRun:
    """Holds consecutive deltas: their texts as written in the JSON, joined, and where each ends."""

    __slots__ = ("_ends", "_latest", "_text", "first", "pending")

    def __init__(self, first: int) -> None:
        self.first = first
        self._text = bytearray()
        self._ends = array("I")
        self._latest = b""
        self.pending: list[bytes] = []
        """The latest deltas, which are not joined yet."""

    @property
    def latest(self) -> bytes:
        """Returns the data of the latest delta."""
        return self.pending[-1] if self.pending else self._latest

    def after(self, sequence: int, attempt: int) -> list[Entry]:
        """Returns all deltas after that event merged into one; an empty list where there are none."""
        self.join()
        seen = max(0, sequence - self.first + 1)
        if seen >= len(self._ends):
            return []
        begin, end = _bounds(self._latest)
        text = self._text[self._ends[seen - 1] if seen else 0 :]
        last = EventId(attempt, self.first + len(self._ends) - 1)
        return [Entry(last, Delta.event, self._latest[:begin] + text + self._latest[end:])]

    def join(self) -> None:
        """Joins the pending deltas to the text."""
        for data in self.pending:
            begin, end = _bounds(data)
            if end < begin:  # written by another version, in another form
                data = _normalized(data)
                begin, end = _bounds(data)
            self._text += data[begin:end]
            self._ends.append(len(self._text))
            self._latest = data
        self.pending.clear()


def _normalized(data: bytes) -> bytes:
    try:
        return escape_line_ends(Delta.model_validate_json(data).encode())
    except ValidationError:
        # No client can show it, but the other events must still be delivered.
        return Delta(text="", total_length=0, timestamp=0).encode()


def _bounds(data: bytes) -> tuple[int, int]:
    """Returns where a delta's text begins and ends in its JSON. The end comes first if the form is not ours."""
    return data.find(_TEXT_BEGINS) + len(_TEXT_BEGINS), data.rfind(_TEXT_ENDS)


class History:
    """Holds the events of one attempt, from the first on, without holes."""

    __slots__ = ("_firsts", "_parts", "_run", "attempt", "first_data", "last")

    def __init__(self, attempt: int = 0) -> None:
        self.attempt = attempt
        self.last = 0
        """The sequence number of the latest event, which is also the number of events."""
        self.first_data = b""
        self._parts: list[Entry | DeltaRun] = []
        self._firsts: list[int] = []
        """The sequence number of each part's first event."""
        self._run: DeltaRun | None = None

    @property
    def last_id(self) -> EventId | None:
        """Returns the id of the latest event; None where there is none."""
        return EventId(self.attempt, self.last) if self.last else None

    @property
    def latest(self) -> tuple[str, bytes]:
        """Returns name and data of the latest event."""
        part = self._parts[-1]
        return (part.name, part.data) if isinstance(part, Entry) else (Delta.event, part.latest)

    def add(self, name: bytes, data: bytes) -> None:
        """Adds the next event; `data` is its JSON."""
        self.last += 1
        if self.last == 1:
            self.first_data = data
        if name != _DELTA:
            self._run = None
            self._keep(Entry(EventId(self.attempt, self.last), name.decode(), data))
            return
        run = self._run
        if run is None:
            run = self._run = DeltaRun(self.last)
            self._keep(run)
        pending = run.pending
        pending.append(data)
        if len(pending) > _PENDING_DELTAS:
            run.join()

    def _keep(self, part: Entry | DeltaRun) -> None:
        self._parts.append(part)
        self._firsts.append(self.last)

    def has(self, cursor: EventId | None) -> bool:
        """Returns whether the cursor is the id of one of these events. With any other cursor a client gets all."""
        return cursor is not None and cursor.attempt == self.attempt and 1 <= cursor.sequence <= self.last

    def after(self, cursor: EventId | None) -> list[Entry]:
        """Returns the events that a client with this cursor has missed, consecutive deltas merged into one."""
        sequence = cursor.sequence if cursor is not None and self.has(cursor) else 0
        missed: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._firsts, sequence) - 1) :]:
            if isinstance(part, DeltaRun):
                missed += part.after(sequence, self.attempt)
            elif part.id.sequence > sequence:
                missed.append(part)
        return missed

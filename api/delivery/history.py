"""What a job's current attempt has said so far, kept so that the cost of a replay grows with its text, not its events.

Neighbouring deltas are kept as one text. Whoever joins gets them as one event that bears the last one's id.
"""

from array import array
from bisect import bisect_right

from pydantic import ValidationError

from api.delivery.sse import escape_line_ends
from shared.contract.events import Delta
from shared.state.event_log import Entry, EventId

_TEXT_BEGINS, _TEXT_ENDS = b'"text":"', b'","totalLength":'
"""They stand around a delta's text in its JSON, and cannot occur within it: a quote in a text is escaped."""
_DELTA = Delta.event.encode()
_PENDING_DELTAS = 64
"""So many are kept as they came before they are joined: together that costs less than one by one."""


class DeltaRun:
    """Neighbouring deltas: their texts as the JSON has them, joined, and where each ends."""

    __slots__ = ("_ends", "_latest", "_text", "first", "pending")

    def __init__(self, first: int) -> None:
        self.first = first
        self._text = bytearray()
        self._ends = array("I")
        self._latest = b""
        self.pending: list[bytes] = []
        """The latest, which are not joined yet."""

    @property
    def latest(self) -> bytes:
        """Returns the data of the latest delta."""
        return self.pending[-1] if self.pending else self._latest

    def after(self, sequence: int, attempt: int) -> list[Entry]:
        """Returns all that follows that event, as one; nothing where nothing does."""
        self.join()
        seen = max(0, sequence - self.first + 1)
        if seen >= len(self._ends):
            return []
        begin, end = _bounds(self._latest)
        text = self._text[self._ends[seen - 1] if seen else 0 :]
        last = EventId(attempt, self.first + len(self._ends) - 1)
        return [Entry(last, Delta.event, self._latest[:begin] + text + self._latest[end:])]

    def join(self) -> None:
        for data in self.pending:
            begin, end = _bounds(data)
            if end < begin:  # in the shape of another version
                data = _as_we_write_it(data)
                begin, end = _bounds(data)
            self._text += data[begin:end]
            self._ends.append(len(self._text))
            self._latest = data
        self.pending.clear()


def _as_we_write_it(data: bytes) -> bytes:
    try:
        return escape_line_ends(Delta.model_validate_json(data).encode())
    except ValidationError:
        # Nobody can show it; it must not take the others with it.
        return Delta(text="", total_length=0, timestamp=0).encode()


def _bounds(data: bytes) -> tuple[int, int]:
    """Returns where a delta's text begins and ends in its JSON; not in this order where it is not as we write it."""
    return data.find(_TEXT_BEGINS) + len(_TEXT_BEGINS), data.rfind(_TEXT_ENDS)


class History:
    """The events of one attempt, from its first on, without holes."""

    __slots__ = ("_firsts", "_parts", "_run", "attempt", "first_data", "last")

    def __init__(self, attempt: int = 0) -> None:
        self.attempt = attempt
        self.last = 0
        """The sequence of the latest event, which is also how many there are."""
        self.first_data = b""
        self._parts: list[Entry | DeltaRun] = []
        self._firsts: list[int] = []
        """The sequence that each part begins with."""
        self._run: DeltaRun | None = None

    @property
    def last_id(self) -> EventId | None:
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
        """Returns whether the cursor is one of these events. A client with any other cursor has to get all of them."""
        return cursor is not None and cursor.attempt == self.attempt and 1 <= cursor.sequence <= self.last

    def after(self, cursor: EventId | None) -> list[Entry]:
        """Returns what a client with this cursor has missed, neighbouring deltas merged into one."""
        sequence = cursor.sequence if cursor is not None and self.has(cursor) else 0
        missed: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._firsts, sequence) - 1) :]:
            if isinstance(part, DeltaRun):
                missed += part.after(sequence, self.attempt)
            elif part.id.sequence > sequence:
                missed.append(part)
        return missed

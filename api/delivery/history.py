"""What a job's current attempt has said so far, kept so that telling it again costs by its text and not by its events.

Neighbouring deltas are kept as one text. Whoever joins gets them as one event that bears the last one's id.
"""

from array import array
from bisect import bisect_right

from pydantic import ValidationError

from shared.contract.events import Delta
from shared.state.event_log import Entry, EventId

_TEXT_BEGINS, _TEXT_ENDS = b'"text":"', b'","totalLength":'
"""Around a delta's text in its JSON. Neither can occur within it: a quote in a text is escaped."""
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

    def after(self, sequence: int, attempt: int) -> list[Entry]:
        """All that follows that event, as one; nothing where nothing does."""
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
        return Delta.model_validate_json(data).encode()
    except ValidationError:
        # Nobody can show it; it must not take the others with it.
        return Delta(text="", total_length=0, timestamp=0).encode()


def _bounds(data: bytes) -> tuple[int, int]:
    """Where a delta's text begins and ends in its JSON; not in this order where it is not as we write it."""
    return data.find(_TEXT_BEGINS) + len(_TEXT_BEGINS), data.rfind(_TEXT_ENDS)


class History:
    """Of one attempt, from its first event on, without holes."""

    __slots__ = ("_first", "_firsts", "_parts", "_run", "attempt", "last")

    def __init__(self) -> None:
        self.attempt = 0
        self._first = 0
        self.last = 0
        """The sequence of the latest event."""
        self._parts: list[Entry | DeltaRun] = []
        self._firsts: list[int] = []
        """The sequence that each part begins with."""
        self._run: DeltaRun | None = None

    @property
    def first_id(self) -> EventId | None:
        return EventId(self.attempt, self._first) if self._parts else None

    @property
    def last_id(self) -> EventId | None:
        return EventId(self.attempt, self.last) if self._parts else None

    @property
    def ends_in_delta(self) -> bool:
        return self._run is not None

    def add(self, entry: Entry) -> None:
        """Takes the next event."""
        if not self._parts:
            self.attempt, self._first = entry.id
        self.last = entry.id.sequence
        if entry.name != Delta.event:
            self._run = None
            self._keep(entry)
            return
        if self._run is None:
            self._run = DeltaRun(self.last)
            self._keep(self._run)
        self._run.pending.append(entry.data)

    def add_delta(self, data: bytes) -> None:
        """Takes the next event, where it and the latest are both deltas."""
        run = self._run
        assert run is not None
        self.last += 1
        run.pending.append(data)
        if len(run.pending) > _PENDING_DELTAS:
            run.join()

    def _keep(self, part: Entry | DeltaRun) -> None:
        self._parts.append(part)
        self._firsts.append(self.last)

    def has(self, cursor: EventId | None) -> bool:
        """Whether the cursor is one of these events. A client with any other cursor has to get all of them."""
        if cursor is None or not self._parts:
            return False
        return cursor.attempt == self.attempt and self._first <= cursor.sequence <= self.last

    def after(self, cursor: EventId | None) -> list[Entry]:
        """What a client with this cursor has missed, neighbouring deltas made one."""
        sequence = cursor.sequence if cursor is not None and self.has(cursor) else 0
        missed: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._firsts, sequence) - 1) :]:
            if isinstance(part, DeltaRun):
                missed += part.after(sequence, self.attempt)
            elif part.id.sequence > sequence:
                missed.append(part)
        return missed

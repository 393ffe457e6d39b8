"""What a job's current attempt has said so far, kept so that telling it again costs by its text and not by its events.

Neighbouring deltas are kept as one text. Whoever joins gets them as one event that bears the last one's id.
"""

from array import array
from bisect import bisect_right

from shared.event_log import Entry, EventId
from shared.events import Delta

_TEXT_BEGINS, _TEXT_ENDS = b'"text":"', b'","totalLength":'
"""Around a delta's text in its JSON. Neither can occur within it: a quote in a text is escaped."""
_FRESH_DELTAS = 64
"""So many are kept as they came before they are joined: together that costs less than one by one."""


class _Run:
    """Neighbouring deltas: their texts as the JSON has them, joined, and where each ends."""

    __slots__ = ("_ends", "_fresh", "_latest", "_text", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self._text = bytearray()
        self._ends = array("I")
        self._latest = b""
        self._fresh: list[bytes] = []

    def add(self, data: bytes) -> None:
        self._fresh.append(data)
        if len(self._fresh) > _FRESH_DELTAS:
            self._join()

    def after(self, sequence: int, attempt: int) -> list[Entry]:
        """All that follows that event, as one; nothing where nothing does."""
        self._join()
        seen = max(0, sequence - self.first + 1)
        if seen >= len(self._ends):
            return []
        begin, end = _bounds(self._latest)
        text = self._text[self._ends[seen - 1] if seen else 0 :]
        last = EventId(attempt, self.first + len(self._ends) - 1)
        return [Entry(last, Delta.event, self._latest[:begin] + text + self._latest[end:])]

    def _join(self) -> None:
        for data in self._fresh:
            begin, end = _bounds(data)
            if end < begin:  # in the shape of another version
                data = Delta.model_validate_json(data).encode()
                begin, end = _bounds(data)
            self._text += data[begin:end]
            self._ends.append(len(self._text))
            self._latest = data
        self._fresh.clear()


def _bounds(data: bytes) -> tuple[int, int]:
    """Where a delta's text begins and ends in its JSON; not in this order where it is not as we write it."""
    return data.find(_TEXT_BEGINS) + len(_TEXT_BEGINS), data.rfind(_TEXT_ENDS)


class Past:
    """Of one attempt, from its first event on, without holes."""

    __slots__ = ("_first", "_firsts", "_last", "_parts", "_run", "attempt")

    def __init__(self) -> None:
        self.attempt = 0
        self._first = 0
        self._last = 0
        self._parts: list[Entry | _Run] = []
        self._firsts: list[int] = []
        """The sequence that each part begins with."""
        self._run: _Run | None = None

    @property
    def first_id(self) -> EventId | None:
        return EventId(self.attempt, self._first) if self._parts else None

    @property
    def last_id(self) -> EventId | None:
        return EventId(self.attempt, self._last) if self._parts else None

    @property
    def next_id(self) -> tuple[int, int]:
        """The id that the next event of this attempt will have."""
        return self.attempt, self._last + 1

    def add(self, entry: Entry) -> None:
        """Takes the next event."""
        if not self._parts:
            self.attempt, self._first = entry.id
        self._last = entry.id.sequence
        if entry.name != Delta.event:
            self._run = None
            self._keep(entry)
            return
        if self._run is None:
            self._run = _Run(self._last)
            self._keep(self._run)
        self._run.add(entry.data)

    def add_delta(self, data: bytes) -> None:
        """Takes the next event, where it and the latest are both deltas."""
        assert self._run is not None
        self._last += 1
        self._run.add(data)

    def _keep(self, part: Entry | _Run) -> None:
        self._parts.append(part)
        self._firsts.append(self._last)

    def has(self, cursor: EventId | None) -> bool:
        """Whether the cursor is one of these events. A client with any other cursor has to get all of them."""
        if cursor is None or not self._parts:
            return False
        return cursor.attempt == self.attempt and self._first <= cursor.sequence <= self._last

    def after(self, cursor: EventId | None) -> list[Entry]:
        """What a client with this cursor has missed, neighbouring deltas made one."""
        sequence = cursor.sequence if cursor is not None and self.has(cursor) else 0
        missed: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._firsts, sequence) - 1) :]:
            if isinstance(part, _Run):
                missed += part.after(sequence, self.attempt)
            elif part.id.sequence > sequence:
                missed.append(part)
        return missed

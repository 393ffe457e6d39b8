"""What a job's current attempt has said so far, kept so that telling it again costs by its text and not by its events.

Neighbouring deltas are kept as one text. Whoever joins gets them as one event that bears the last one's id.
"""

from array import array
from bisect import bisect_right

from shared.event_log import Entry, EventId
from shared.events import Delta

_TEXT_BEGINS, _TEXT_ENDS = b'"text":"', b'","totalLength":'
"""Around a delta's text in its JSON. Neither can occur within it: a quote in a text is escaped."""


class _Run:
    """Neighbouring deltas: their texts as the JSON has them, joined, and where each ends."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._text = bytearray()
        self._ends = array("I")
        self._latest = b""

    def add(self, data: bytes, text: bytes) -> None:
        self._text += text
        self._ends.append(len(self._text))
        self._latest = data

    def after(self, sequence: int, attempt: int) -> list[Entry]:
        """All that follows that event, as one; nothing where nothing does."""
        seen = max(0, sequence - self.first + 1)
        if seen >= len(self._ends):
            return []
        begin, end = _bounds(self._latest)
        text = self._text[self._ends[seen - 1] if seen else 0 :]
        last = EventId(attempt, self.first + len(self._ends) - 1)
        return [Entry(last, Delta.event, self._latest[:begin] + text + self._latest[end:])]


def _bounds(data: bytes) -> tuple[int, int]:
    """Where a delta's text begins and ends in its JSON; (-1, -1) in one that we have not written."""
    begin, end = data.find(_TEXT_BEGINS), data.rfind(_TEXT_ENDS)
    return (begin + len(_TEXT_BEGINS), end) if 0 <= begin < end else (-1, -1)


class Past:
    """Of one attempt, from its first event on, without holes."""

    def __init__(self) -> None:
        self.first_id: EventId | None = None
        self.last_id: EventId | None = None
        self._parts: list[Entry | _Run] = []
        self._firsts: list[int] = []
        """The sequence that each part begins with."""
        self._run: _Run | None = None

    def add(self, entry: Entry) -> None:
        """Takes the next event."""
        if self.first_id is None:
            self.first_id = entry.id
        self.last_id = entry.id
        begin, end = _bounds(entry.data) if entry.name == Delta.event else (-1, -1)
        if end < 0:
            self._run = None
            self._keep(entry, entry.id.sequence)
            return
        if self._run is None:
            self._run = _Run(entry.id.sequence)
            self._keep(self._run, entry.id.sequence)
        self._run.add(entry.data, entry.data[begin:end])

    def _keep(self, part: Entry | _Run, first: int) -> None:
        self._parts.append(part)
        self._firsts.append(first)

    def has(self, cursor: EventId | None) -> bool:
        """Whether the cursor is one of these events. A client with any other cursor has to get all of them."""
        if cursor is None or self.first_id is None or self.last_id is None:
            return False
        return cursor.attempt == self.last_id.attempt and self.first_id <= cursor <= self.last_id

    def after(self, cursor: EventId | None) -> list[Entry]:
        """What a client with this cursor has missed, neighbouring deltas made one."""
        if self.last_id is None:
            return []
        sequence = cursor.sequence if cursor is not None and self.has(cursor) else 0
        missed: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._firsts, sequence) - 1) :]:
            if isinstance(part, _Run):
                missed += part.after(sequence, self.last_id.attempt)
            elif part.id.sequence > sequence:
                missed.append(part)
        return missed

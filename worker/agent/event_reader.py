"""The events in the body of a streamed response."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from shared.contract.schemas import ErrorCode
from shared.errors import AttemptFailed

JsonObject = dict[str, Any]


class EventReader:
    """Takes the body in pieces, cut anywhere.

    The API writes each event's JSON on one line, with its type in it, so nothing but the data lines is looked at.
    """

    def __init__(self) -> None:
        self._rest = b""

    def read(self, piece: bytes) -> Iterator[JsonObject]:
        """The events that have become whole. Raises AttemptFailed for one that is not JSON."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield _parsed(line[5:])


def _parsed(line: bytes) -> JsonObject:
    try:
        event = from_json(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "an event is not a JSON object", worth_retrying=True)
    return event

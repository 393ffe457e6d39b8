"""Reads the events in the body of a streamed response."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed

JsonObject = dict[str, Any]

_OURS = frozenset(
    (
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
        b"message_delta",
        b"message_stop",
        b"error",
    )
)
_NOTHING = (b"", b"[DONE]")


class EventReader:
    """Takes the body in pieces, cut anywhere.

    The API writes each event's JSON on one line, with its type in it. Gateways may leave the type out, so that only the
    event's name tells it; they may also add comments, and end with `[DONE]`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""

    def read(self, piece: bytes) -> Iterator[JsonObject]:
        """Yields the events that are complete. Raises AttemptFailed for an event that should be JSON and is not."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                if event := self._event(line[5:]):
                    yield event
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            elif line in (b"", b"\r"):
                self._name = b""

    def _event(self, data: bytes) -> JsonObject | None:
        try:
            event = from_json(data)
        except ValueError:
            event = None
        if isinstance(event, dict):
            return event if "type" in event else self._named(event)
        if data.strip() in _NOTHING or (self._name and self._name not in _OURS):
            return None
        raise AttemptFailed(
            ErrorCode.MODEL_UNAVAILABLE, "an event of the model's response is not a JSON object", worth_retrying=True
        )

    def _named(self, event: JsonObject) -> JsonObject | None:
        """Returns the event with the type that its name tells. A nameless one with an `error` field is an error."""
        name = self._name.decode(errors="replace") or ("error" if event.get("error") else "")
        return {"type": name, **event} if name else None

"""Imitates gateways between a client and the model, which write the same stream a little differently."""

import re

from worker.sandbox.wire import PING, Frame

HABITS = {
    "done line": "`data: [DONE]` after the last event",
    "untyped frames": "the JSON of pings and error events has no `type`; only the event's name states it",
    "no usage": "`message_delta` has no `usage`",
    "sse comments": "comment lines between the events",
    "whole input": "a tool's input stands whole in `content_block_start`, without deltas",
    "fenced answer": "the answer stands in a Markdown fence, with a sentence before it",
    "crlf lines": "lines end with CR LF",
    "no pings": "no ping is passed on",
    "no limit headers": "the anthropic-ratelimit headers are left out",
}
_COMMENT = b": PROCESSING\n\n"
_TYPE = re.compile(rb'"type":"(?:ping|error)",?')


def fenced(answer: str) -> str:
    """Returns the answer as some models write it when the output format did not reach them."""
    return f"Here are my suggestions:\n\n```json\n{answer}\n```\n"


def ping(habits: frozenset[str]) -> bytes:
    """Returns a ping as this gateway sends it: nothing where it drops them."""
    return b"" if "no pings" in habits else dress(PING, habits)


def dress(data: bytes, habits: frozenset[str]) -> bytes:
    """Returns some events of the real API as this gateway writes them."""
    if "no pings" in habits:
        data = data.replace(PING, b"")
    if "untyped frames" in habits:
        data = b"\n".join(
            _TYPE.sub(b"", line, count=1)
            if line.startswith((b'data: {"type":"ping"', b'data: {"type":"error"'))
            else line
            for line in data.split(b"\n")
        )
    if data and "sse comments" in habits:
        data = _COMMENT + data
    return data.replace(b"\n", b"\r\n") if "crlf lines" in habits else data


def dress_all(frames: list[Frame], habits: frozenset[str]) -> list[Frame]:
    """Returns a whole stream as this gateway writes it."""
    if not habits:
        return frames
    dressed = [Frame(dress(frame.data, habits), frame.is_text) for frame in frames]
    if "done line" in habits:
        end = dress(b"data: [DONE]\n\n", habits - {"sse comments"})
        dressed[-1] = Frame(dressed[-1].data + end, dressed[-1].is_text)
    return dressed

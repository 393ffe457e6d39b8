"""Decides whether a job is answered as an event stream or as JSON."""

from werkzeug.http import parse_accept_header

STREAM, JSON = "text/event-stream", "application/json"


def wants_stream(accept: str | None) -> bool:
    """Returns whether an `Accept` header asks for the stream.

    A type that it names goes before one that only a wildcard covers: axios sends `application/json, text/plain, */*`
    and gets JSON. Where it names both, the stream goes before JSON that is liked no better. Where it names neither,
    or there is no header, the answer is the stream.
    """
    if not accept or accept == STREAM:  # an EventSource sends just this, so it need not be parsed
        return True
    named: dict[str, float] = {}
    for value, quality in parse_accept_header(accept):
        media_type = value.partition(";")[0].strip().lower()
        named[media_type] = max(quality, named.get(media_type, 0.0))
    # A quality of 0 says that a type is not wanted.
    json = named.get(JSON, 0.0)
    return named[STREAM] > 0 and named[STREAM] >= json if STREAM in named else json == 0

"""Describes the headers that clients send and get, for the OpenAPI document."""

from typing import Any

_SECONDS = {"type": "integer", "minimum": 0}

REQUEST_PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Names the request in the answer and in the logs. A random one is taken where it is left out, or"
        " is not 1 to 128 letters, digits, dots, underscores and hyphens.",
        "schema": {"type": "string"},
        "example": "7f3c2d90b1",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes it safe to send the request again: the same key with the same body answers with the first"
        " job and costs nothing, as long as that job is kept. Take a new one for each job.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]{1,255}$"},
        "example": "f3a9e1f0-5b0f-4a3e-9a57-1f4a86a7d6f5",
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that the client has seen: the stream begins after it. One of an"
        " earlier attempt, or one that makes no sense, gets the current attempt from its `started` on.",
        "schema": {"type": "string"},
        "example": "1-4",
    },
    "LastEventIdQuery": {
        "name": "lastEventId",
        "in": "query",
        "description": "The same as `Last-Event-ID`, for clients that cannot set headers; the header goes first.",
        "schema": {"type": "string"},
        "example": "1-4",
    },
}
"""The parameters that no view declares, by their names in the document."""

RESPONSE_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"description": "Names the request in the logs.", "schema": {"type": "string"}},
    "Location": {
        "description": "The path of the job.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotent-Replayed": {
        "description": "The request was a repetition, and the answer is about the first job.",
        "required": True,
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit-Limit": {"description": "Jobs that may be created in 60 seconds.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "Jobs that may still be created now.", "schema": _SECONDS},
    "RateLimit-Reset": {
        "description": "Seconds until the oldest job of the last 60 s no longer counts.",
        "schema": _SECONDS,
    },
    "Retry-After": {"description": "Seconds to wait before the next try.", "required": True, "schema": _SECONDS},
    "Sign-In-URL": {
        "description": "Where a person can sign in, if the operator has said so: a URL, or a path on this host.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "WWW-Authenticate": {"description": "How to sign in.", "required": True, "schema": {"type": "string"}},
    "Cache-Control": {"description": "Whether the answer may be kept.", "required": True, "schema": {"type": "string"}},
    "X-Accel-Buffering": {
        "description": "With a stream: tells nginx not to collect it.",
        "schema": {"type": "string", "const": "no"},
    },
}


def header_references(*names: str) -> dict[str, Any]:
    """Returns references to the headers of one response. X-Request-Id is added to each."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "X-Request-ID")}

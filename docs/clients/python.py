"""Asks for suggestions and prints the answer: python python.py "Checkout page". Needs httpx and httpx-sse."""

import os
import random
import sys
import time
import uuid
from typing import Any

import httpx
from httpx_sse import EventSource

JOBS = "/api/feature-planner/suggest-feature"
LASTING = {400, 403, 404, 409, 413, 415, 422}
"""Statuses that another try would not change."""
STALL_SECONDS = 45
"""Three keep-alives are missing: the connection is dead, although it was not closed."""


def token() -> str:
    """Returns the bearer token. It is asked for before each request: return a new one when the last is near its end."""
    return os.environ["PLANNER_TOKEN"]


def wait(failures: int, answer: httpx.Response | None = None) -> None:
    """Waits before another try: as long as the server asks for, longer with each failure, never all at once."""
    status = 0 if answer is None else answer.status_code
    if status in LASTING or (status == 401 and failures > 2):
        raise RuntimeError(f"the API answered {status}")
    if failures > 40:
        raise TimeoutError("no answer for some ten minutes")
    asked = float(answer.headers.get("Retry-After", 0)) if answer is not None else 0
    time.sleep(max(asked, min(15, 2**failures / 2)) * random.uniform(1, 1.5))


def create(http: httpx.Client, body: dict[str, Any]) -> str:
    """Creates one job, however often it has to be asked: the key makes repeating safe. Returns the job's path."""
    key, failures = str(uuid.uuid4()), 0
    while True:
        answer = None
        try:
            headers = {"Authorization": f"Bearer {token()}", "Idempotency-Key": key}
            answer = http.post(JOBS, json=body, headers=headers)
            if answer.is_success:
                return str(answer.json()["streamUrl"])
        except httpx.TransportError as error:
            print(f"the connection broke: {error!r}", file=sys.stderr)
        wait(failures := failures + 1, answer)


def watch(http: httpx.Client, path: str) -> str:
    """Returns the text of the answer, over as many connections as it takes."""
    text, last_id, failures = "", "", 0
    while True:
        answer = None
        headers = {"Authorization": f"Bearer {token()}", "Accept": "text/event-stream"}
        try:
            with http.stream("GET", path, headers=headers | ({"Last-Event-ID": last_id} if last_id else {})) as answer:
                if answer.status_code == 204:  # all was seen
                    return text
                for event in EventSource(answer).iter_sse() if answer.status_code == 200 else ():
                    if not event.data:
                        continue
                    failures, last_id, data = 0, event.id or last_id, event.json()
                    print(event.event, len(text), file=sys.stderr)
                    match event.event:  # events that a newer server sends as well are passed over
                        case "started":  # another attempt: forget what an earlier one has shown
                            text = ""
                        case "delta":
                            text += data["text"]
                        case "complete":
                            return text
                        case "error" | "cancelled":
                            raise RuntimeError(data.get("message", "cancelled"))
        except httpx.TransportError as error:
            print(f"the connection broke: {error!r}", file=sys.stderr)
        wait(failures := failures + 1, answer)  # also after a stream that ended in its middle


if __name__ == "__main__":
    page = sys.argv[1] if len(sys.argv) > 1 else "Checkout page"
    base = os.environ.get("PLANNER_URL", "http://localhost:8000")
    with httpx.Client(base_url=base, timeout=httpx.Timeout(10, read=STALL_SECONDS)) as client:
        job = create(client, {"pageOrComponent": page, "featureType": "enhancement", "priorityLevel": "high"})
        print(watch(client, job))

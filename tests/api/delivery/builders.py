"""Builds what the tests of delivery need: a viewer that records, log entries, stores and a channel."""

from collections.abc import Callable
from typing import cast

import httpx
from httpx_sse import EventSource, ServerSentEvent

from api.delivery import sse
from api.delivery.channel import Channel
from api.delivery.feed import Feed
from api.delivery.hub import Hub
from shared.contract.events import Event, decode
from shared.contract.schemas import JobInput
from shared.contract.values import FeatureType, JobStatus, PriorityLevel
from shared.state.event_log import Entry, EventId, Snapshot
from shared.state.job_store import JobStore

OnMessage = Callable[[Feed, bytes], None]
OnSubscribed = Callable[[Feed], None]
INPUT = JobInput(page_or_component="p", feature_type=FeatureType.INTEGRATION, priority_level=PriorityLevel.LOW)


class Recorder:
    """Represents a viewer that records what it is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ends = 0

    def send(self, chunk: bytes) -> None:
        assert not self.ends, "an event was sent after the end"
        assert sse.unchunk(chunk) and sse.chunk(sse.unchunk(chunk)) == chunk
        self.frames.append(chunk)

    def end(self) -> None:
        self.ends += 1

    @property
    def events(self) -> list[ServerSentEvent]:
        raw = b"".join(sse.unchunk(chunk) for chunk in self.frames)
        response = httpx.Response(200, headers={"content-type": sse.MEDIA_TYPE}, content=raw)
        return list(EventSource(response).iter_sse())

    @property
    def numbered(self) -> list[tuple[EventId, Event]]:
        seen = []
        for event in self.events:
            event_id = EventId.parse(event.id)
            if event_id and event.event != "queued":
                seen.append((event_id, decode(event.event, event.data)))
        return seen

    @property
    def ids(self) -> list[str]:
        return [str(event_id) for event_id, _ in self.numbered]


def entry(attempt: int, sequence: int, name: str = "tool") -> Entry:
    """Builds a log entry with the event of that name. The entry with sequence 1 is `started` by default."""
    data = {
        "started": b'{"attempt":1,"model":"m","agent":"a","cause":null,"timestamp":0}',
        "tool": b'{"name":"Read","input":{},"timestamp":0}',
        "delta": b'{"text":"x","totalLength":1,"timestamp":0}',
        "error": b'{"message":"m","code":"INTERNAL","retryable":true,"timestamp":0}',
        "cancelled": b'{"tokenUsage":{},"timestamp":0}',
    }[name if sequence > 1 or name != "tool" else "started"]
    return Entry(EventId(attempt, sequence), name if sequence > 1 or name != "tool" else "started", data)


def snapshot(
    entries: list[Entry],
    *,
    is_running: bool = True,
    status: JobStatus = JobStatus.IN_PROGRESS,
    last_id: EventId | None = None,
) -> Snapshot:
    last = last_id or (entries[-1].id if entries else None)
    return Snapshot(status, last.attempt if last else 0, "u", 0, INPUT, is_running, last, entries)


class TalkativeStore:
    """Represents a log whose final event is written and published while the first read is still in progress."""

    redis = None

    def __init__(self, *log: Entry) -> None:
        self.log = list(log)
        self.hub: Hub | None = None

    def read(self, job_id: str, cursor: EventId | None = None) -> Snapshot:
        seen = snapshot([entry for entry in self.log if cursor is None or entry.id > cursor])
        if not self.log[-1].is_final:
            final = Entry(EventId(1, self.log[-1].id.sequence + 1), "error", entry(1, 2, "error").data)
            self.log.append(final)
            assert self.hub is not None
            self.hub._on_message(self.hub._feeds[job_id], b"%s error %s" % (str(final.id).encode(), final.data))
        return seen


class SilentChannel(Channel[Feed]):
    """Acknowledges every subscription, and delivers only what a test passes to `deliver`."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:9")
        self.connects = 1

    def start(self, on_message: OnMessage, on_subscribed: OnSubscribed) -> None:
        self.deliver, self.resubscribe = on_message, on_subscribed

    def stop(self) -> None: ...
    def subscribe(self, name: str, listener: Feed) -> None: ...
    def unsubscribe(self, name: str) -> None: ...
    def wait_subscribed(self, name: str, timeout_seconds: float) -> bool:
        return True


class PlainStore:
    """Represents a log to which events are added without being published."""

    redis = None

    def __init__(self) -> None:
        self.log = [entry(1, 1)]

    def read(self, job_id: str, cursor: EventId | None = None) -> Snapshot:
        return snapshot([e for e in self.log if cursor is None or e.id > cursor], last_id=self.log[-1].id)


def a_hub(store: object = None, channel: SilentChannel | None = None) -> Hub:
    """Returns a hub whose channel delivers no message by itself."""
    store = store or TalkativeStore(entry(1, 1))
    return Hub(cast(JobStore, store), channel or SilentChannel(), keepalive_seconds=600)

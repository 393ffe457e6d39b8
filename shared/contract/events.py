"""Defines the events of a stream, and how they are folded into the current state of a job."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field

from shared.contract.schemas import Count, JobError, JobId, Ordinal, Suggestion, Time, TokenUsage, ToolName, Wait, Wire
from shared.contract.values import Cause, ErrorCode, JobStatus, WaitReason


class Event(Wire):
    """Serves as the base of all events. `event` is the event's name in the stream.

    An event with a `final_status` ends its job. `timestamp` is in milliseconds since the Unix epoch.
    """

    event: ClassVar[str]
    final_status: ClassVar[JobStatus | None] = None
    timestamp: Time

    def encode(self) -> bytes:
        """Returns the event as one line of JSON."""
        return self.model_dump_json().encode()


class Connected(Event):
    """This is the first event of every connection. It has no id."""

    event = "connected"
    job_id: JobId
    status: JobStatus = Field(description="The status as it is now.")


class Queued(Event):
    """The job waits for a worker, for its first attempt or the next. The event has no id."""

    event = "queued"
    position: Ordinal = Field(description="1 is next.")
    workers: Count = Field(description="How many worker processes sent a heartbeat in the last 10 s, busy or not.")


class Started(Event):
    """An attempt begins: a client discards all that it has shown of the job before."""

    event = "started"
    attempt: Ordinal
    model: str = Field(description="The model that is asked; `sandbox` where the answers are made up.")
    agent: str = Field(description="The name of the user's own agent, or `default`.")
    cause: Cause | None = Field(description="Why it is not the first attempt; null for the first.")
    turns_kept: Count = Field(
        default=0, description="How many whole turns of the conversation with the model the attempt goes on from."
    )


class Waiting(Event):
    """The model's provider takes no requests until `until`, in milliseconds since the Unix epoch."""

    event = "waiting"
    reason: WaitReason
    until: Time


class Note(Event):
    """The model says what it is doing. The text is not part of the answer."""

    event = "note"
    text: str


class Delta(Event):
    """A piece of text has to be appended to the answer."""

    event = "delta"
    text: str
    total_length: Count = Field(description="The length of all text of this attempt up to here, in code points.")


class Tool(Event):
    """The agent uses a tool to look at the project."""

    event = "tool"
    name: ToolName
    input: dict[str, Any] = Field(description="What it looks at; which keys there are depends on the tool.")


class SuggestionReady(Event):
    """One suggestion is complete, while the answer is still being written."""

    event = "suggestion"
    index: Count = Field(description="0 is the first.")
    suggestion: Suggestion


class Complete(Event):
    """The job has its answer. This event is final."""

    event = "complete"
    final_status = JobStatus.COMPLETED
    suggestions: list[Suggestion] = Field(description="3 to 5.")
    context: str | None = Field(description="A short reading of the page as it is.")
    is_partial: bool = Field(default=False, description="The model was cut after these suggestions were whole.")
    token_usage: TokenUsage
    model: str
    execution_time_ms: Count = Field(description="Milliseconds since the first attempt began.")
    retry_count: Count = Field(description="How many attempts failed before, not those of workers that were stopped.")


class Failed(Event):
    """The job has failed. This event is final."""

    event = "error"
    final_status = JobStatus.FAILED
    message: str = Field(description="A sentence for the person who asked.")
    code: ErrorCode
    retryable: bool = Field(description="Whether asking again unchanged may help.")

    @classmethod
    def of(cls, code: ErrorCode, timestamp: int, *, is_retryable: bool | None = None) -> "Failed":
        """Returns the event for an error code, with the code's message."""
        retryable = code.is_retryable if is_retryable is None else is_retryable
        return cls(message=code.message, code=code, retryable=retryable, timestamp=timestamp)


class Cancelled(Event):
    """The job was cancelled. This event is final."""

    event = "cancelled"
    final_status = JobStatus.CANCELLED
    token_usage: TokenUsage


LOGGED = (Started, Waiting, Note, Delta, Tool, SuggestionReady, Complete, Failed, Cancelled)
EVENTS: dict[str, type[Event]] = {kind.event: kind for kind in (Connected, Queued, *LOGGED)}
FINAL = frozenset(name for name, kind in EVENTS.items() if kind.final_status is not None)


def decode(name: str, data: bytes | str) -> Event:
    """Returns the event of that name from its JSON. Raises KeyError for an unknown name, ValueError for bad data."""
    return EVENTS[name].model_validate_json(data)


@dataclass(frozen=True)
class Transcript:
    """Holds what a client knows of a job after the events it has seen."""

    status: JobStatus = JobStatus.PENDING
    attempt: int | None = None
    last_event_id: str | None = None
    text: str | None = None
    suggestions: tuple[Suggestion, ...] | None = None
    is_partial: bool = False
    token_usage: TokenUsage | None = None
    error: JobError | None = None
    queue_position: int | None = None
    waiting: Wait | None = None


def fold(job: Transcript, event: Event, event_id: str | None = None) -> Transcript:
    """Returns the job after one more event. `started` forgets all that an earlier attempt showed."""
    job = replace(_apply(job, event), last_event_id=event_id or job.last_event_id)
    if not isinstance(event, Queued):
        job = replace(job, queue_position=None)
    # A client that reconnects during a wait gets `connected` first, and the wait goes on.
    return job if isinstance(event, Waiting | Connected) else replace(job, waiting=None)


def _apply(job: Transcript, event: Event) -> Transcript:
    match event:
        case Connected():
            return replace(job, status=event.status)
        case Queued():
            return replace(job, queue_position=event.position)
        case Started():
            return Transcript(status=JobStatus.IN_PROGRESS, attempt=event.attempt)
        case Waiting():
            return replace(job, waiting=Wait(reason=event.reason, until=event.until))
        case Delta():
            return replace(job, text=(job.text or "") + event.text)
        case SuggestionReady():
            return replace(job, suggestions=(*(job.suggestions or ()), event.suggestion))
        case Complete():
            return replace(
                job,
                status=JobStatus.COMPLETED,
                suggestions=tuple(event.suggestions),
                is_partial=event.is_partial,
                token_usage=event.token_usage,
            )
        case Failed():
            error = JobError(message=event.message, code=event.code, retryable=event.retryable)
            return replace(job, status=JobStatus.FAILED, error=error)
        case Cancelled():
            return replace(job, status=JobStatus.CANCELLED, token_usage=event.token_usage)
        case _:
            return job

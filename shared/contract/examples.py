"""Holds one example of each body and of each event, as the OpenAPI document and docs/protocol.md show them.

The events tell one job: folded in their order they make the example of a job.
"""

from typing import Any

from pydantic import BaseModel

from shared.contract import events
from shared.contract.schemas import (
    FieldProblem,
    JobCreated,
    JobInput,
    JobList,
    JobSummary,
    JobView,
    Limits,
    Options,
    Problem,
    SuggestedFile,
    SuggestFeatureRequest,
    Suggestion,
    SuggestionAgent,
    SuggestionAgentBody,
    TokenUsage,
)
from shared.contract.values import Cause, ErrorCode, FeatureType, JobStatus, PriorityLevel, WaitReason

JOB_ID = "6f1d9f0a-5f0e-4c52-9a53-0d8f5d2b7c11"
CREATED_AT = 1_795_780_800_000
PATH = f"/api/feature-planner/suggest-feature/{JOB_ID}"


def _suggestion(title: str, why: str, file: str) -> Suggestion:
    return Suggestion(
        title=title,
        rationale=why,
        description=f"{title} on the checkout page.",
        implementation_considerations=["Keep it usable with a keyboard."],
        files=[SuggestedFile(path=file, why="It holds the form.")],
    )


SUGGESTIONS = [
    _suggestion("Guest checkout", "Many leave when they are asked for an account.", "src/checkout/form.tsx"),
    _suggestion("Saved addresses", "Most orders go to an address that was used before.", "src/checkout/address.tsx"),
    _suggestion("Order summary", "The total is only seen on the last page.", "src/checkout/summary.tsx"),
]
USAGE = TokenUsage(
    input_tokens=5210, output_tokens=1480, cache_read_tokens=4096, cache_creation_tokens=512, total_tokens=11298
)
REQUEST = SuggestFeatureRequest.model_validate_json(
    '{"pageOrComponent": "Checkout page", "featureType": "enhancement", "priorityLevel": "high",'
    ' "additionalContext": "Most customers are on a phone."}'
)
AGENT = SuggestionAgentBody.model_validate_json(
    '{"name": "Accessibility advisor", "role": "Accessibility expert",'
    ' "focus": "Forms that work with a keyboard and a screen reader.",'
    ' "systemPrompt": "You advise on accessibility. Prefer plain HTML, and say which criterion a change helps.",'
    ' "temperature": null, "tools": ["Read", "Grep", "Glob"], "isActive": true}'
)
TEXT = "## Guest checkout\n\nMany leave when they are asked for an account."

CONNECTED = events.Connected(job_id=JOB_ID, status=JobStatus.PENDING, timestamp=CREATED_AT + 40)
QUEUED = events.Queued(position=1, workers=2, timestamp=CREATED_AT + 41)
STARTED = events.Started(
    attempt=1, model="claude-sonnet-5-5", agent="default", cause=None, turns_kept=0, timestamp=CREATED_AT + 900
)
WAITING = events.Waiting(reason=WaitReason.RATE_LIMITED, until=CREATED_AT + 6_000, timestamp=CREATED_AT + 1_000)
NOTE = events.Note(text="I look at the form of the checkout page first.", timestamp=CREATED_AT + 8_000)
TOOL = events.Tool(name="Read", input={"file_path": "src/checkout/form.tsx"}, timestamp=CREATED_AT + 8_100)
DELTA = events.Delta(text=TEXT, total_length=len(TEXT), timestamp=CREATED_AT + 12_000)
SUGGESTION = events.SuggestionReady(index=0, suggestion=SUGGESTIONS[0], timestamp=CREATED_AT + 14_000)
COMPLETE = events.Complete(
    suggestions=SUGGESTIONS,
    context="A form of one page, with an account asked for first.",
    is_partial=False,
    token_usage=USAGE,
    model="claude-sonnet-5-5",
    execution_time_ms=29_100,
    retry_count=0,
    timestamp=CREATED_AT + 30_000,
)
FAILED = events.Failed.of(ErrorCode.MODEL_OVERLOADED, CREATED_AT + 30_000)
CANCELLED = events.Cancelled(token_usage=USAGE, timestamp=CREATED_AT + 30_000)
STARTED_AGAIN = STARTED.model_copy(update={"attempt": 2, "cause": Cause.WORKER_LOST, "turns_kept": 1})
"""Another example of `started`: the attempt after a worker was lost."""

JOB_EVENTS: tuple[events.Event, ...] = (
    CONNECTED,
    QUEUED,
    STARTED,
    WAITING,
    NOTE,
    TOOL,
    DELTA,
    SUGGESTION,
    COMPLETE,
)
"""What a client sees of a job that goes well, in order; real answers have many deltas."""
_INPUT = JobInput.model_validate(REQUEST, from_attributes=True)
JOB = JobView(
    job_id=JOB_ID,
    status=JobStatus.COMPLETED,
    created_at=CREATED_AT,
    attempt=1,
    last_event_id="1-7",
    input=_INPUT,
    text=TEXT,
    suggestions=SUGGESTIONS,
    token_usage=USAGE,
)
_SUMMARY = JobSummary(
    job_id=JOB_ID,
    status=JobStatus.COMPLETED,
    created_at=CREATED_AT,
    page_or_component=_INPUT.page_or_component,
    feature_type=_INPUT.feature_type,
    priority_level=_INPUT.priority_level,
)
_MODELS: tuple[BaseModel, ...] = (
    REQUEST,
    AGENT,
    JobCreated(job_id=JOB_ID, status=JobStatus.PENDING, created_at=CREATED_AT, stream_url=PATH),
    JOB,
    JobList(jobs=[_SUMMARY]),
    SuggestionAgent(
        **AGENT.model_dump(by_alias=False),
        agent_id="0b0cf0d4-93a1-4a6e-8a55-8d4d3a9f1c52",
        created_at=CREATED_AT,
        updated_at=CREATED_AT,
    ),
    Options(
        feature_types=list(FeatureType),
        priority_levels=list(PriorityLevel),
        models=["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"],
        default_model="claude-sonnet-5-5",
        is_sandbox=False,
        limits=Limits(jobs_per_minute=10, streams_per_user=5, job_timeout_seconds=120),
        agent="Accessibility advisor",
        repository_url="https://github.com/acme/shop/blob/main/",
        sign_in_url="https://acme.example/sign-in",
    ),
    Problem(
        title="Unprocessable Entity",
        status=422,
        detail="Not valid: pageOrComponent.",
        errors=[FieldProblem(field="pageOrComponent", message="must have at least 1 character")],
    ),
    *JOB_EVENTS,
    FAILED,
    CANCELLED,
)
EXAMPLES: dict[str, dict[str, Any]] = {
    type(model).__name__: model.model_dump(mode="json", by_alias=True) for model in _MODELS
}
"""The examples as JSON, by the name of their model."""

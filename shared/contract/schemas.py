"""Defines the bodies and answers of the API as pydantic models, from which the OpenAPI document is made too."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from shared.contract.values import ErrorCode, FeatureType, JobStatus, PriorityLevel, WaitReason


class Wire(BaseModel):
    """Serves as the base of all models: names are in snake case in Python and in camel case on the wire."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
        frozen=True,
    )


JobId = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[int, Field(description="Milliseconds since the Unix epoch.")]
EventIdText = Annotated[str, Field(json_schema_extra={"pattern": r"^(0|[1-9]\d{0,8})-[1-9]\d{0,8}$"})]
# The minimum is documented and not checked: a clock that was set back must not invalidate an answer.
Count = Annotated[int, Field(json_schema_extra={"minimum": 0})]
Ordinal = Annotated[int, Field(json_schema_extra={"minimum": 1})]


class Body(Wire):
    """Serves as the base of request bodies: only the names on the wire are accepted, and unknown fields are refused."""

    model_config = ConfigDict(validate_by_name=False, extra="forbid", strict=True)


PAGE_MAX_LENGTH = 200
CONTEXT_MAX_LENGTH = 1000

ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class SuggestFeatureRequest(Body):
    """Describes what to suggest features for."""

    page_or_component: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=PAGE_MAX_LENGTH)
    ] = Field(description="The page or component of the product, as its users call it.", examples=["Checkout page"])
    feature_type: Annotated[FeatureType, Field(strict=False, description="The kind of feature wanted.")]
    priority_level: Annotated[PriorityLevel, Field(strict=False, description="How much it matters.")]
    additional_context: Annotated[str, StringConstraints(max_length=CONTEXT_MAX_LENGTH)] | None = Field(
        default=None, description="Anything else worth knowing."
    )
    custom_model: ModelName | None = Field(default=None, description="A model the operator allows.")


class JobCreated(Wire):
    """Names the job that was created; for a repeated request, the job that the first one created."""

    job_id: JobId
    status: JobStatus
    created_at: Time
    stream_url: str = Field(description="The path of the job, below the same host.")


class SuggestedFile(Wire):
    """Names a file that a suggestion is based on or would change."""

    path: str = Field(description="Relative to the project's root.")
    why: str = Field(description="What the file has to do with the suggestion, in a sentence.")


class Suggestion(Wire):
    """Describes one suggested feature."""

    title: str
    rationale: str
    description: str
    implementation_considerations: list[str]
    files: list[SuggestedFile] = Field(default=[], description="At most 8 files, each of which a tool has shown.")


class TokenUsage(Wire):
    """Tokens, summed over every model call of a job whose usage is known, those of earlier attempts included."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_creation_tokens: Count = 0
    total_tokens: Count = Field(default=0, description="The sum of the others.")

    def plus(self, other: "TokenUsage") -> "TokenUsage":
        """Returns the sum of both usages."""
        return TokenUsage(**{name: getattr(self, name) + getattr(other, name) for name in TokenUsage.model_fields})


class JobError(Wire):
    """Says why a job failed."""

    message: str = Field(description="A sentence for the person who asked.")
    code: ErrorCode
    retryable: bool = Field(description="Whether asking again unchanged may help.")


class Wait(Wire):
    """Says that the job waits for the model's provider."""

    reason: WaitReason
    until: Time = Field(description="When the provider is asked again, in milliseconds since the Unix epoch.")


AS_STORED: Mapping[str, Any] = {"is_stored": True}
"""The context in which a record is validated that is only shown: see `OrNewer`."""


def _or_newer(value: object, known: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    try:
        return known(value)
    except ValidationError:
        if info.context is AS_STORED and isinstance(value, str):
            return value
        raise


Known = TypeVar("Known")
OrNewer = Annotated[Known, WrapValidator(_or_newer)]
"""In the context AS_STORED a text that is none of the known values is kept as it is: a newer version has stored it."""


class JobInput(Wire):
    """Holds the request as it was stored."""

    page_or_component: str
    feature_type: OrNewer[FeatureType]
    priority_level: OrNewer[PriorityLevel]
    additional_context: str | None = None
    custom_model: str | None = None


class JobView(Wire):
    """Describes the current state of a job, as its events tell it."""

    job_id: JobId
    status: JobStatus
    created_at: Time
    attempt: Ordinal | None = Field(
        default=None, description="The number of the attempt that is under way, or was the last."
    )
    last_event_id: EventIdText | None = Field(
        default=None, description="The id of the last event in this view: watching from it on misses nothing."
    )
    input: JobInput
    text: str | None = Field(default=None, description="The text of the answer so far, as the deltas have it.")
    suggestions: list[Suggestion] | None = Field(
        default=None, description="Those that are whole; 3 to 5 once the job is completed."
    )
    is_partial: bool = Field(default=False, description="The model was cut after these suggestions were whole.")
    token_usage: TokenUsage | None = Field(default=None, description="Known once the job is completed or cancelled.")
    error: JobError | None = Field(default=None, description="Why it failed, where it has.")
    queue_position: Ordinal | None = Field(default=None, description="Where the job waits for a worker; 1 is next.")
    waiting: Wait | None = Field(default=None, description="Where the job waits for the model's provider.")


class JobSummary(Wire):
    """Describes one job in the list of a user's jobs."""

    job_id: JobId
    status: JobStatus
    created_at: Time
    page_or_component: str
    feature_type: OrNewer[FeatureType]
    priority_level: OrNewer[PriorityLevel]


class JobList(Wire):
    """Lists the caller's own jobs that are still kept, the newest first."""

    jobs: list[JobSummary] = Field(max_length=50)


ToolName = Literal["Read", "Grep", "Glob"]


class SuggestionAgentBody(Body):
    """Describes a user's own suggestion agent in a request."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=100)]
    role: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=100)]
    focus: Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=500)]
    system_prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=50, max_length=5000)]
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="Only sent to models that take one."
    )
    tools: list[ToolName] = Field(max_length=3, description="What the agent may look at the project with.")
    is_active: bool = Field(description="Jobs of this user are done by this agent while it is active.")


class SuggestionAgent(Wire):
    """Describes a user's own suggestion agent as it is stored."""

    agent_id: JobId
    name: str
    role: str
    focus: str
    system_prompt: str
    temperature: float | None
    tools: list[ToolName]
    is_active: bool
    created_at: Time
    updated_at: Time


class Limits(Wire):
    """Holds the limits that a client needs to know."""

    page_or_component_max_length: int = PAGE_MAX_LENGTH
    additional_context_max_length: int = CONTEXT_MAX_LENGTH
    jobs_per_minute: int = Field(description="Jobs that a user may create in any 60 seconds.")
    streams_per_user: int = Field(description="Streams that a user may have open at once.")
    job_timeout_seconds: int = Field(description="How long one attempt may work, waits for the provider not counted.")


class Options(Wire):
    """Holds what a form needs to know."""

    feature_types: list[FeatureType]
    priority_levels: list[PriorityLevel]
    models: list[str]
    default_model: str
    is_sandbox: bool = Field(description="The answers are made up: no model is asked.")
    limits: Limits
    agent: str | None = Field(default=None, description="The name of the caller's active suggestion agent.")
    repository_url: str | None = Field(default=None, description="Where the project's files can be seen.")
    sign_in_url: str | None = Field(default=None, description="Where a person who is signed out can sign in.")


class FieldProblem(Wire):
    """Says what is wrong with one field of the body."""

    field: str = Field(description="The name of the field; `body` where it is no field's.")
    message: str


class Problem(Wire):
    """Describes an error in the form of RFC 9457 (application/problem+json)."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="A sentence for the person who asked.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Only with status 422: each field that is wrong."
    )

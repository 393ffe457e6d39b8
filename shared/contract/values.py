"""Defines the fixed sets of values on the wire, each with its meaning."""

from enum import StrEnum


class FeatureType(StrEnum):
    """Says what kind of feature is wanted."""

    ENHANCEMENT = "enhancement"
    NEW_CAPABILITY = "new-capability"
    OPTIMIZATION = "optimization"
    UI_IMPROVEMENT = "ui-improvement"
    INTEGRATION = "integration"


class PriorityLevel(StrEnum):
    """Says how important the feature is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class JobStatus(StrEnum):
    """Says how far a job is: pending -> in_progress -> completed | failed | cancelled; also pending -> the last two."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Returns whether the job has ended."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class Cause(StrEnum):
    """Says why an attempt follows an earlier one."""

    WORKER_LOST = "worker_lost"
    MODEL_ERROR = "model_error"
    DRAIN = "drain"


class WaitReason(StrEnum):
    """Says why the model's provider takes no requests now."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"


class ErrorCode(StrEnum):
    """Says why a job failed."""

    TIMEOUT = "TIMEOUT"
    WORKER_LOST = "WORKER_LOST"
    MODEL_OVERLOADED = "MODEL_OVERLOADED"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_REJECTED = "MODEL_REJECTED"
    MODEL_REFUSED = "MODEL_REFUSED"
    BAD_OUTPUT = "BAD_OUTPUT"
    EXPIRED = "EXPIRED"
    INTERNAL = "INTERNAL"

    @property
    def is_retryable(self) -> bool:
        """Returns whether the same request may succeed when it is sent again."""
        return self not in (ErrorCode.MODEL_REJECTED, ErrorCode.MODEL_REFUSED)

    @property
    def message(self) -> str:
        """Returns a sentence for the user, which never quotes the provider."""
        return _MESSAGES[self]


_MESSAGES = {
    ErrorCode.TIMEOUT: "The suggestions took too long to write. Please try again.",
    ErrorCode.WORKER_LOST: "The servers working on your request stopped unexpectedly. Please try again.",
    ErrorCode.MODEL_OVERLOADED: "The AI model is overloaded right now. Please try again in a moment.",
    ErrorCode.MODEL_UNAVAILABLE: "The AI model could not be reached. Please try again in a moment.",
    ErrorCode.MODEL_REJECTED: "The AI model could not take this request. Please shorten or change it.",
    ErrorCode.MODEL_REFUSED: "The AI model declined to answer this request. Please rephrase it.",
    ErrorCode.BAD_OUTPUT: "The AI model's answer was incomplete or malformed. Please try again.",
    ErrorCode.EXPIRED: "This request waited too long and has expired. Please ask again.",
    ErrorCode.INTERNAL: "Something went wrong on our side. Please try again.",
}

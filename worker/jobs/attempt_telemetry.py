"""Reports to metrics, logs and Sentry what an attempt did."""

import logging
import time

from shared.contract.events import Event, Failed
from shared.contract.schemas import TokenUsage, ToolName
from shared.contract.values import JobStatus
from shared.errors import AttemptFailed
from shared.state.outcomes import Attempt
from shared.telemetry import breadcrumbs, logs
from shared.telemetry.breadcrumbs import Crumb
from shared.telemetry.metrics import job_metrics, worker_metrics

log = logging.getLogger(__name__)

_ENDS = {
    JobStatus.COMPLETED: Crumb.COMPLETED,
    JobStatus.CANCELLED: Crumb.CANCELLED,
    JobStatus.FAILED: Crumb.FAILED,
}
_TOKEN_KINDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_creation": "cache_creation_tokens",
}


_NEXT = {
    "drained": "the job goes back to the front of the queue; this does not count as a failed attempt",
    "lost": "none here: the job runs on another worker, or no longer exists",
    "refused": "none: the job is ended as failed, without its log",
}
"""Maps outcomes of an attempt that do not end the job to what happens next."""


class AttemptTelemetry:
    """Reports about one attempt. `close` must be called. `model_label` is the model's label in the metrics."""

    def __init__(self, attempt: Attempt, model_label: str) -> None:
        self._attempt = attempt
        self._model_label = model_label
        self._began = time.monotonic()
        self._first_text_at: float | None = None
        self._usage = TokenUsage()
        self._outcome = "lost"
        self._reason: str | None = None
        self._next: str | None = _NEXT["lost"]
        # These fields are added to every later log line and Sentry event, those of the agent and its tools included.
        logs.bind(job_id=attempt.job_id, attempt=attempt.number)
        breadcrumbs.tag(attempt=attempt.number)

    def started(self, model: str) -> None:
        """Records that the attempt begins, with this model."""
        cause = self._attempt.cause
        self._began = time.monotonic()
        worker_metrics().attempts.labels(cause.value if cause else "first").inc()
        breadcrumbs.add(Crumb.ATTEMPT_STARTED, attempt=self._attempt.number, cause=cause, model=model)
        log.info("attempt started", extra={"cause": cause, "model": model})

    def used_tool(self, name: ToolName) -> None:
        """Records a call of a tool."""
        breadcrumbs.add(Crumb.TOOL_USED, name=name)

    def spent(self, usage: TokenUsage) -> None:
        """Takes the tokens that the attempt has used so far."""
        self._usage = usage

    def waited(self, seconds: float) -> None:
        """Counts a wait for the provider that has ended."""
        worker_metrics().provider_wait_seconds.labels(self._model_label).observe(seconds)

    def wrote(self) -> None:
        """Records that the first text of the attempt is being published."""
        self._first_text_at = time.monotonic()
        worker_metrics().first_delta_seconds.observe(self._first_text_at - self._began)

    def failed(self, failure: AttemptFailed) -> None:
        """Records why the attempt failed. Another one follows, unless `ended` or `given_up` is called."""
        self._outcome, self._reason, self._next = failure.code.value, failure.detail, "another attempt, on this worker"
        breadcrumbs.add(Crumb.ATTEMPT_FAILED, code=failure.code)

    def raised(self, error: BaseException) -> None:
        """Records that an unexpected exception, a bug of this program, ended the attempt."""
        self._reason = type(error).__name__
        log.error("an unexpected error ended the attempt, and the job fails with INTERNAL", exc_info=error)

    def given_up(self, outcome: str) -> None:
        """Records that this worker gave the attempt up, and why."""
        self._outcome, self._next = outcome, _NEXT[outcome]

    def ended(self, final: Event) -> None:
        """Records that the job has ended with this attempt."""
        status = final.final_status
        assert status is not None
        code = final.code.value if isinstance(final, Failed) else ""
        self._outcome, self._next = code or status.value, None
        if isinstance(final, Failed):
            self._next = (
                f"none: the job has failed; the same request again {'may' if final.retryable else 'will not'} succeed"
            )
        job_metrics().ended.labels(status.value, code).inc()
        if self._first_text_at is not None:
            worker_metrics().streaming_seconds.observe(time.monotonic() - self._first_text_at)
        breadcrumbs.add(_ENDS[status], code=code or None)

    def close(self) -> None:
        """Writes the log line about the attempt, and counts its tokens."""
        for kind, field in _TOKEN_KINDS.items():
            worker_metrics().tokens.labels(kind, self._model_label).inc(getattr(self._usage, field))
        seconds = time.monotonic() - self._began
        extra: dict[str, object] = {
            "outcome": self._outcome,
            "duration_ms": int(seconds * 1000),
            "tokens": self._usage.total_tokens,
        }
        why = {"reason": self._reason, "next": self._next}
        extra |= {name: value for name, value in why.items() if value is not None}
        log.log(logging.INFO if self._reason is None else logging.WARNING, "attempt ended", extra=extra)

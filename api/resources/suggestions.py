"""Serves jobs: creating, listing, reading and cancelling them. Their event streams are served by `api.stream_app`."""

import re
import time

from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from rq.command import send_command

from api.auth.middleware import SECURITY
from api.http.json_responses import documented, json_response
from api.http.paths import JOBS, PREFIX
from api.http.problems import ApiProblem, invalid_fields, problem_responses
from api.http.request_id import request_id
from api.resources.job_problems import checked_id, foreign, gone
from api.resources.job_view import job_view
from api.services import Services, services
from shared.contract.schemas import FieldProblem, JobCreated, JobInput, JobList, JobView, SuggestFeatureRequest
from shared.contract.values import JobStatus
from shared.state.event_log import Snapshot
from shared.state.job_store import CreateLimits
from shared.state.outages import log_failure
from shared.state.outcomes import CancelAsked, CancelOutcome, Created, NotCreated, RateLimited, Replayed
from shared.state.user_jobs import jobs_of
from shared.telemetry import breadcrumbs
from shared.telemetry.breadcrumbs import Crumb
from shared.telemetry.metrics import api_metrics, job_metrics
from shared.telemetry.tracing import Span

RETRY_WHEN_FULL_SECONDS = 5
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_OUTCOME_LABELS: dict[object, str] = {
    Created: "created",
    Replayed: "replayed",
    RateLimited: "rate_limited",
    NotCreated.KEY_REUSED: "key_reused",
    NotCreated.QUEUE_FULL: "queue_full",
}
"""Maps each outcome to its label in the metrics."""

blueprint = APIBlueprint(
    "suggestions",
    __name__,
    url_prefix=PREFIX,
    abp_tags=[Tag(name="jobs", description="Asking for suggestions, and watching them being written.")],
    abp_security=SECURITY,
    abp_responses=problem_responses(401, 403, 500, 503),
)


class JobPath(BaseModel):
    """Holds the job's id as text. The view parses it, so that a bad id gets a 400 after authentication."""

    job_id: str = Field(alias="jobId", description="The id of the job.", json_schema_extra={"format": "uuid"})


@blueprint.post(
    JOBS,
    operation_id="createJob",
    responses={
        200: documented(JobCreated, "The first job of this `Idempotency-Key`.", "Location", "Idempotent-Replayed"),
        202: documented(JobCreated, "The job is stored and waits for a worker.", "Location", *_RATE_LIMIT),
        **problem_responses(400, 408, 409, 413, 415, 422),
        **problem_responses(429, headers=_RATE_LIMIT),
    },
)
def create_job(body: SuggestFeatureRequest) -> Response:
    """Ask for suggestions

    The answer comes at once; the suggestions are written by a worker. Watch the job at `streamUrl`.
    """
    settings = services().settings
    if body.custom_model is not None and body.custom_model not in settings.models:
        message = f"must be one of: {', '.join(settings.models)}"
        raise invalid_fields([FieldProblem(field="customModel", message=message)])
    limits = CreateLimits(settings.jobs_per_minute, settings.max_queued_jobs)
    job = JobInput.model_validate(body, from_attributes=True)
    began = time.perf_counter()
    with Span(f"POST {JOBS}", "SERVER", http__request__method="POST", http__route=JOBS).current():
        outcome = services().jobs.create(g.user_id, job, _idempotency_key(), limits, request_id=request_id())
    label = _OUTCOME_LABELS[outcome if isinstance(outcome, NotCreated) else type(outcome)]
    api_metrics().creation_seconds.labels(label).observe(time.perf_counter() - began)
    match outcome:
        case Created():
            _note(outcome.job_id)
            breadcrumbs.add(Crumb.JOB_CREATED)
            used = {
                "RateLimit-Limit": str(settings.jobs_per_minute),
                "RateLimit-Remaining": str(outcome.remaining),
                "RateLimit-Reset": str(_seconds(outcome.reset_ms)),
            }
            return _created(outcome.job_id, JobStatus.PENDING, outcome.created_at, 202, used)
        case Replayed():
            _note(outcome.job_id)
            return _created(outcome.job_id, outcome.status, outcome.created_at, 200, {"Idempotent-Replayed": "true"})
        case NotCreated.KEY_REUSED:
            raise ApiProblem(409, "This Idempotency-Key was used for a request with another body.")
        case RateLimited():
            raise _rate_limited(outcome, settings.jobs_per_minute)
        case NotCreated.QUEUE_FULL:
            raise ApiProblem(
                503,
                "Too many requests are waiting already. Please try again in a moment.",
                headers={"Retry-After": str(RETRY_WHEN_FULL_SECONDS)},
            )


@blueprint.get(
    JOBS, operation_id="listJobs", responses={200: documented(JobList, "The jobs, the newest first, at most 50.")}
)
def list_jobs() -> Response:
    """List the caller's own jobs that are still kept"""
    return json_response(JobList(jobs=jobs_of(services().redis, g.user_id)))


@blueprint.get(
    f"{JOBS}/<jobId>",
    operation_id="readJob",
    responses={
        200: documented(JobView, "The job."),
        204: {"description": "`Last-Event-ID` is the job's final event: there is nothing more to come."},
        **problem_responses(400, 404, 429),
    },
)
def read_job(path: JobPath) -> Response:
    """Watch a job, or read it as it stands

    An event stream unless `Accept` names application/json and does not like text/event-stream as well. Every watcher of
    a job sees the same numbered events in the same order, whenever it joins and however often it reconnects.
    """
    job_id, jobs = _job_id(path), services().jobs
    return json_response(job_view(jobs, job_id, _owned(jobs.read(job_id))))


@blueprint.delete(
    f"{JOBS}/<jobId>",
    operation_id="cancelJob",
    responses={
        200: documented(JobView, "The job is over: cancelled now, or ended before as it says."),
        202: documented(JobView, "A worker still has to stop; the stream ends with `cancelled`."),
        **problem_responses(400, 404),
    },
)
def cancel_job(path: JobPath) -> Response:
    """Cancel a job"""
    job_id, jobs = _job_id(path), services().jobs
    match jobs.cancel(job_id, g.user_id):
        case CancelOutcome.GONE:
            raise gone()
        case CancelOutcome.FOREIGN:
            raise foreign()
        case CancelOutcome.CANCELLED:
            job_metrics().ended.labels(JobStatus.CANCELLED, "").inc()
        case CancelAsked(holder):
            breadcrumbs.add(Crumb.CANCEL_ASKED)
            _send_stop(services(), holder, job_id)
    view = job_view(jobs, job_id, _owned(jobs.read(job_id)))
    return json_response(view, 200 if view.status.is_final else 202)


def _created(job_id: str, status: JobStatus, created_at: int, code: int, headers: dict[str, str]) -> Response:
    url = f"{PREFIX}{JOBS}/{job_id}"
    body = JobCreated(job_id=job_id, status=status, created_at=created_at, stream_url=url)
    return json_response(body, code, {"Location": url, **headers})


def _rate_limited(outcome: RateLimited, limit: int) -> ApiProblem:
    wait = str(_seconds(outcome.retry_after_ms))
    headers = {
        "Retry-After": wait,
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": wait,
    }
    return ApiProblem(429, f"You may ask {limit} times a minute. Try again in {wait} s.", headers=headers)


def _seconds(milliseconds: int) -> int:
    """Returns the seconds, rounded up, so that waiting this long is enough."""
    return max(1, -(-milliseconds // 1000))


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ApiProblem(400, "The Idempotency-Key header must be 1 to 255 visible ASCII characters.")
    return key


def _job_id(path: JobPath) -> str:
    job_id = checked_id(path.job_id)
    _note(job_id)
    return job_id


def _note(job_id: str) -> None:
    """Adds the job's id to the log lines and Sentry events of this request."""
    g.job_id = job_id
    breadcrumbs.tag(job=job_id)


def _owned(job: Snapshot | None) -> Snapshot:
    """Returns the job if it exists and belongs to the caller. Raises ApiProblem 404 or 403."""
    if job is None:
        raise gone()
    if job.user_id != g.user_id:
        raise foreign()
    return job


def _send_stop(planner: Services, worker: str, job_id: str) -> None:
    """Sends RQ's stop command, so that the worker learns of the cancel at once and not some seconds later."""
    try:
        send_command(planner.redis, worker, "stop-job", job_id=job_id)
    except RedisError as error:
        log_failure("sending the command to stop a job", error, "so its worker learns of the cancel some seconds later")

"""Defines every metric. None is labelled by a user or a job: a label has few values, known beforehand.

Each process makes only its own metrics, at the first use. A counter that an alert watches has all its series from the
start, at zero: Prometheus cannot see the increase of a series that begins at one.

Several API processes on one host share files (prometheus-client's multiprocess mode, set up in
`api/gunicorn.conf.py`), so each of them answers `/metrics` for all.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from shared import __version__
from shared.contract.values import Cause, ErrorCode, JobStatus

_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_MODEL_BUCKETS = (0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 90, 120)
_PUBLISH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_OUTCOME_LABELS = ("status", "code")


class JobMetrics:
    """Counts how jobs end. Most end in a worker; any process may end those that wait or whose worker is gone."""

    def __init__(self) -> None:
        self.ended = Counter(
            "planner_jobs_ended", "Jobs that have ended, by final status and error code.", _OUTCOME_LABELS
        )
        self.ended.labels(JobStatus.COMPLETED, "")
        self.ended.labels(JobStatus.CANCELLED, "")
        for code in ErrorCode:
            self.ended.labels(JobStatus.FAILED, code)
        build = Gauge("planner_build_info", "1 for the version that runs.", ("version",), multiprocess_mode="livemax")
        build.labels(__version__).set(1)
        self.rewound = Counter(
            "planner_logs_rewound", "Logs found to end before, or to read otherwise than, what had been sent of them."
        )


class ApiMetrics:
    """Holds the metrics of a web process."""

    def __init__(self) -> None:
        self.requests = Counter(
            "planner_requests", "Requests answered, by the template of their path and by status.", ("route", "status")
        )
        self.creation_seconds = Histogram(
            "planner_job_creation_seconds",
            "Time to store and queue a job, or to find that it may not be.",
            ("outcome",),
            buckets=_REQUEST_BUCKETS,
        )
        self.open_streams = Gauge("planner_open_streams", "Event streams open now.", multiprocess_mode="livesum")
        self.viewers_cut_off = Counter(
            "planner_viewers_cut_off", "Viewers whose connection was closed because they read too slowly."
        )
        self.resumes = Counter("planner_stream_resumes", "Streams opened with a cursor that could be used.")
        self.holes_filled = Counter("planner_holes_filled", "Holes in a feed that were filled from the log.")
        self.publish_seconds = Histogram(
            "planner_publish_seconds",
            "From an event's timestamp to its having been sent to a process's viewers; of 100 events a second at most.",
            buckets=_PUBLISH_BUCKETS,
        )
        self.refused_connections = Counter(
            "planner_connections_refused", "Connections answered 503 because the process had too many."
        )


class WorkerMetrics:
    """Holds the metrics of a worker process."""

    def __init__(self) -> None:
        self.queue_wait_seconds = Histogram(
            "planner_queue_wait_seconds", "From a job's entry into the queue to its start.", buckets=_WAIT_BUCKETS
        )
        self.first_delta_seconds = Histogram(
            "planner_first_delta_seconds", "From an attempt's start to its first text.", buckets=_MODEL_BUCKETS
        )
        self.streaming_seconds = Histogram(
            "planner_streaming_seconds", "From an attempt's first text to its final event.", buckets=_MODEL_BUCKETS
        )
        self.tokens = Counter("planner_tokens", "Tokens spent, by kind and model.", ("kind", "model"))
        self.attempts = Counter(
            "planner_attempts", "Attempts started; `cause` is why it was not the first, else `first`.", ("cause",)
        )
        for cause in ("first", *Cause):
            self.attempts.labels(cause)
        self.files_dropped = Counter(
            "planner_files_dropped",
            "Files that the model named for a suggestion and that were left out, by reason.",
            ("reason",),
        )
        self.provider_wait_seconds = Histogram(
            "planner_provider_wait_seconds",
            "Time that a request waited until the model's provider could be asked, where it waited at all.",
            ("model",),
            buckets=_WAIT_BUCKETS,
        )
        self.requests_refused = Counter(
            "planner_model_requests_refused",
            "Requests that the model's provider refused for its limits or its load.",
            ("model", "reason"),
        )
        self.slots_used = Gauge("planner_slots_used", "Jobs running in this worker process.")
        self.unwritten_seconds = Gauge(
            "planner_unwritten_seconds", "Age of the oldest event of this worker process that Redis has not taken yet."
        )
        self.slots_free = Gauge("planner_slots_free", "Jobs that this worker process could take.")


@cache
def job_metrics() -> JobMetrics:
    """Returns the metrics of jobs, which are made at the first call."""
    return JobMetrics()


@cache
def api_metrics() -> ApiMetrics:
    """Returns the metrics of this web process, which are made at the first call."""
    return ApiMetrics()


@cache
def worker_metrics() -> WorkerMetrics:
    """Returns the metrics of this worker process, which are made at the first call."""
    return WorkerMetrics()

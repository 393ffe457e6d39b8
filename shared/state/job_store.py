"""The records of jobs: creating, starting, cancelling and giving them back, each one atomic step."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline

from shared.contract.schemas import Cause, ErrorCode, JobInput, JobStatus, TokenUsage
from shared.settings import Settings
from shared.state import event_log, keys
from shared.state.event_log import EventId, Snapshot
from shared.state.job_queue import JobQueue
from shared.state.scripts import Argument, script

MAX_STARTS = 10
"""Attempts in all, drains included: nothing runs for ever."""
LEASE_MS = 8000
"""A worker that has not renewed for this long has lost its jobs, once two looks agree."""
UNWATCHED_RETENTION_MS = 30_000
"""With a retention of 0 a finished job is gone after this at the latest."""
RATE_WINDOW_MS = 60_000


@dataclass(frozen=True)
class Created:
    job_id: str
    created_at: int
    remaining: int
    reset_ms: int


@dataclass(frozen=True)
class Replayed:
    job_id: str
    status: JobStatus
    created_at: int


@dataclass(frozen=True)
class KeyReused:
    """The idempotency key belongs to a job with another body."""


@dataclass(frozen=True)
class RateLimited:
    retry_after_ms: int


@dataclass(frozen=True)
class QueueFull:
    pass


@dataclass(frozen=True)
class CreateLimits:
    jobs_per_minute: int
    max_queued_jobs: int


@dataclass(frozen=True)
class Attempt:
    """An attempt that has been started, and what it needs to run."""

    job_id: str
    number: int
    cause: Cause | None
    failures: int
    user_id: str
    input: JobInput
    usage: TokenUsage


@dataclass(frozen=True)
class CancelAsked:
    """A worker has to stop; `holder` is its name."""

    holder: str


class JobStore:
    """The records in Redis. Every method is one round trip and may raise redis.RedisError."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.queue = JobQueue(redis, settings.failed_retention_seconds)
        self._settings = settings

    @property
    def ttl_ms(self) -> int:
        return self._settings.job_ttl_seconds * 1000

    @property
    def max_attempts(self) -> int:
        """How many attempts may fail."""
        return self._settings.max_attempts

    def retention_ms(self, status: JobStatus) -> int:
        """How long a job is kept after it has ended so."""
        if status is JobStatus.FAILED:
            return self._settings.failed_retention_seconds * 1000
        return self._settings.completed_retention_seconds * 1000 or UNWATCHED_RETENTION_MS

    @property
    def _idempotency_ttl_ms(self) -> int:
        # No job lives longer than this; whether the job is still there is looked up in its record.
        attempt_ms = self.ttl_ms + self._settings.job_timeout_seconds * 1000
        return (
            (MAX_STARTS + 1) * attempt_ms + self.retention_ms(JobStatus.FAILED) + self.retention_ms(JobStatus.COMPLETED)
        )

    def create(
        self,
        user_id: str,
        job: JobInput,
        idempotency_key: str | None,
        limits: CreateLimits,
        *,
        request_id: str | None = None,
    ) -> Created | Replayed | KeyReused | RateLimited | QueueFull:
        """Stores the job and queues it, or does neither."""
        job_id, body = str(uuid4()), job.model_dump_json()
        idempotency = keys.idempotency(user_id, idempotency_key) if idempotency_key else ""
        args: list[Argument] = [job_id, sha256(body.encode()).hexdigest(), user_id, body]
        args += [
            limits.jobs_per_minute,
            RATE_WINDOW_MS,
            limits.max_queued_jobs,
            self.ttl_ms,
            self._idempotency_ttl_ms,
        ]
        args += [TokenUsage().model_dump_json(), *self.queue.enqueue_commands(job_id, request_id=request_id)]
        where = (keys.record(job_id), idempotency, keys.creates(user_id), self.queue.key)
        match script("create").call(self.redis, where, args):
            case [b"created", created_at, remaining, reset_ms]:
                return Created(job_id, created_at, remaining, reset_ms)
            case [b"replayed", first, status, created_at]:
                return Replayed(first.decode(), JobStatus(status.decode()), int(created_at))
            case [b"conflict"]:
                return KeyReused()
            case [b"limited", retry_after_ms]:
                return RateLimited(retry_after_ms)
            case [b"full"]:
                return QueueFull()
        raise AssertionError("create.lua gave an unknown answer")

    def head(self, job_id: str) -> Snapshot | None:
        """The job without its log."""
        return event_log.read(self.redis, job_id, head_only=True)

    def read(self, job_id: str, cursor: EventId | None = None) -> Snapshot | None:
        """The job and what its log holds after the cursor; None where it is unknown or expired."""
        return event_log.read(self.redis, job_id, cursor)

    def cancel(self, job_id: str) -> CancelAsked | None:
        """Ends a waiting job; asks for a running one to be stopped. None: the job is over, or gone."""
        where = (*self.job_keys(job_id), self.queue.key, self.queue.rq_key(job_id))
        args = (job_id, self.retention_ms(JobStatus.CANCELLED))
        reply = script("cancel").call(self.redis, where, args)
        return CancelAsked(reply[1].decode()) if reply[0] == b"asked" else None

    def start(self, job_id: str, holder: str, execution: str, books: Pipeline | None = None) -> Attempt | str:
        """The next attempt, leased to `holder`; else the reason why there is none: gone, ended or taken.

        What RQ has to know of it may go in the same step, in a pipeline that is sent with it.
        """
        args: list[Argument] = [job_id, holder, execution, LEASE_MS, self.ttl_ms]
        args += [self._settings.max_attempts, MAX_STARTS, *self._ends()]
        where, start = self.job_keys(job_id), script("start")
        reply = (
            start.call(self.redis, where, args) if books is None else start.call_with(self.redis, books, where, args)
        )
        if reply[0] != b"started":
            return str(reply[0].decode())
        number, cause, failures, user, job_input, usage = reply[1:]
        return Attempt(
            job_id=job_id,
            number=number,
            cause=Cause(cause.decode()) if cause else None,
            failures=failures,
            user_id=user.decode(),
            input=JobInput.model_validate_json(job_input),
            usage=TokenUsage.model_validate_json(usage),
        )

    def start_again(self, attempt: Attempt, holder: str) -> tuple[int, int]:
        """The next attempt in place: its number and the failures so far.

        The number is 0 when the failures are used up, and -1 when the job is no longer the caller's.
        """
        args = (attempt.job_id, attempt.number, holder, self.ttl_ms, self._settings.max_attempts, MAX_STARTS)
        number, failures = script("again").call(self.redis, self.job_keys(attempt.job_id), args)
        return int(number), int(failures)

    def release(self, job_id: str, attempt: int, holder: str) -> bool:
        """Gives an attempt back without counting a failure; False where there is nothing to run again."""
        args = (job_id, attempt, holder, self.retention_ms(JobStatus.CANCELLED))
        return bool(script("release").call(self.redis, self.job_keys(job_id), args) == b"released")

    @property
    def keeps_no_answers(self) -> bool:
        """Whether a job is to go as soon as those who watch have its end."""
        return self._settings.completed_retention_seconds == 0

    def forget_if_unwatched(self, job_id: str) -> bool:
        """Deletes an answered or cancelled job that no process watches; False where one does."""
        channel = keys.channel(job_id)
        if dict(self.redis.pubsub_numsub(channel)).get(channel.encode()):
            return False
        script("forget").call(self.redis, (keys.record(job_id), keys.log(job_id)), ())
        return True

    def renew(self, holder: str, attempts: dict[str, int]) -> dict[str, str]:
        """Renews the leases of these jobs (id -> attempt), and says of each: ok, cancel or lost."""
        args: list[Argument] = [holder, LEASE_MS]
        for job_id, number in attempts.items():
            args += [job_id, number]
        answers = script("renew").call(self.redis, (keys.LEASES, keys.WORKERS), args)
        return {job_id: answer.decode() for job_id, answer in zip(attempts, answers, strict=True)}

    def suspects(self) -> set[tuple[str, str, str]]:
        """Jobs that look abandoned, each with its lease and RQ's execution as they were seen ('' for none)."""
        where = (keys.LEASES, self.queue.key, self.queue.intermediate_key, self.queue.started_key)
        parts = [part.decode() for part in script("suspects").call(self.redis, where, ())]
        return set(zip(parts[::3], parts[1::3], parts[2::3], strict=True))

    def requeue(self, job_id: str, lease: str, execution: str) -> str:
        """Puts an abandoned job back to the front of the queue, or ends it; says what it did."""
        cleanup = self.queue.cleanup_commands(execution) if execution else []
        cancelled_ms = self.retention_ms(JobStatus.CANCELLED)
        args: list[Argument] = [job_id, lease, self._settings.max_attempts, *self._ends()[:2], cancelled_ms]
        args += [len(cleanup), *cleanup, *self.queue.enqueue_commands(job_id, at_front=True)]
        where = (*self.job_keys(job_id), self.queue.key, self.queue.intermediate_key)
        return str(script("requeue").call(self.redis, where, args).decode())

    def _ends(self) -> tuple[str, int, int]:
        """The data of the loss but for its timestamp, and how long failed and cancelled jobs are kept."""
        code = ErrorCode.WORKER_LOST
        data = f'"message":"{code.message}","code":"{code.value}","retryable":true'
        return data, self.retention_ms(JobStatus.FAILED), self.retention_ms(JobStatus.CANCELLED)

    @staticmethod
    def job_keys(job_id: str) -> tuple[str, str, str, str]:
        return keys.record(job_id), keys.log(job_id), keys.channel(job_id), keys.LEASES

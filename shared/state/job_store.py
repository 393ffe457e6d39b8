"""Stores the records of jobs. Creating, starting, cancelling and releasing a job are one atomic step each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import cast
from uuid import uuid4

from redis import Redis

from shared import __version__
from shared.clock import now_ms
from shared.contract.schemas import JobInput, TokenUsage
from shared.contract.values import Cause, ErrorCode, JobStatus
from shared.settings import Settings
from shared.state import event_log, keys
from shared.state.event_log import EventId, Snapshot
from shared.state.job_queue import JobQueue
from shared.state.outcomes import (
    Attempt,
    AttemptStatus,
    CancelAsked,
    CancelOutcome,
    Created,
    NotCreated,
    NotStarted,
    RateLimited,
    ReleaseOutcome,
    Replayed,
    RequeueOutcome,
    Suspect,
    UnreadAttempt,
)
from shared.state.scripts import Argument, script
from shared.state.user_jobs import MAX_INDEXED
from shared.telemetry.metrics import job_metrics

MAX_TURNS_BYTES = 300_000
"""Limits the kept turns of one job; beyond it no more are kept."""
MAX_STARTS = 10
"""Limits the attempts of a job in all, drains included, so that no job goes on without an end."""
LEASE_MS = 8000
"""A worker that has not renewed its leases for this long loses its jobs, once two sweeps agree."""
UNWATCHED_RETENTION_MS = 30_000
"""With a retention of 0 a finished job is deleted after this time at the latest."""
RATE_WINDOW_MS = 60_000


@dataclass(frozen=True)
class CreateLimits:
    """Holds the limits that a new job must not exceed."""

    jobs_per_minute: int
    max_queued_jobs: int


class JobStore:
    """Stores the records of jobs in Redis. Every method takes one round trip and may raise redis.RedisError.

    A method that reads returns the job or None; one that changes a job returns an outcome of `shared.state.outcomes`.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.queue = JobQueue(redis, settings.failed_retention_seconds)
        self._settings = settings

    @property
    def ttl_ms(self) -> int:
        """Returns for how many milliseconds a job is kept after each of its events."""
        return self._settings.job_ttl_seconds * 1000

    @property
    def max_attempts(self) -> int:
        """Returns how many attempts of a job may fail before the job fails."""
        return self._settings.max_attempts

    def retention_ms(self, status: JobStatus) -> int:
        """Returns for how many milliseconds a job is kept after it has ended with this status."""
        if status is JobStatus.FAILED:
            return self._settings.failed_retention_seconds * 1000
        return self._settings.completed_retention_seconds * 1000 or UNWATCHED_RETENTION_MS

    @property
    def _longest_life_ms(self) -> int:
        """Returns the longest time in milliseconds for which a job can exist.

        Keys that refer to a job are kept for as long; whether the job still exists is known from its record.
        """
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
    ) -> Created | Replayed | RateLimited | NotCreated:
        """Stores the job and queues it, or does neither. Returns the job, or why it was not created."""
        job_id, body = str(uuid4()), job.model_dump_json()
        args: list[Argument] = [job_id, sha256(body.encode()).hexdigest(), user_id, body]
        args += [
            limits.jobs_per_minute,
            RATE_WINDOW_MS,
            limits.max_queued_jobs,
            self.ttl_ms,
            self._longest_life_ms,
        ]
        args += [
            TokenUsage().model_dump_json(),
            MAX_INDEXED,
            __version__,
            *self.queue.enqueue_commands(job_id, request_id=request_id),
        ]
        where = [keys.record(job_id), keys.creates(user_id), self.queue.key, keys.jobs(user_id)]
        if idempotency_key:
            where.append(keys.idempotency(user_id, idempotency_key))
        match script("create").call(self.redis, where, args):
            case [b"created", created_at, remaining, reset_ms]:
                return Created(job_id, created_at, remaining, reset_ms)
            case [b"replayed", first, status, created_at]:
                return Replayed(first.decode(), JobStatus(status.decode()), int(created_at))
            case [b"limited", retry_after_ms]:
                return RateLimited(retry_after_ms)
            case [word]:
                return NotCreated(word.decode())
        raise AssertionError("create.lua returned an unknown answer")

    def head(self, job_id: str) -> Snapshot | None:
        """Returns the job without its log; None where it is unknown or expired."""
        return event_log.read(self.redis, job_id, head_only=True)

    def read(self, job_id: str, cursor: EventId | None = None) -> Snapshot | None:
        """Returns the job with the events after the cursor; None where it is unknown or expired."""
        return event_log.read(self.redis, job_id, cursor)

    def note_rewind(self, job_id: str, seen: EventId) -> bool:
        """Records that Redis has lost events: the log ends before `seen`, or differs from what was read up to that id.

        No id up to `seen` is used again. Returns whether this was not recorded before; each loss is counted once.
        """
        is_news = bool(script("rewound").call(self.redis, (keys.record(job_id), keys.LEASES), (str(seen),)))
        if is_news:
            job_metrics().rewound.inc()
        return is_news

    def cancel(self, job_id: str, user_id: str) -> CancelAsked | CancelOutcome:
        """Cancels the user's job if it waits in the queue; if it runs, asks for it to be stopped."""
        where = (*self.job_keys(job_id), self.queue.key, self.queue.rq_key(job_id))
        args = (job_id, user_id, self.retention_ms(JobStatus.CANCELLED))
        match script("cancel").call(self.redis, where, args):
            case [b"asked", holder]:
                return CancelAsked(holder.decode())
            case [word]:
                return CancelOutcome(word.decode())
        raise AssertionError("cancel.lua returned an unknown answer")

    def start(self, job_id: str, holder: str, execution: str) -> Attempt | UnreadAttempt | NotStarted:
        """Starts the next attempt, with a lease for `holder` in RQ's `execution`. An UnreadAttempt must be released."""
        args: list[Argument] = [job_id, holder, execution, LEASE_MS, self.ttl_ms]
        args += [self._settings.max_attempts, MAX_STARTS, *self._ends()]
        reply = script("start").call(self.redis, self.job_keys(job_id), args)
        if reply[0] != b"started":
            return NotStarted(reply[0].decode())
        try:
            return _attempt(job_id, execution, reply[1:10])
        except ValueError:
            age_ms = now_ms() - int(reply[7] or now_ms())
            return UnreadAttempt(job_id, int(reply[1]), (reply[10] or b"an unknown version").decode(), age_ms)

    def start_again(self, last: Attempt, holder: str) -> Attempt | NotStarted:
        """Starts the attempt that follows the failed attempt `last`, in the same execution and with the same lease."""
        args: list[Argument] = [
            last.job_id,
            last.number,
            holder,
            last.execution,
            self.ttl_ms,
            self._settings.max_attempts,
            MAX_STARTS,
        ]
        reply = script("again").call(self.redis, self.job_keys(last.job_id), args)
        if reply[0] != b"started":
            return NotStarted(reply[0].decode())
        number, failures = reply[1:]
        return replace(last, number=number, failures=failures, cause=Cause.MODEL_ERROR)

    def keep_turn(self, attempt: Attempt, number: int, turn: bytes) -> int | None:
        """Stores a whole turn of the conversation, so that a later attempt can continue from it.

        Returns the number of the turn to store next, which is an earlier one where Redis has lost some. Returns None
        where the size limit is reached, or the attempt no longer has the job.
        """
        args = (attempt.number, attempt.run, number, turn, self.ttl_ms, MAX_TURNS_BYTES)
        where = (keys.record(attempt.job_id), keys.turns(attempt.job_id))
        following = int(script("keep").call(self.redis, where, args))
        return following if following >= 0 else None

    def kept_turns(self, job_id: str) -> list[bytes]:
        """Returns the turns that earlier attempts have stored, in their order."""
        return cast(list[bytes], self.redis.lrange(keys.turns(job_id), 0, -1))

    def fail(self, attempt: Attempt | UnreadAttempt, holder: str, code: ErrorCode) -> AttemptStatus:
        """Ends a job as failed where events cannot be appended to its log.

        If the key of the log holds something that is no log, it is replaced by a log with the final event alone.
        """
        data = f'"message":"{code.message}","code":"{code.value}","retryable":{str(code.is_retryable).lower()}'
        args = (attempt.job_id, attempt.number, holder, data, self.retention_ms(JobStatus.FAILED))
        return AttemptStatus(script("fail").call(self.redis, self.job_keys(attempt.job_id), args).decode())

    def release(
        self, attempt: Attempt | UnreadAttempt, holder: str, waited_ms: int = 0, usage: TokenUsage | None = None
    ) -> ReleaseOutcome:
        """Gives an attempt back to the queue without counting a failure.

        `waited_ms` is how long the job has waited for its provider in all, `usage` what it has used in all, where that
        is known. An UnreadAttempt does not count towards the number of attempts that a job may have.
        """
        counts = int(isinstance(attempt, Attempt))
        args: list[Argument] = [attempt.job_id, attempt.number, holder, self.retention_ms(JobStatus.CANCELLED)]
        args += [waited_ms, counts, usage.model_dump_json() if usage else ""]
        return ReleaseOutcome(script("release").call(self.redis, self.job_keys(attempt.job_id), args).decode())

    @property
    def keeps_no_answers(self) -> bool:
        """Returns whether a job is deleted as soon as its viewers have received the final event."""
        return self._settings.completed_retention_seconds == 0

    def is_watched(self, job_id: str) -> bool:
        """Returns whether a process has viewers of the job, as far as Redis knows."""
        channel = keys.channel(job_id)
        return bool(dict(self.redis.pubsub_numsub(channel)).get(channel.encode()))

    def forget(self, job_id: str) -> None:
        """Deletes a job if it is completed or cancelled; any other is kept."""
        script("forget").call(self.redis, (keys.record(job_id), keys.log(job_id)), ())

    def renew(self, holder: str, attempts: Sequence[Attempt]) -> list[AttemptStatus]:
        """Renews the leases of these attempts. Returns the status of each, in the same order."""
        args: list[Argument] = [holder, LEASE_MS]
        for attempt in attempts:
            args += [attempt.job_id, attempt.number]
        answers = script("renew").call(self.redis, (keys.LEASES, keys.WORKERS), args)
        return [AttemptStatus(answer.decode()) for answer in answers]

    def leads_sweep(self, process: str, lease_ms: int) -> bool:
        """Returns whether this process is the one that looks for abandoned jobs; if so, it stays it for `lease_ms`."""
        return bool(script("lead").call(self.redis, (keys.LEASES, keys.SWEEPER), (process, lease_ms)))

    def suspects(self) -> list[Suspect]:
        """Finds the jobs that look abandoned, in the order in which they go back to the front of the queue.

        Ids that cannot be ids of jobs are returned too; bytes of them that are not UTF-8 are replaced.
        """
        where = (keys.LEASES, self.queue.key, self.queue.intermediate_key, self.queue.started_key)
        parts = [part.decode(errors="replace") for part in script("suspects").call(self.redis, where, ())]
        return list(map(Suspect, parts[::3], parts[1::3], parts[2::3]))

    def requeue(self, suspect: Suspect) -> RequeueOutcome:
        """Puts an abandoned job back at the front of the queue, or ends it if its attempts are used up."""
        cleanup = self.queue.cleanup_commands(suspect.execution) if suspect.execution else []
        cancelled_ms = self.retention_ms(JobStatus.CANCELLED)
        args: list[Argument] = [suspect.job_id, suspect.lease, self._settings.max_attempts, *self._ends()[:2]]
        args += [cancelled_ms, len(cleanup), *cleanup, *self.queue.enqueue_commands(suspect.job_id, at_front=True)]
        where = (*self.job_keys(suspect.job_id), self.queue.key, self.queue.intermediate_key)
        return RequeueOutcome(script("requeue").call(self.redis, where, args).decode())

    def _ends(self) -> tuple[str, int, int]:
        """Returns the JSON members of the WORKER_LOST event, and how long failed and cancelled jobs are kept (ms)."""
        code = ErrorCode.WORKER_LOST
        data = f'"message":"{code.message}","code":"{code.value}","retryable":true'
        return data, self.retention_ms(JobStatus.FAILED), self.retention_ms(JobStatus.CANCELLED)

    @staticmethod
    def job_keys(job_id: str) -> tuple[str, str, str, str]:
        """Returns the keys of a job that most scripts take: record, log, channel, leases."""
        return keys.record(job_id), keys.log(job_id), keys.channel(job_id), keys.LEASES


def _attempt(job_id: str, execution: str, started: Sequence[bytes]) -> Attempt:
    """Builds an attempt from the reply of start.lua. Raises ValueError where a value is unknown to this version."""
    number, cause, failures, user, job_input, usage, created_at, ran_ms, waited_ms = started
    return Attempt(
        job_id=job_id,
        number=cast(int, number),
        cause=Cause(cause.decode()) if cause else None,
        failures=cast(int, failures),
        user_id=user.decode(),
        input=JobInput.model_validate_json(job_input),
        usage=TokenUsage.model_validate_json(usage),
        execution=execution,
        created_at=int(created_at or 0),
        ran_ms=int(ran_ms),
        waited_ms=int(waited_ms or 0),
    )

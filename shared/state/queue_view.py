"""Reads the queue: which job waits at which position, and how many workers there are to take them."""

from collections.abc import Collection
from dataclasses import dataclass, field

from redis import Redis

from shared.state import keys

WORKER_ALIVE_MS = 10_000
"""A worker without a heartbeat for this long is not counted."""


@dataclass(frozen=True)
class QueueView:
    """Holds the positions of waiting jobs (1 is next), the number of live workers, and which jobs still exist."""

    positions: dict[str, int] = field(default_factory=dict)
    workers: int = 0
    existing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class QueueSize:
    """Holds the size of the queue; `oldest_seconds` is the age of the job that is next, 0 where none waits."""

    jobs: int
    oldest_seconds: float
    workers: int


def count_workers(redis: Redis) -> int:
    """Counts the worker processes that sent a heartbeat in the last 10 s, by Redis's clock."""
    seconds, _ = redis.time()
    return int(redis.zcount(keys.WORKERS, seconds * 1000 - WORKER_ALIVE_MS, "+inf"))


def poll_queue(redis: Redis, queue_key: str, job_ids: Collection[str]) -> QueueView:
    """Reads the queue for all these jobs at once, in two round trips whatever their number."""
    workers = count_workers(redis)
    pipeline = redis.pipeline(transaction=False)
    pipeline.lrange(queue_key, 0, -1)
    for job_id in job_ids:
        pipeline.exists(keys.record(job_id))
    queued, *exist = pipeline.execute()
    wanted = set(job_ids)
    positions = {name: i for i, job in enumerate(queued, 1) if (name := job.decode(errors="replace")) in wanted}
    existing = frozenset(job_id for job_id, there in zip(job_ids, exist, strict=True) if there)
    return QueueView(positions, workers, existing)


def queue_size(redis: Redis, queue_key: str) -> QueueSize:
    """Returns the current size of the queue. Raises redis.RedisError."""
    workers = count_workers(redis)
    pipeline = redis.pipeline(transaction=False)
    pipeline.time()
    pipeline.llen(queue_key)
    pipeline.lindex(queue_key, 0)
    (seconds, microseconds), jobs, first = pipeline.execute()
    created_at = redis.hget(keys.record(first.decode(errors="replace")), "createdAt") if first else None
    # The record may have expired; the sweep clears the queue of such jobs.
    age_ms = seconds * 1000 + microseconds / 1000 - int(created_at) if created_at else 0.0
    return QueueSize(jobs, max(0.0, age_ms / 1000), workers)

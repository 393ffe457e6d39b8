"""Writes running jobs into Redis as a worker would, to measure the serving of streams without a worker."""

from collections.abc import Iterable

from redis import Redis
from redis.client import Pipeline

from shared.contract.events import Delta, Event, Started
from shared.contract.schemas import JobInput
from shared.contract.values import FeatureType, PriorityLevel
from shared.settings import ApiSettings
from shared.state import keys
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Created
from shared.state.scripts import script
from tests.bench.measures import now_ms
from tests.conftest import SECRET

USER = "alice"
NO_LIMITS = CreateLimits(jobs_per_minute=10**9, max_queued_jobs=10**9)
DAY_SECONDS = 86_400
INPUT = JobInput(
    page_or_component="Checkout page", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.HIGH
)
TEXT = "and a button that says what it will do, "


def running_jobs(redis: Redis, redis_url: str, count: int) -> list[str]:
    """Creates jobs whose first attempt has published `started`; their leases do not expire."""
    settings = ApiSettings(redis_url=redis_url, auth_mode="jwt", auth_secret=SECRET, job_ttl_seconds=DAY_SECONDS)
    store = JobStore(redis, settings)
    started = Started(attempt=1, model="sandbox", agent="default", cause=None, timestamp=now_ms())
    jobs: list[str] = []
    for _ in range(count):
        created = store.create(USER, INPUT, None, NO_LIMITS)
        assert isinstance(created, Created)
        store.start(created.job_id, "bench", f"{created.job_id}:bench")
        jobs.append(created.job_id)
    redis.zadd(keys.LEASES, {job: now_ms() + DAY_SECONDS * 1000 for job in jobs})
    redis.delete(store.queue.key)
    append(redis, jobs, 1, [started])
    return jobs


def append(redis: Redis, jobs: Iterable[str], first_sequence: int, events: list[Event]) -> None:
    """Appends the same events to the log of each job, as a worker does."""
    script("append").call(redis, ("nobody", "nobody", "nobody", keys.LEASES), ("nobody", 1, 1, "", "", 1, "", "", ""))
    with redis.pipeline(transaction=False) as pipeline:
        for job in jobs:
            for sequence, event in enumerate(events, first_sequence):
                _append(pipeline, job, sequence, event)
            if len(pipeline) >= 500:
                pipeline.execute()
        pipeline.execute()


def _append(pipeline: Pipeline, job: str, sequence: int, event: Event) -> None:
    where = JobStore.job_keys(job)
    args = (job, 1, sequence, event.event, event.encode(), DAY_SECONDS * 1000, "", "", "")
    pipeline.evalsha(script("append").sha, len(where), *where, *args)


def deltas(count: int, *, before: int = 0, text: str = TEXT) -> list[Event]:
    """Returns deltas as a worker writes them, which follow `before` earlier ones."""
    length = len(text)
    return [
        Delta(text=text, total_length=(before + number) * length, timestamp=now_ms()) for number in range(1, count + 1)
    ]

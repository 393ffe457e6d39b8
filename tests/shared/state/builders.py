"""Builds jobs in Redis, and reads what the scripts have stored there."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job

from shared.contract.schemas import JobInput, TokenUsage
from shared.contract.values import FeatureType, JobStatus, PriorityLevel
from shared.state import keys
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Attempt, Created, RequeueOutcome, Suspect
from shared.state.scripts import script
from worker.publishing.log_writer import Append

T = TypeVar("T")
TTL_MS, FAILED_MS, COMPLETED_MS = 600_000, 3_600_000, 500_000
ROUNDS = 25
INPUT = JobInput(page_or_component="Kasse 😀", feature_type=FeatureType.INTEGRATION, priority_level=PriorityLevel.LOW)
OTHER_INPUT = INPUT.model_copy(update={"page_or_component": "Search"})
LIMITS = CreateLimits(jobs_per_minute=10_000, max_queued_jobs=10_000)
FINALS = {"complete": "completed", "error": "failed", "cancelled": "cancelled"}
Make = Callable[..., JobStore]


def created(store: JobStore, user: str = "alice", **more: Any) -> Created:
    outcome = store.create(user, more.get("job", INPUT), more.get("key"), more.get("limits", LIMITS))
    assert isinstance(outcome, Created), outcome
    return outcome


def new_job(store: JobStore) -> str:
    return created(store).job_id


def started(store: JobStore, job_id: str, holder: str = "w1", execution: str = "") -> Attempt:
    attempt = store.start(job_id, holder, execution or f"{job_id}:{holder}")
    assert isinstance(attempt, Attempt), attempt
    return attempt


def running_job(store: JobStore, holder: str = "w1") -> str:
    """Returns a job that a worker has taken from the queue, as RQ does it, and has started."""
    job_id = new_job(store)
    assert take(store) == job_id
    started(store, job_id, holder, execute(store, job_id, holder))
    return job_id


def take(store: JobStore) -> str:
    """Takes the next job from the queue, which moves it to RQ's intermediate list, and returns its id."""
    taken = Queue.dequeue_any([store.queue.queue], 1, store.redis, serializer=store.queue.queue.serializer)
    assert taken is not None
    return str(taken[0].id)


def execute(store: JobStore, job_id: str, holder: str) -> str:
    """Stores what RQ's worker stores when it begins a job, and returns the name of the execution."""
    job = Job.fetch(job_id, connection=store.redis, serializer=store.queue.queue.serializer)
    with store.redis.pipeline() as pipeline:
        execution = Execution.create(job, 7200, pipeline, worker_name=holder)
        pipeline.lrem(store.queue.intermediate_key, 1, job_id)
        pipeline.execute()
    return str(execution.composite_key)


def append(store: JobStore, job_id: str, sequence: int, **more: Any) -> str:
    """Appends an event to attempt 1, by default a delta, and returns the answer of append.lua."""
    name = more.get("name", "delta")
    status = FINALS.get(name, "")
    event = Append(
        job_id,
        more.get("attempt", 1),
        sequence,
        name,
        more.get("data", b'{"n":%d}' % sequence),
        store.retention_ms(JobStatus(status)) if status else store.ttl_ms,
        status,
        more.get("usage", ""),
        more.get("run", ""),
    )
    append_script = script("append")
    store.redis.script_load(append_script.text)
    return str(store.redis.execute_command("EVALSHA", append_script.sha, *event.keys_and_args()).decode())


def log_of(store: JobStore, job_id: str) -> list[tuple[str, str]]:
    entries: Any = store.redis.xrange(keys.log(job_id))
    return [(entry_id.decode(), fields[b"e"].decode()) for entry_id, fields in entries]


def final_data(store: JobStore, job_id: str) -> dict[str, Any]:
    entries: Any = store.redis.xrevrange(keys.log(job_id), count=1)
    [(_, fields)] = entries
    return dict(json.loads(fields[b"d"]))


def status_of(store: JobStore, job_id: str) -> JobStatus:
    seen = store.head(job_id)
    assert seen is not None
    return seen.status


def field(store: JobStore, job_id: str, name: str) -> str:
    value: Any = store.redis.hget(keys.record(job_id), name)
    return str((value or b"").decode())


def queue_of(store: JobStore) -> list[str]:
    jobs: Any = store.redis.lrange(store.queue.key, 0, -1)
    return [job.decode() for job in jobs]


def lapse(store: JobStore, *job_ids: str) -> None:
    """Makes the leases of these jobs expire."""
    seconds, _ = store.redis.time()
    store.redis.zadd(keys.LEASES, dict.fromkeys(job_ids, seconds * 1000 - 1))


def lease_of(store: JobStore, job_id: str) -> str:
    lease = store.redis.zscore(keys.LEASES, job_id)
    return "" if lease is None else f"{lease:.0f}"


def requeue_lapsed(store: JobStore, job_id: str) -> RequeueOutcome:
    lapse(store, job_id)
    return store.requeue(Suspect(job_id, lease_of(store, job_id), ""))


def attempt_of(job_id: str, number: int = 1, **fields: Any) -> Attempt:
    """Returns an attempt as its worker knows it. Fields default to those of the first attempt that `started` begins."""
    given = {"cause": None, "failures": 0, "user_id": "alice", "input": INPUT, "usage": TokenUsage()}
    return Attempt(job_id, number, **{**given, "execution": f"{job_id}:w1", **fields})


def everything(redis: Redis) -> dict[bytes, object]:
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
    }
    names: Any = redis.keys()
    kinds: Any = {key: redis.type(key) for key in names}
    return {key: readers[kinds[key]](key) for key in names}


def rq_keys(redis: Redis) -> set[str]:
    """Returns the keys of RQ, except the one that holds the names of the queues."""
    return {key.decode() for key in redis.scan_iter("rq:*")} - {"rq:queues"}


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Runs the calls in threads that start at the same time, and returns their results."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def about(milliseconds: int) -> Any:
    return pytest.approx(milliseconds, abs=2_000)

"""Each step of a job in Redis: whole or not at all, the same when sent again, and only one wins a race."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.executions import Execution
from rq.job import Job

from api.delivery.admission import (
    LEASE_MS,
    Admission,
    AlreadyComplete,
    JobGone,
    JobOfAnotherUser,
    Refused,
    StreamRequest,
    TooManyStreams,
)
from shared.contract.schemas import Cause, FeatureType, JobInput, JobStatus, PriorityLevel, TokenUsage
from shared.state import job_store, keys
from shared.state.connections import is_outage
from shared.state.event_log import EventId
from shared.state.job_store import (
    Attempt,
    CancelAsked,
    Created,
    CreateLimits,
    JobStore,
    KeyReused,
    QueueFull,
    RateLimited,
    Replayed,
)
from shared.state.scripts import script
from shared.state.sweeper import Sweeper
from tests.conftest import ApiSettingsFactory
from worker.publishing.log_writer import Append

T = TypeVar("T")
TTL_MS, FAILED_MS, COMPLETED_MS = 600_000, 3_600_000, 500_000
ROUNDS = 25
INPUT = JobInput(page_or_component="Kasse 😀", feature_type=FeatureType.INTEGRATION, priority_level=PriorityLevel.LOW)
OTHER_INPUT = INPUT.model_copy(update={"page_or_component": "Search"})
LIMITS = CreateLimits(jobs_per_minute=10_000, max_queued_jobs=10_000)
FINALS = {"complete": "completed", "error": "failed", "cancelled": "cancelled"}
Make = Callable[..., JobStore]


@pytest.fixture
def make(redis: Redis, api_settings: ApiSettingsFactory) -> Make:
    return lambda **fields: JobStore(redis, api_settings(completed_retention_seconds=500, **fields))


@pytest.fixture
def store(make: Make, redis: Redis) -> Iterator[JobStore]:
    """A store; whatever happened, no key of a job may be left that never goes away."""
    yield make()
    for key in redis.scan_iter("suggestion:*"):
        assert redis.pttl(key) > 0, key


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
    """A job that a worker has taken, as RQ does it, and begun."""
    job_id = new_job(store)
    assert take(store) == job_id
    started(store, job_id, holder, execute(store, job_id, holder))
    return job_id


def take(store: JobStore) -> str:
    """Pops the next job: it stands in RQ's intermediate list now."""
    taken = Queue.dequeue_any([store.queue.queue], 1, store.redis, serializer=store.queue.queue.serializer)
    assert taken is not None
    return str(taken[0].id)


def execute(store: JobStore, job_id: str, holder: str) -> str:
    """What RQ's worker notes when it begins; answers the execution's name."""
    job = Job.fetch(job_id, connection=store.redis, serializer=store.queue.queue.serializer)
    with store.redis.pipeline() as pipeline:
        execution = Execution.create(job, 7200, pipeline, worker_name=holder)
        pipeline.lrem(store.queue.intermediate_key, 1, job_id)
        pipeline.execute()
    return str(execution.composite_key)


def append(store: JobStore, job_id: str, sequence: int, **more: Any) -> str:
    """The answer of append.lua to an event of attempt 1, a delta unless told otherwise."""
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
    """The leases of these jobs have run out."""
    seconds, _ = store.redis.time()
    store.redis.zadd(keys.LEASES, dict.fromkeys(job_ids, seconds * 1000 - 1))


def lease_of(store: JobStore, job_id: str) -> str:
    lease = store.redis.zscore(keys.LEASES, job_id)
    return "" if lease is None else f"{lease:.0f}"


def requeue_lapsed(store: JobStore, job_id: str) -> str:
    lapse(store, job_id)
    return store.requeue(job_id, lease_of(store, job_id), "")


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
    """What RQ keeps beside the name of the queue."""
    return {key.decode() for key in redis.scan_iter("rq:*")} - {"rq:queues"}


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Runs the calls in threads that all set off together."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def about(milliseconds: int) -> Any:
    return pytest.approx(milliseconds, abs=2_000)


# Creating


def test_a_created_job_is_stored_and_queued(store: JobStore, redis: Redis) -> None:
    outcome = created(store)
    seen = store.head(outcome.job_id)
    assert seen is not None and seen.input == INPUT and seen.user_id == "alice"
    assert (seen.status, seen.attempt, seen.last_id, seen.is_running) == (JobStatus.PENDING, 0, None, False)
    seconds, _ = redis.time()
    assert outcome.created_at == seen.created_at == about(seconds * 1000)
    assert queue_of(store) == [outcome.job_id] and redis.exists(store.queue.rq_key(outcome.job_id))
    assert redis.pttl(keys.record(outcome.job_id)) == about(TTL_MS)


@pytest.mark.parametrize("key", [None, "key"])
def test_a_create_that_is_sent_again_makes_one_job_and_answers_the_same(
    store: JobStore, redis: Redis, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_store, "uuid4", lambda: "11111111-1111-4111-8111-111111111111")
    first = created(store, key=key)
    before = everything(redis)
    again = created(store, key=key)
    assert (again.job_id, again.created_at, again.remaining) == (first.job_id, first.created_at, first.remaining)
    assert everything(redis) == before


@pytest.mark.parametrize(
    ("limits", "key", "job", "expected"),
    [
        (CreateLimits(1, 1000), None, INPUT, RateLimited),
        (CreateLimits(1000, 1), None, INPUT, QueueFull),
        (LIMITS, "key", OTHER_INPUT, KeyReused),
    ],
)
def test_a_refused_create_leaves_nothing(
    store: JobStore, redis: Redis, limits: CreateLimits, key: str | None, job: JobInput, expected: type
) -> None:
    created(store, key="key")
    before = everything(redis)
    assert isinstance(store.create("alice", job, key, limits), expected)
    assert everything(redis) == before


STEPS: dict[str, Callable[[JobStore, str, str], object]] = {
    "create": lambda store, waiting, running: store.create("alice", INPUT, "key", LIMITS),
    "start": lambda store, waiting, running: store.start(waiting, "w2", f"{waiting}:w2"),
    "append": lambda store, waiting, running: append(store, running, 1),
    "append with usage": lambda store, waiting, running: append(store, running, 1, usage="{}"),
    "end": lambda store, waiting, running: append(store, running, 1, name="complete", usage="{}"),
    "cancel a waiting job": lambda store, waiting, running: store.cancel(waiting),
    "cancel a running job": lambda store, waiting, running: store.cancel(running),
    "release": lambda store, waiting, running: store.release(running, 1, "w1"),
    "requeue": lambda store, waiting, running: requeue_lapsed(store, running),
}


@pytest.mark.parametrize("step", STEPS)
def test_in_a_redis_without_memory_a_step_is_done_whole_or_not_at_all(store: JobStore, redis: Redis, step: str) -> None:
    waiting, running = new_job(store), new_job(store)
    started(store, running, "w1")
    redis.lrem(store.queue.key, 0, running)
    lapse(store, running)
    before = everything(redis)
    redis.config_set("maxmemory", 1)
    try:
        STEPS[step](store, waiting, running)
        is_done = True
    except ResponseError as error:
        assert is_outage(error)
        is_done = False
    finally:
        redis.config_set("maxmemory", 0)
    assert (everything(redis) != before) is is_done
    if not is_done:
        STEPS[step](store, waiting, running)
    after = everything(redis)
    assert after != before
    for job_id in (waiting, running):
        status, log = status_of(store, job_id), log_of(store, job_id)
        assert status.is_final is (bool(log) and log[-1][1] in FINALS)
    queued = set(queue_of(store))
    assert {redis.exists(keys.record(job_id)) for job_id in queued} <= {1}
    assert {redis.exists(store.queue.rq_key(job_id)) for job_id in queued} <= {1}


def test_thirty_creates_at_once_make_exactly_as_many_jobs_as_allowed(store: JobStore) -> None:
    limits = CreateLimits(10, 1000)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, None, limits)] * 30)
    made = [outcome for outcome in outcomes if isinstance(outcome, Created)]
    assert len(made) == 10 and sorted(outcome.remaining for outcome in made) == list(range(10))
    assert all(0 < outcome.retry_after_ms <= 60_000 for outcome in outcomes if isinstance(outcome, RateLimited))
    assert len(queue_of(store)) == 10
    assert isinstance(store.create("bob", INPUT, None, limits), Created)


def test_the_limit_slides(store: JobStore, redis: Redis) -> None:
    limits, creates = CreateLimits(3, 1000), keys.creates("alice")
    for age_ms in (50_000, 30_000, 10_000):
        job_id = created(store, limits=limits).job_id
        redis.zincrby(creates, -age_ms, job_id)
    refused = store.create("alice", INPUT, None, limits)
    assert isinstance(refused, RateLimited) and refused.retry_after_ms == about(10_000)
    oldest: Any = redis.zrange(creates, 0, 0)[0]
    redis.zincrby(creates, -10_000, oldest)
    again = created(store, limits=limits)
    assert again.remaining == 0 and again.reset_ms == about(30_000)
    assert isinstance(store.create("alice", INPUT, None, limits), RateLimited)


def test_at_most_so_many_wait(store: JobStore) -> None:
    limits = CreateLimits(1000, 3)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, None, limits)] * 8)
    assert sum(isinstance(outcome, Created) for outcome in outcomes) == len(queue_of(store)) == 3
    assert sum(isinstance(outcome, QueueFull) for outcome in outcomes) == 5


def test_eight_at_once_with_one_key_make_one_job(store: JobStore, redis: Redis) -> None:
    limits = CreateLimits(1, 1)
    outcomes = at_once(*[lambda: store.create("alice", INPUT, "key", limits)] * 8)
    assert sum(isinstance(outcome, Created) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Replayed) for outcome in outcomes) == 7
    assert len({outcome.job_id for outcome in outcomes if isinstance(outcome, (Created, Replayed))}) == 1
    assert len(queue_of(store)) == 1 and redis.zcard(keys.creates("alice")) == 1


def test_two_bodies_at_once_with_one_key_make_one_job(store: JobStore) -> None:
    for i in range(ROUNDS):
        outcomes = at_once(
            partial(store.create, "alice", INPUT, f"key {i}", LIMITS),
            partial(store.create, "alice", OTHER_INPUT, f"key {i}", LIMITS),
        )
        assert {type(outcome) for outcome in outcomes} == {Created, KeyReused}


def test_a_replay_tells_how_the_job_stands_and_costs_nothing(store: JobStore, redis: Redis) -> None:
    limits = CreateLimits(1, 1)
    first = created(store, key="key", limits=limits)
    store.cancel(first.job_id)
    before = everything(redis)
    for _ in range(3):
        outcome = store.create("alice", INPUT, "key", limits)
        assert outcome == Replayed(first.job_id, JobStatus.CANCELLED, first.created_at)
    assert everything(redis) == before


def test_a_key_is_the_users_own_and_lives_as_long_as_the_job(store: JobStore, redis: Redis) -> None:
    first = created(store, key="key")
    assert created(store, "bob", key="key", job=OTHER_INPUT).job_id != first.job_id
    assert redis.pttl(keys.idempotency("alice", "key")) > 0
    assert redis.pttl(keys.idempotency("alice", "key")) > redis.pttl(keys.record(first.job_id))
    redis.delete(keys.record(first.job_id), keys.log(first.job_id))
    assert created(store, key="key", job=OTHER_INPUT).job_id != first.job_id


# Starting


def test_a_start_is_an_attempt_with_a_lease_and_a_new_life(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    redis.pexpire(keys.record(job_id), 1000)
    attempt = started(store, job_id)
    assert attempt == Attempt(job_id, 1, None, 0, "alice", INPUT, TokenUsage())
    assert status_of(store, job_id) is JobStatus.IN_PROGRESS
    seconds, _ = redis.time()
    assert float(lease_of(store, job_id)) == about(seconds * 1000 + job_store.LEASE_MS)
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS)


def test_a_start_that_is_sent_again_is_the_same_attempt(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    take(store)
    first = started(store, job_id)
    assert started(store, job_id) == first
    assert requeue_lapsed(store, job_id) == "requeued"
    second = started(store, job_id, "w2")
    assert (second.number, second.cause, second.failures) == (2, Cause.WORKER_LOST, 1)
    assert started(store, job_id, "w2") == second


@pytest.mark.parametrize("is_known", [True, False])
def test_a_start_takes_what_rq_has_to_know_along(store: JobStore, redis: Redis, *, is_known: bool) -> None:
    job_id = new_job(store)
    redis.script_flush()
    if is_known:
        redis.script_load(script("start").text)
    books = redis.pipeline()
    books.set("rq:book", "written")
    attempt = store.start(job_id, "w1", f"{job_id}:1", books)
    assert isinstance(attempt, Attempt) and attempt.number == 1
    assert redis.get("rq:book") == b"written"


def test_a_start_says_why_there_is_none(store: JobStore) -> None:
    job_id = running_job(store)
    assert store.start("00000000-0000-4000-8000-000000000000", "w1", "x:y") == "gone"
    assert store.start(job_id, "w2", f"{job_id}:w2") == "taken"
    assert store.start(job_id, "w1", f"{job_id}:another") == "taken"
    append(store, job_id, 1, name="complete")
    assert store.start(job_id, "w2", f"{job_id}:w2") == "ended"
    assert [name for _, name in log_of(store, job_id)] == ["complete"]


def test_of_many_that_start_a_job_one_does(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = new_job(store)
        outcomes = at_once(*[partial(store.start, job_id, f"w{w}", f"{job_id}:{w}") for w in range(6)])
        assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["Attempt"] + ["str"] * 5
        assert {outcome for outcome in outcomes if isinstance(outcome, str)} == {"taken"}
        assert field(store, job_id, "attempt") == "1"


def test_a_start_and_a_cancel_at_once_agree(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = new_job(store)
        calls: list[Callable[[], object]] = [
            partial(store.start, job_id, "w1", f"{job_id}:1"),
            partial(store.cancel, job_id),
        ]
        attempt, asked = at_once(*calls)
        if isinstance(attempt, Attempt):
            assert asked == CancelAsked("w1") and store.renew("w1", {job_id: 1}) == {job_id: "cancel"}
            assert status_of(store, job_id) is JobStatus.IN_PROGRESS and log_of(store, job_id) == []
        else:
            assert (attempt, asked) == ("ended", None)
            assert status_of(store, job_id) is JobStatus.CANCELLED
            assert log_of(store, job_id) == [("0-1", "cancelled")] and lease_of(store, job_id) == ""


def test_a_lapsed_lease_is_a_failure_and_the_next_attempt_says_so(store: JobStore) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started", usage=TokenUsage(input_tokens=7, total_tokens=7).model_dump_json())
    lapse(store, job_id)
    attempt = started(store, job_id, "w2")
    assert (attempt.number, attempt.cause, attempt.failures) == (2, Cause.WORKER_LOST, 1)
    assert attempt.usage.input_tokens == 7


def _lose_by_start(store: JobStore, job_id: str) -> None:
    lapse(store, job_id)
    store.start(job_id, "next", f"{job_id}:{field(store, job_id, 'attempt')}")


def _lose_by_sweep(store: JobStore, job_id: str) -> None:
    if requeue_lapsed(store, job_id) == "requeued":
        assert take(store) == job_id
        started(store, job_id, "next", f"{job_id}:{field(store, job_id, 'attempt')}")


@pytest.mark.parametrize("lose", [_lose_by_start, _lose_by_sweep])
@pytest.mark.parametrize("most", [1, 3])
def test_a_job_whose_last_attempt_loses_its_worker_fails(
    make: Make, redis: Redis, lose: Callable[[JobStore, str], None], most: int
) -> None:
    store = make(max_attempts=most)
    job_id = running_job(store)
    for number in range(1, most + 1):
        assert (status_of(store, job_id), field(store, job_id, "attempt")) == (JobStatus.IN_PROGRESS, str(number))
        append(store, job_id, 1, attempt=number, name="started")
        lose(store, job_id)
    assert status_of(store, job_id) is JobStatus.FAILED
    assert log_of(store, job_id)[-1] == (f"{most}-2", "error")
    data = final_data(store, job_id)
    assert (data["code"], data["retryable"]) == ("WORKER_LOST", True) and data["message"] and data["timestamp"]
    assert redis.pttl(keys.record(job_id)) == about(FAILED_MS) and redis.pttl(keys.log(job_id)) == about(FAILED_MS)
    assert lease_of(store, job_id) == "" and job_id not in queue_of(store)


def test_drains_are_no_failures_but_there_are_ten_attempts_at_most(make: Make) -> None:
    store = make(max_attempts=1)
    job_id = new_job(store)
    for number in range(1, 11):
        attempt = started(store, job_id, "w", f"{job_id}:{number}")
        assert (attempt.number, attempt.failures) == (number, 0)
        assert attempt.cause is (None if number == 1 else Cause.DRAIN)
        assert store.release(job_id, number, "w")
    assert store.start(job_id, "w", f"{job_id}:11") == "ended"
    assert status_of(store, job_id) is JobStatus.FAILED and len(log_of(store, job_id)) == 1


# Trying again in place


def test_another_attempt_in_place_counts_a_failure_and_keeps_the_lease(store: JobStore, redis: Redis) -> None:
    job_id = new_job(store)
    attempt, lease = started(store, job_id), lease_of(store, job_id)
    append(store, job_id, 1, name="started")
    redis.pexpire(keys.record(job_id), 1000)
    redis.pexpire(keys.log(job_id), 1000)
    assert store.start_again(attempt, "w1") == (2, 1) == store.start_again(attempt, "w1")
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS) and redis.pttl(keys.log(job_id)) == about(TTL_MS)
    assert lease_of(store, job_id) == lease
    assert store.renew("w1", {job_id: 2}) == {job_id: "ok"} and append(store, job_id, 2) == "lost"
    assert append(store, job_id, 1, attempt=2, name="started") == "ok"


def test_another_attempt_in_place_is_refused_when_the_failures_are_used_up_or_the_job_is_elsewhere(
    make: Make,
) -> None:
    store = make(max_attempts=2)
    job_id = new_job(store)
    first = started(store, job_id)
    assert store.start_again(first, "another") == (-1, 0)
    assert store.start_again(first, "w1") == (2, 1)
    second = Attempt(job_id, 2, Cause.MODEL_ERROR, 1, "alice", INPUT, TokenUsage())
    assert store.start_again(second, "w1") == (0, 2) == store.start_again(second, "w1")
    append(store, job_id, 1, attempt=2, name="error")
    assert store.start_again(second, "w1") == (-1, 0)


def test_failures_of_all_kinds_are_counted_together(make: Make) -> None:
    store = make(max_attempts=3)
    job_id = new_job(store)
    take(store)
    assert store.start_again(started(store, job_id), "w1") == (2, 1)
    assert requeue_lapsed(store, job_id) == "requeued"
    third = started(store, job_id, "w2")
    assert (third.number, third.cause, third.failures) == (3, Cause.WORKER_LOST, 2)
    assert store.start_again(third, "w2")[0] == 0


# Appending


def test_an_event_is_logged_and_published_in_one_and_gives_the_job_a_new_life(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(keys.channel(job_id))
        assert listener.get_message(timeout=1) is None
        redis.pexpire(keys.record(job_id), 1000)
        assert append(store, job_id, 1, data='{"a": "ü b"}'.encode()) == "ok"
        message = listener.get_message(timeout=1)
        assert message and message["data"] == '1-1 delta {"a": "ü b"}'.encode()
        assert append(store, job_id, 1, data='{"a": "ü b"}'.encode()) == "ok"  # sent again
        assert listener.get_message(timeout=0.05) is None
    assert redis.pttl(keys.record(job_id)) == about(TTL_MS) and redis.pttl(keys.log(job_id)) == about(TTL_MS)
    seen = store.read(job_id)
    assert seen and [entry.data for entry in seen.entries] == ['{"a": "ü b"}'.encode()]


def test_a_hole_or_a_different_event_in_the_same_place_is_lost(store: JobStore) -> None:
    job_id = running_job(store)
    assert append(store, job_id, 2) == "lost"
    assert append(store, job_id, 1) == "ok"
    assert append(store, job_id, 3) == "lost"
    assert append(store, job_id, 1, data=b"{}") == append(store, job_id, 1, name="tool") == "lost"
    assert append(store, job_id, 2) == append(store, job_id, 2) == append(store, job_id, 1) == "ok"
    assert log_of(store, job_id) == [("1-1", "delta"), ("1-2", "delta")]


def test_a_worker_that_was_replaced_cannot_write_a_byte(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    assert requeue_lapsed(store, job_id) == "requeued"
    started(store, job_id, "w2")
    before = everything(redis)
    assert append(store, job_id, 2) == append(store, job_id, 2, name="complete", usage="{}") == "lost"
    assert append(store, job_id, 1) == append(store, job_id, 1, attempt=3) == append(store, job_id, 1, attempt=0)
    assert not store.release(job_id, 1, "w1") and store.renew("w1", {job_id: 1}) == {job_id: "lost"}
    redis.delete(keys.WORKERS)
    assert everything(redis) == before
    assert append(store, job_id, 1, attempt=2) == "ok"
    assert append(store, job_id, 2) == "lost"


def test_nothing_is_written_after_the_end_and_the_end_can_be_sent_again(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    usage = TokenUsage(output_tokens=9, total_tokens=9).model_dump_json()
    assert append(store, job_id, 1, name="complete", usage=usage) == "ok"
    assert (status_of(store, job_id), lease_of(store, job_id)) == (JobStatus.COMPLETED, "")
    assert (field(store, job_id, "holder"), field(store, job_id, "usage")) == ("", usage)
    before = everything(redis)
    assert append(store, job_id, 1, name="complete", usage=usage) == "ok"
    assert append(store, job_id, 2) == append(store, job_id, 2, name="error") == "lost"
    assert everything(redis) == before


def test_a_job_that_has_expired_is_not_revived(store: JobStore, redis: Redis) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    redis.delete(keys.record(job_id))
    redis.delete(keys.log(job_id))
    attempt = Attempt(job_id, 1, None, 0, "alice", INPUT, TokenUsage())
    assert append(store, job_id, 2) == append(store, job_id, 1) == append(store, job_id, 2, name="complete") == "lost"
    assert not store.release(job_id, 1, "w1") and store.start_again(attempt, "w1")[0] == -1
    assert store.cancel(job_id) is None and store.start(job_id, "w1", "x:y") == "gone"
    assert store.renew("w1", {job_id: 1}) == {job_id: "lost"}
    assert list(redis.scan_iter("suggestion:*")) == []


def test_of_two_different_ends_one_is_written(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        answers = at_once(
            partial(append, store, job_id, 1, name="complete"), partial(append, store, job_id, 1, name="error")
        )
        assert sorted(answers) == ["lost", "ok"]
        [(_, name)] = log_of(store, job_id)
        assert name == ("complete" if answers[0] == "ok" else "error")
        assert status_of(store, job_id).value == FINALS[name]


def test_a_cancel_and_an_end_at_once_leave_one_end(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        calls: list[Callable[[], object]] = [
            partial(append, store, job_id, 1, name="complete"),
            partial(store.cancel, job_id),
        ]
        answer, asked = at_once(*calls)
        assert log_of(store, job_id) == [("1-1", "complete")] and status_of(store, job_id) is JobStatus.COMPLETED
        assert (answer, asked) in [("ok", None), ("cancel", CancelAsked("w1"))]


def test_two_that_send_the_same_event_at_once_write_it_once(store: JobStore) -> None:
    job_id = running_job(store)
    for sequence in range(1, ROUNDS):
        assert at_once(*[partial(append, store, job_id, sequence)] * 4) == ["ok"] * 4
    assert len(log_of(store, job_id)) == ROUNDS - 1


@pytest.mark.parametrize(
    ("name", "retention_seconds", "life_ms"),
    [
        ("complete", 500, COMPLETED_MS),
        ("cancelled", 500, COMPLETED_MS),
        ("error", 500, FAILED_MS),
        ("complete", 0, job_store.UNWATCHED_RETENTION_MS),
        ("cancelled", 0, job_store.UNWATCHED_RETENTION_MS),
    ],
)
def test_an_ended_job_is_kept_as_long_as_the_contract_says(
    redis: Redis, api_settings: ApiSettingsFactory, name: str, retention_seconds: int, life_ms: int
) -> None:
    store = JobStore(redis, api_settings(completed_retention_seconds=retention_seconds))
    job_id = running_job(store)
    append(store, job_id, 1)
    append(store, job_id, 2, name=name)
    assert redis.pttl(keys.record(job_id)) == about(life_ms) and redis.pttl(keys.log(job_id)) == about(life_ms)


# Cancelling


def test_a_waiting_job_is_cancelled_at_once_and_leaves_the_queue(store: JobStore, redis: Redis) -> None:
    other, job_id = new_job(store), new_job(store)
    assert store.cancel(job_id) is None is store.cancel(job_id)
    assert log_of(store, job_id) == [("0-1", "cancelled")] and status_of(store, job_id) is JobStatus.CANCELLED
    assert final_data(store, job_id)["tokenUsage"] == TokenUsage().model_dump()
    assert queue_of(store) == [other] and not redis.exists(store.queue.rq_key(job_id))
    assert redis.pttl(keys.record(job_id)) == about(COMPLETED_MS) and redis.pttl(keys.log(job_id)) == about(
        COMPLETED_MS
    )


def test_a_running_job_is_asked_to_stop_until_it_has(store: JobStore) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started")
    assert store.cancel(job_id) == CancelAsked("w1") == store.cancel(job_id)
    assert append(store, job_id, 2) == "cancel" and store.renew("w1", {job_id: 1}) == {job_id: "cancel"}
    assert status_of(store, job_id) is JobStatus.IN_PROGRESS
    assert append(store, job_id, 3, name="cancelled") == "cancel"
    assert status_of(store, job_id) is JobStatus.CANCELLED and store.cancel(job_id) is None


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_with_what_it_has_cost(store: JobStore) -> None:
    job_id, usage = running_job(store), TokenUsage(input_tokens=5, total_tokens=5)
    append(store, job_id, 1, name="started")
    append(store, job_id, 2, usage=usage.model_dump_json())
    assert store.release(job_id, 1, "w1")
    assert store.cancel(job_id) is None
    assert log_of(store, job_id)[-1] == ("1-3", "cancelled")
    assert TokenUsage.model_validate(final_data(store, job_id)["tokenUsage"]) == usage


@pytest.mark.parametrize("by", ["start", "sweep", "release"])
def test_a_cancel_whose_worker_is_lost_or_drains_is_carried_out_by_whoever_comes_next(store: JobStore, by: str) -> None:
    job_id = running_job(store)
    append(store, job_id, 1, name="started")
    assert store.cancel(job_id) == CancelAsked("w1")
    if by == "start":
        lapse(store, job_id)
        assert store.start(job_id, "w2", f"{job_id}:w2") == "ended"
    elif by == "sweep":
        assert requeue_lapsed(store, job_id) == "cancelled"
    else:
        assert not store.release(job_id, 1, "w1")
    assert log_of(store, job_id) == [("1-1", "started"), ("1-2", "cancelled")]
    assert status_of(store, job_id) is JobStatus.CANCELLED and queue_of(store) == []


# Giving back, and leases


def test_a_release_is_the_same_when_sent_again_and_no_failure(store: JobStore) -> None:
    job_id = running_job(store)
    assert not store.release(job_id, 1, "another")
    assert not store.release(job_id, 2, "w1")
    assert store.release(job_id, 1, "w1") and store.release(job_id, 1, "w1")
    assert lease_of(store, job_id) == "" and status_of(store, job_id) is JobStatus.IN_PROGRESS
    attempt = started(store, job_id, "w2")
    assert (attempt.number, attempt.cause, attempt.failures) == (2, Cause.DRAIN, 0)
    assert not store.release(job_id, 1, "w1")
    assert field(store, job_id, "holder") == "w2"


def test_a_renewal_answers_for_each_job(store: JobStore, redis: Redis) -> None:
    mine, cancelled, taken, ended = (running_job(store) for _ in range(4))
    store.cancel(cancelled)
    requeue_lapsed(store, taken)
    started(store, taken, "w2")
    append(store, ended, 1, name="complete")
    lapse(store, mine)
    answers = store.renew("w1", {mine: 1, cancelled: 1, taken: 1, ended: 1, "gone": 1})
    assert answers == {mine: "ok", cancelled: "cancel", taken: "lost", ended: "lost", "gone": "lost"}
    seconds, _ = redis.time()
    assert float(lease_of(store, mine)) == about(seconds * 1000 + job_store.LEASE_MS)
    assert redis.zscore(keys.WORKERS, "w1") == about(seconds * 1000)
    assert store.renew("w1", {mine: 2}) == {mine: "lost"} and store.renew("w2", {}) == {}
    assert redis.zcard(keys.WORKERS) == 2


def test_a_renewal_and_a_requeue_at_once_do_not_both_win(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        lapse(store, job_id)
        lease = lease_of(store, job_id)
        calls: list[Callable[[], object]] = [
            partial(store.renew, "w1", {job_id: 1}),
            partial(store.requeue, job_id, lease, ""),
        ]
        renewed, requeued = at_once(*calls)
        assert (renewed, requeued) in [({job_id: "ok"}, "alive"), ({job_id: "lost"}, "requeued")]
        assert (job_id in queue_of(store)) is (requeued == "requeued")
        store.redis.delete(store.queue.key)


def test_of_many_that_requeue_a_job_one_does(store: JobStore) -> None:
    for _ in range(ROUNDS):
        job_id = running_job(store)
        lapse(store, job_id)
        lease = lease_of(store, job_id)
        outcomes = at_once(*[partial(store.requeue, job_id, lease, "")] * 4)
        assert outcomes.count("requeued") == 1
        assert queue_of(store).count(job_id) == 1 and field(store, job_id, "failures") == "1"
        store.redis.delete(store.queue.key)


# Sweeping


def test_a_job_is_abandoned_only_when_two_looks_agree(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == []
    store.renew("w1", {job_id: 1})  # it was Redis that stood still
    sweeper.sweep()
    lapse(store, job_id)
    sweeper.sweep()
    assert queue_of(store) == [] and field(store, job_id, "holder") == "w1"
    sweeper.sweep()
    assert queue_of(store) == [job_id]
    assert (field(store, job_id, "holder"), field(store, job_id, "failures")) == ("", "1")


def test_a_running_job_is_left_alone(store: JobStore, redis: Redis) -> None:
    running_job(store)
    before, sweeper = everything(redis), Sweeper(store)
    for _ in range(4):
        sweeper.sweep()
    assert everything(redis) == before


def test_a_requeued_job_goes_to_the_front_and_runs_as_rq_means_it(store: JobStore) -> None:
    job_id, sweeper = running_job(store), Sweeper(store)
    waiting = new_job(store)
    lapse(store, job_id)
    for _ in range(3):
        sweeper.sweep()
    assert queue_of(store) == [job_id, waiting]
    assert take(store) == job_id
    again = started(store, job_id, "w2", execute(store, job_id, "w2"))
    assert (again.number, again.cause) == (2, Cause.WORKER_LOST)


def test_a_job_whose_worker_died_right_after_taking_it_comes_back_without_a_failure(store: JobStore) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    assert take(store) == job_id
    sweeper.sweep()
    assert queue_of(store) == []
    sweeper.sweep()
    assert queue_of(store) == [job_id] and store.redis.llen(store.queue.intermediate_key) == 0
    assert field(store, job_id, "failures") == "0"
    assert started(store, job_id).cause is None


def test_a_job_whose_worker_died_before_its_start_comes_back_and_rq_forgets_the_execution(
    store: JobStore, redis: Redis
) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    take(store)
    execution = execute(store, job_id, "w1")
    for _ in range(2):
        sweeper.sweep()
    assert queue_of(store) == [job_id] and redis.zcard(store.queue.started_key) == 0
    assert not redis.exists(f"rq:execution:{execution}")
    assert started(store, job_id).number == 1


@pytest.mark.parametrize("where", ["queue", "intermediate", "started", "running"])
def test_an_expired_job_is_swept_from_wherever_it_stands(store: JobStore, redis: Redis, where: str) -> None:
    job_id, sweeper = new_job(store), Sweeper(store)
    if where != "queue":
        take(store)
    if where in ("started", "running"):
        execution = execute(store, job_id, "w1")
        if where == "running":
            started(store, job_id, "w1", execution)
            lapse(store, job_id)
    redis.delete(keys.record(job_id), keys.log(job_id))
    for _ in range(2):
        sweeper.sweep()
    left = {key for key in rq_keys(redis) if not key.startswith("rq:worker:")}
    assert left == set() and lease_of(store, job_id) == ""


@pytest.mark.parametrize("cancel", [False, True])
def test_a_job_that_ends_by_a_sweep_leaves_nothing_in_rq(make: Make, redis: Redis, cancel: bool) -> None:
    store = make(max_attempts=1)
    job_id, sweeper = running_job(store), Sweeper(store)
    if cancel:
        store.cancel(job_id)
    lapse(store, job_id)
    for _ in range(4):
        sweeper.sweep()
    assert status_of(store, job_id) is (JobStatus.CANCELLED if cancel else JobStatus.FAILED)
    assert {key for key in rq_keys(redis) if not key.startswith("rq:worker:")} == set()


def test_many_sweepers_at_once_bring_each_job_back_once(store: JobStore) -> None:
    jobs = {running_job(store) for _ in range(10)}
    lapse(store, *jobs)
    sweepers = [Sweeper(store) for _ in range(4)]
    for _ in range(3):
        at_once(*[sweeper.sweep for sweeper in sweepers])
    assert sorted(queue_of(store)) == sorted(jobs)
    assert {field(store, job_id, "failures") for job_id in jobs} == {"1"}


# Reading


def test_a_reader_gets_what_follows_its_cursor_in_the_current_attempt_else_all_of_it(store: JobStore) -> None:
    job_id = running_job(store)
    for sequence in (1, 2, 3):
        append(store, job_id, sequence)
    requeue_lapsed(store, job_id)
    started(store, job_id, "w2")
    for sequence in (1, 2):
        append(store, job_id, sequence, attempt=2)

    def read(cursor: EventId | None) -> list[str]:
        seen = store.read(job_id, cursor)
        assert seen is not None and seen.last_id == EventId(2, 2)
        return [str(entry.id) for entry in seen.entries]

    assert read(EventId(2, 1)) == ["2-2"] and read(EventId(2, 2)) == []
    for cursor in (None, EventId(1, 1), EventId(1, 3), EventId(2, 3), EventId(3, 1), EventId(999_999_999, 999_999_999)):
        assert read(cursor) == ["2-1", "2-2"]
    head = store.head(job_id)
    assert head is not None and head.entries == [] and head.last_id == EventId(2, 2)


def test_there_is_no_head_of_a_job_that_is_not_there(store: JobStore) -> None:
    assert store.head("00000000-0000-4000-8000-000000000000") is None


# Opening streams


def stream_request(job_id: str, cursor: EventId | None = None, *, user: str = "alice") -> StreamRequest:
    return StreamRequest(job_id, user, cursor)


def places_of(store: JobStore, user: str = "alice") -> int:
    return int(store.redis.zcard(keys.streams(user)))


@pytest.fixture
def admission(store: JobStore) -> Iterator[Admission]:
    admission = Admission(store.redis, streams_per_user=2)
    yield admission
    admission.stop()


def test_who_may_come_in_has_a_place_and_the_job_in_one_step(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    for sequence in (1, 2):
        append(store, job_id, sequence)
    first, second = stream_request(job_id, EventId(1, 1)), stream_request(job_id)
    whole, head = admission.enter(first, False), admission.enter(second, True)
    # The log is for all viewers of the feed, whatever this one has seen.
    assert [str(entry.id) for entry in whole.entries] == ["1-1", "1-2"]
    assert head.entries == [] and head.last_id == EventId(1, 2) and head.status is JobStatus.IN_PROGRESS
    assert places_of(store) == 2
    assert 0 < store.redis.pttl(keys.streams("alice")) <= LEASE_MS
    for each in (first, second, first):
        admission.leave(each)
    assert places_of(store) == 0


def test_a_stream_is_refused_for_the_first_reason_of_the_contract(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    taken = [stream_request(job_id), stream_request(job_id)]
    for each in taken:
        admission.enter(each, True)

    def refusal(stream_request: StreamRequest) -> type[Exception]:
        with pytest.raises(Refused) as refused:
            admission.enter(stream_request, False)
        admission.leave(stream_request)
        return refused.type

    assert refusal(stream_request("00000000-0000-4000-8000-000000000000")) is JobGone
    assert refusal(stream_request(job_id, user="bob")) is JobOfAnotherUser
    assert refusal(stream_request(job_id, EventId(1, 1))) is TooManyStreams
    append(store, job_id, 2, name="complete")
    assert refusal(stream_request(job_id, EventId(1, 2), user="bob")) is JobOfAnotherUser
    assert refusal(stream_request(job_id, EventId(1, 2))) is AlreadyComplete
    assert refusal(stream_request(job_id, EventId(1, 1))) is refusal(stream_request(job_id)) is TooManyStreams
    assert places_of(store) == 2 and places_of(store, "bob") == 0
    admission.leave(taken[0])
    admission.enter(stream_request(job_id), True)


def test_coming_in_again_because_the_answer_was_lost_takes_one_place(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    admission.enter(stream_request(job_id), True)
    second = stream_request(job_id)
    for _ in range(2):
        admission.enter(second, True)
    assert places_of(store) == 2


def test_a_place_whose_process_is_gone_lapses(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    seconds, _ = store.redis.time()
    store.redis.zadd(keys.streams("alice"), {"lost": seconds * 1000 - 1, "lost too": seconds * 1000 - 1})
    for _ in range(2):
        admission.enter(stream_request(job_id), True)
    assert places_of(store) == 2


@pytest.mark.parametrize("length", [199, 200, 201, 202, 450])
def test_a_long_log_is_read_whole_too(store: JobStore, length: int) -> None:
    job_id = running_job(store)
    for sequence in range(1, length + 1):
        append(store, job_id, sequence)
    for cursor in (None, EventId(1, 1), EventId(1, length - 1), EventId(1, length), EventId(1, length + 1)):
        seen = store.read(job_id, cursor)
        is_known = cursor is not None and cursor.sequence <= length
        first = cursor.sequence + 1 if cursor is not None and is_known else 1
        assert seen and [e.id for e in seen.entries] == [EventId(1, n) for n in range(first, length + 1)]
        assert {e.name for e in seen.entries} <= {"delta"} and seen.last_id == EventId(1, length)


@pytest.mark.parametrize("field", ["status", "input", "createdAt"])
def test_a_record_that_cannot_be_read_is_none_and_keeps_no_place(
    store: JobStore, admission: Admission, field: str
) -> None:
    job_id = running_job(store)
    store.redis.hset(keys.record(job_id), field, "?")
    unreadable = stream_request(job_id)
    with pytest.raises(JobGone):
        admission.enter(unreadable, True)
    admission.leave(unreadable)
    assert places_of(store) == 0

"""Tests what the queue and the concurrent worker rely on in rq 3.0, private parts included."""

import inspect
import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, cast
from unittest.mock import Mock

import pytest
import rq
from redis import Redis
from redis.client import Pipeline
from rq import Queue, SimpleWorker
from rq.command import parse_payload, send_command
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus, Retry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.timeouts import BaseDeathPenalty
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

from shared.state import keys
from shared.state.connections import connect
from shared.state.job_queue import FUNCTION, NO_TIMEOUT, JobQueue
from shared.state.job_store import MAX_STARTS
from shared.state.scripts import Argument
from tests.conftest import RedisServer, wait_until
from worker import jobs
from worker.jobs.concurrent_worker import ConcurrentWorker
from worker.jobs.job_context import Stop
from worker.jobs.job_runner import JobRunner
from worker.jobs.rq_bookkeeping import NoDeathPenalty
from worker.jobs.shutdown import Shutdown
from worker.jobs.slot import Slot

JOB_ID = "11111111-1111-4111-8111-111111111111"
OTHER_ID = "22222222-2222-4222-8222-222222222222"
OVERRIDDEN = (
    "execute_job",
    "_finalize_success",
    "_finalize_failure",
    "handle_execution_ended",
    "handle_job_success",
    "run_maintenance_tasks",
    "register_birth",
    "_pubsub_exception_handler",
    "handle_payload",
    "get_heartbeat_ttl",
    "heartbeat",
)
CALLED = (
    "subscribe",
    "teardown",
    "prepare_execution",
    "prepare_job_execution",
    "perform_job",
    "cleanup_execution",
    "set_state",
    "increment_successful_job_count",
    "increment_total_working_time",
)


class Runner:
    """Stands in for JobRunner: returns or raises what the test set, and records its calls."""

    def __init__(self) -> None:
        self.answers: list[Retry | Exception | None] = []
        self.is_lost = False
        self.ran: list[str] = []
        self.stopped: list[tuple[str, Stop]] = []
        self.running_count = self.held_count = 0

    def run(self, job_id: str, slot: Slot) -> Retry | None:
        self.ran.append(job_id)
        assert slot.execution.startswith(f"{job_id}:")
        slot.is_lost = self.is_lost
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self, job_id: str, reason: Stop) -> None:
        self.stopped.append((job_id, reason))


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, failure_ttl_seconds=3600)


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def rq_pool(redis_server: RedisServer) -> Iterator[Redis]:
    """Provides a pool of one connection, so that code which needs a second one while it holds the first fails."""
    with connect(redis_server.url, max_connections=1, timeout_seconds=0.2) as client:
        yield client


@pytest.fixture
def worker(queue: JobQueue, rq_pool: Redis, redis: Redis, runner: Runner) -> Iterator[ConcurrentWorker]:
    made = ConcurrentWorker(
        queue.queue,
        cast(JobRunner, runner),
        connection=rq_pool,
        lease_pool=redis,
        name="w1",
        settings_hash="settings",
        concurrency=2,
        drain_seconds=0,
        shutdown=Shutdown(),
    )
    made.register_birth()
    yield made
    made._threads.shutdown(wait=True)


def run_commands(redis: Redis, packed: list[Argument]) -> None:
    """Runs packed commands as `run_commands` in common.lua does."""
    place = 0
    while place < len(packed):
        length = int(packed[place])
        redis.execute_command(*cast(list[str], packed[place + 1 : place + 1 + length]))
        place += length + 1


def enqueue(redis: Redis, queue: JobQueue, job_id: str = JOB_ID, *, at_front: bool = False) -> None:
    run_commands(redis, queue.enqueue_commands(job_id, at_front=at_front))


def work_one(worker: ConcurrentWorker, redis: Redis) -> str | None:
    """Takes one job through the worker's own steps, in this thread. Returns its status in RQ afterwards."""
    job = worker._dequeue()
    assert job is not None
    worker._slots.acquire()
    worker._run_in_slot(job, worker.queues[0])
    return Job(job.id, connection=redis).get_status() if redis.exists(job.key) else None


def keys_of(redis: Redis) -> set[str]:
    return {key.decode() for key in redis.scan_iter("rq:*")} - {"rq:queues", "rq:workers"}


def test_the_installed_rq_is_the_version_that_the_worker_was_written_for() -> None:
    assert rq.__version__.startswith("3.0")


# The queue


def test_the_function_that_the_queue_names_is_the_workers() -> None:
    module, _, name = FUNCTION.rpartition(".")
    assert getattr(import_module(module), name) is jobs.suggest_features
    assert list(inspect.signature(jobs.suggest_features).parameters) == ["job_id"]


def test_a_stock_queue_reads_what_our_commands_enqueue(redis: Redis, queue: JobQueue) -> None:
    enqueue(redis, queue)
    stock = Queue(keys.QUEUE_NAME, connection=redis, serializer=JSONSerializer)
    assert stock.job_ids == [JOB_ID] and [listed.name for listed in Queue.all(redis)] == [keys.QUEUE_NAME]
    job = Job.fetch(JOB_ID, connection=redis, serializer=JSONSerializer)
    assert (job.func_name, job.func, list(job.args), job.kwargs) == (FUNCTION, jobs.suggest_features, [JOB_ID], {})
    assert (job.get_status(), job.origin) == (JobStatus.QUEUED, keys.QUEUE_NAME)
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (NO_TIMEOUT, 0, 3600)
    assert stock.key == queue.key and job.key == queue.rq_key(JOB_ID)


def test_our_commands_write_the_same_keys_as_rqs_own_enqueue(redis: Redis, queue: JobQueue) -> None:
    def left(made: Any) -> dict[bytes, Any]:
        redis.flushall()
        made()
        hashes = {key: redis.hgetall(key) for key in redis.scan_iter("rq:job:*")}
        for fields in hashes.values():
            for name in (b"created_at", b"enqueued_at"):
                assert fields.pop(name)
        lists = {queue.key.encode(): redis.lrange(queue.key, 0, -1), b"rq:queues": redis.smembers("rq:queues")}
        assert set(redis.keys()) == {*hashes, *lists}
        return {**hashes, **lists}

    def really() -> None:
        queue.queue.enqueue_call(
            FUNCTION,
            args=(JOB_ID,),
            job_id=JOB_ID,
            description=f"suggestions for job {JOB_ID}",
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=3600,
        )

    assert left(lambda: enqueue(redis, queue)) == left(really)


def test_the_jobs_data_is_json(redis: Redis, queue: JobQueue) -> None:
    import zlib

    enqueue(redis, queue)
    data: Any = redis.hget(queue.rq_key(JOB_ID), "data")
    assert json.loads(zlib.decompress(data))[0] == FUNCTION


def test_a_job_enqueued_at_the_front_comes_first(redis: Redis, queue: JobQueue) -> None:
    enqueue(redis, queue)
    enqueue(redis, queue, OTHER_ID, at_front=True)
    assert queue.queue.job_ids == [OTHER_ID, JOB_ID]


def test_preparing_the_commands_sends_nothing(redis: Redis, queue: JobQueue) -> None:
    before = redis.info("commandstats")
    queue.enqueue_commands(JOB_ID)
    queue.cleanup_commands(f"{JOB_ID}:abc")
    after = redis.info("commandstats")
    assert set(after) - set(before) <= {"cmdstat_info"}
    assert redis.keys() == []


def test_a_pipeline_shows_its_commands_and_not_the_transaction_around_them(redis: Redis) -> None:
    pipeline = redis.pipeline()
    pipeline.multi()
    pipeline.set("a", 1)
    assert isinstance(pipeline, Pipeline)
    assert [arguments for arguments, _ in pipeline.command_stack] == [("SET", "a", 1)]
    pipeline.reset()
    assert list(pipeline.command_stack) == []


def test_the_cleanup_commands_delete_all_keys_of_an_execution(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    enqueue(redis, queue)
    job = worker._dequeue()
    assert job is not None
    execution = worker.prepare_execution(job)
    assert redis.zrange(queue.started_key, 0, -1) == [execution.composite_key.encode()]
    assert redis.exists(execution.key) and ExecutionRegistry(JOB_ID, redis).get_execution_ids() == [execution.id]
    run_commands(redis, queue.cleanup_commands(execution.composite_key))
    assert not redis.exists(queue.started_key, execution.key)
    assert ExecutionRegistry(JOB_ID, redis).get_execution_ids() == []


def test_an_executions_key_consists_of_the_job_id_and_its_own_id() -> None:
    execution = Execution.from_composite_key(f"{JOB_ID}:abc", cast(Redis, None))
    assert (execution.job_id, execution.id, execution.composite_key) == (JOB_ID, "abc", f"{JOB_ID}:abc")


# Taking jobs


def test_one_queue_is_popped_by_way_of_the_intermediate_list(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    enqueue(redis, queue)
    job = worker._dequeue()
    assert job is not None and job.id == JOB_ID
    assert redis.lrange(queue.intermediate_key, 0, -1) == [JOB_ID.encode()]
    assert redis.lrange(queue.key, 0, -1) == []


def test_an_empty_queue_gives_no_job(worker: ConcurrentWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.jobs.concurrent_worker.DEQUEUE_SECONDS", 0.05)
    assert worker._dequeue() is None


def test_a_queue_entry_whose_job_was_deleted_is_skipped(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    enqueue(redis, queue)
    enqueue(redis, queue, OTHER_ID)
    redis.delete(queue.rq_key(JOB_ID))
    job = worker._dequeue()
    assert job is not None and job.id == OTHER_ID


# The worker


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_the_worker_overrides_is_there_with_the_same_parameters(name: str) -> None:
    theirs, ours = getattr(BaseWorker, name), getattr(ConcurrentWorker, name)
    assert theirs is not ours
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@pytest.mark.parametrize("name", CALLED)
def test_what_the_worker_calls_is_there_and_not_overridden(name: str) -> None:
    assert getattr(ConcurrentWorker, name) is getattr(BaseWorker, name)


def test_what_the_worker_reads_is_there(worker: ConcurrentWorker, queue: JobQueue) -> None:
    assert worker.executions == {} and worker._ordered_queues == [queue.queue]
    assert worker.should_run_maintenance_tasks is True
    assert {WorkerStatus.BUSY.value, WorkerStatus.IDLE.value} == {"busy", "idle"}
    assert worker.key == "rq:worker:w1" and worker.serializer is JSONSerializer
    assert BaseWorker.death_penalty_class is not NoDeathPenalty is ConcurrentWorker.death_penalty_class


def test_rq_sets_no_time_out_of_its_own(worker: ConcurrentWorker) -> None:
    abstract = {name for name in vars(BaseDeathPenalty) if name.endswith("_death_penalty")}
    assert abstract == {"setup_death_penalty", "cancel_death_penalty"}
    before = signal.getsignal(signal.SIGALRM)
    with worker.death_penalty_class(1, TimeoutError):
        assert signal.getsignal(signal.SIGALRM) is before


def test_rq_calls_what_the_worker_overrides() -> None:
    body = inspect.getsource(BaseWorker.perform_job)
    assert "self._finalize_success(job, queue, execution, return_value)" in body
    assert "self._finalize_failure(job, queue, execution, sys.exc_info())" in body
    assert "self._set_ip_address(connection)" in inspect.getsource(BaseWorker.__init__)
    assert "self._pubsub_exception_handler" in inspect.getsource(BaseWorker.subscribe)


def test_a_job_that_is_done_leaves_nothing_in_rq(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    assert work_one(worker, redis) is None
    assert runner.ran == [JOB_ID] and worker.executions == {}
    assert {key for key in keys_of(redis) if JOB_ID in key or key.startswith(("rq:wip", "rq:queue:"))} == set()
    assert not any(key.startswith(("rq:finished", "rq:failed", "rq:results")) for key in keys_of(redis))


def test_the_bookkeeping_of_a_job_takes_three_steps_and_one_connection(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, rq_pool: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(redis, queue)
    pool = rq_pool.connection_pool
    take = Mock(wraps=pool.get_connection)
    monkeypatch.setattr(pool, "get_connection", take)
    assert work_one(worker, redis) is None
    assert take.call_count == 3


def test_a_worker_takes_no_more_jobs_while_a_quarter_of_its_slots_wait_for_the_provider(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    runner.held_count = max(1, worker._concurrency // 4)
    worker._take_one()
    assert queue.queue.job_ids == [JOB_ID]
    runner.held_count -= 1
    worker._take_one()
    wait_until(lambda: runner.ran == [JOB_ID])


def test_a_suspended_worker_takes_nothing_until_it_is_resumed(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWAY_SECONDS", "SUSPENSION_SECONDS"):
        monkeypatch.setattr(f"worker.jobs.concurrent_worker.{name}", 0.0)
    enqueue(redis, queue)
    suspend(redis)
    worker._take_one()
    assert queue.queue.job_ids == [JOB_ID] and worker._slots.acquire(blocking=False)
    worker._slots.release()
    resume(redis)
    worker._take_one()
    wait_until(lambda: runner.ran == [JOB_ID])


def test_a_job_that_is_done_leaves_what_it_would_leave_with_a_stock_worker(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    def left(kind: type[BaseWorker]) -> tuple[set[str], dict[Any, Any]]:
        redis.flushall()
        worker.register_birth()
        birth = redis.hgetall(worker.key)
        enqueue(redis, queue)
        job = worker._dequeue()
        assert job is not None
        execution = worker.prepare_execution(job)
        BaseWorker.prepare_job_execution(worker, job, remove_from_intermediate_queue=True)
        job.connection = worker.connection = redis  # a stock worker needs more than one connection
        job.ended_at = cast(datetime, job.started_at) + timedelta(seconds=3)
        registry = queue.queue.started_job_registry
        kind.handle_job_success(worker, job, queue.queue, registry, execution)
        assert worker.executions == {}
        counted = {name: value for name, value in redis.hgetall(worker.key).items() if name not in birth}
        return keys_of(redis), counted

    expected = {b"successful_job_count": b"1", b"total_working_time": b"3"}
    assert left(ConcurrentWorker) == left(BaseWorker) == ({"rq:worker:w1", "rq:workers:suggestions"}, expected)


def test_a_workers_heartbeat_does_not_wait_for_the_connection_of_the_bookkeeping(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, rq_pool: Redis
) -> None:
    enqueue(redis, queue)
    held = rq_pool.connection_pool.get_connection()
    job = worker._dequeue()
    assert job is not None and job.connection is rq_pool
    worker.show_presence()
    rq_pool.connection_pool.release(held)


def test_rq_leaves_the_time_outs_of_the_sockets_alone(worker: ConcurrentWorker, rq_pool: Redis) -> None:
    assert worker.connection is rq_pool
    assert rq_pool.connection_pool.connection_kwargs["socket_timeout"] == 0.2


def test_while_a_job_runs_rq_shows_it(redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner) -> None:
    enqueue(redis, queue)
    shown: list[object] = []

    def run(job_id: str, slot: Slot) -> None:
        job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
        shown.extend((job.get_status(), queue.queue.started_job_registry.get_job_ids(), len(worker.executions)))
        shown.append(redis.zrange(queue.started_key, 0, -1) == [slot.execution.encode()])
        shown.append(redis.exists(queue.intermediate_key))
        [stock] = SimpleWorker.all(redis)
        shown.extend((stock.name, stock.get_state()))

    runner.run = run  # type: ignore[method-assign]
    work_one(worker, redis)
    assert shown == [JobStatus.STARTED, [JOB_ID], 1, True, 0, "w1", "busy"]


def test_a_job_that_is_given_back_returns_to_the_front_every_time(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    for _ in range(MAX_STARTS):
        enqueue(redis, queue, OTHER_ID)
        runner.answers = [Retry(max=MAX_STARTS, enqueue_at_front=True)]
        assert queue.queue.job_ids[0] == JOB_ID
        assert work_one(worker, redis) == JobStatus.QUEUED
        assert queue.queue.job_ids == [JOB_ID, OTHER_ID]
        assert not redis.exists(queue.started_key, queue.intermediate_key)
        redis.lrem(queue.key, 0, OTHER_ID)


def test_a_lost_job_is_left_to_the_worker_that_runs_it_now(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    runner.is_lost = True
    assert work_one(worker, redis) == JobStatus.STARTED
    assert redis.exists(queue.rq_key(JOB_ID)) and worker.executions == {}
    assert not redis.exists(queue.started_key)


def test_a_job_that_raises_is_left_to_the_sweep(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    runner.answers = [RuntimeError("a mistake of ours")]
    assert work_one(worker, redis) == JobStatus.STARTED
    assert worker.executions == {} and redis.zcard(queue.started_key) == 1
    assert queue.queue.failed_job_registry.get_job_ids() == []


def test_an_execution_expires_later_than_any_job_and_a_worker_after_missed_heartbeats(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    enqueue(redis, queue)
    job = worker._dequeue()
    assert job is not None
    execution = worker.prepare_execution(job)
    assert 7100 < redis.ttl(execution.key) <= 7200
    worker.maintain_heartbeats(job, execution)
    assert 50 < redis.ttl(worker.key) <= 60
    redis.delete(worker.key)
    worker.show_presence()
    assert [stock.name for stock in SimpleWorker.all(redis)] == ["w1"]
    assert SimpleWorker.all(redis)[0].get_state() == "busy" and 50 < redis.ttl(worker.key) <= 60


def test_a_stop_command_reaches_the_job_it_names(redis: Redis, worker: ConcurrentWorker, runner: Runner) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(worker.pubsub_channel_name)
        assert listener.get_message(timeout=1) is None
        send_command(redis, "w1", "stop-job", job_id=JOB_ID)
        message = listener.get_message(timeout=1)
    assert message is not None
    assert parse_payload(message)["job_id"] == JOB_ID
    worker.handle_payload(message)
    assert runner.stopped == [(JOB_ID, Stop.CANCEL)]


@pytest.mark.parametrize("data", [b"{}", b"[]", b"\xff", b"1", b'{"command": "shutdown"}', b'{"command": "stop-job"}'])
def test_no_other_command_does_anything(
    worker: ConcurrentWorker, runner: Runner, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    worker.handle_payload({"data": data})
    assert runner.stopped == [] and not worker._shutdown_request.is_asked and len(caplog.records) == 1


def test_the_listener_survives_any_error_and_pauses_after_it_even_while_the_worker_stops(
    worker: ConcurrentWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.jobs.rq_bookkeeping.AWAY_SECONDS", 0.05)
    worker._shutdown_request.ask()
    for error in (TimeoutError(), ConnectionError(), ValueError()):
        began = time.monotonic()
        worker._pubsub_exception_handler(error, None, None)
        assert time.monotonic() - began >= 0.05


# Entries that are not ours


def forge(redis: Redis, queue: JobQueue, data: object, **fields: str) -> None:
    """Writes a queue entry as someone with write access to Redis might forge it."""
    enqueue(redis, queue)
    if data is not None:
        redis.hset(queue.rq_key(JOB_ID), "data", json.dumps(data))
    if fields:
        redis.hset(queue.rq_key(JOB_ID), mapping=cast(Any, fields))


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (["os.system", None, ["true"], {}], {}),
        ([FUNCTION, None, [OTHER_ID], {}], {}),
        ([FUNCTION, None, [JOB_ID, 1], {}], {}),
        ([FUNCTION, None, [], {"job_id": JOB_ID}], {}),
        ([FUNCTION, "os", [JOB_ID], {}], {}),
        ([FUNCTION, None, None, {}], {}),
        ("no list", {}),
        (["x" * 5_000], {}),  # too long to be unpacked
        *((None, {"meta": meta}) for meta in ("[1]", "7", '"x"')),
        (None, {"success_callback_name": "os.getcwd"}),
        (None, {"failure_callback_name": "os.getcwd"}),
        (None, {"stopped_callback_name": "os.getcwd"}),
        (None, {"webhooks": json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "finished"}])}),
        (None, {"origin": "another"}),
        (None, {"enqueued_at": "not a date"}),
        (None, {"timeout": "soon"}),
    ],
)
def test_an_entry_that_is_not_ours_is_not_run_and_the_next_one_is(
    redis: Redis,
    queue: JobQueue,
    worker: ConcurrentWorker,
    runner: Runner,
    data: object,
    fields: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    forge(redis, queue, data, **fields)
    enqueue(redis, queue, OTHER_ID)
    worker._take_one()
    assert runner.ran == [] and not redis.exists(queue.rq_key(JOB_ID))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert work_one(worker, redis) is None and runner.ran == [OTHER_ID]


@pytest.mark.parametrize("name", [b"\xff\xfe", b"not-an-id", b"a:b"])
def test_an_entry_whose_name_is_no_job_is_not_run(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner, name: bytes
) -> None:
    redis.rpush(queue.key, name)
    redis.hset(b"rq:job:" + name, "data", "[]")
    enqueue(redis, queue, OTHER_ID)
    # RQ skips some such names by itself and takes the next entry in the same step, so the number of steps varies.
    while redis.llen(queue.key):
        worker._take_one()
    wait_until(lambda: runner.ran == [OTHER_ID])


def test_a_job_key_of_another_type_does_not_stop_the_worker(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker, runner: Runner
) -> None:
    enqueue(redis, queue)
    enqueue(redis, queue, OTHER_ID)
    redis.delete(queue.rq_key(JOB_ID))
    redis.set(queue.rq_key(JOB_ID), "x")
    worker._take_one()
    assert runner.ran == [] and work_one(worker, redis) is None and runner.ran == [OTHER_ID]


def test_a_worker_whose_registration_was_partly_lost_is_registered_again(
    redis: Redis, worker: ConcurrentWorker
) -> None:
    redis.flushall()
    redis.hset(worker.key, "state", "busy")
    worker.show_presence()
    [stock] = SimpleWorker.all(redis)
    assert (stock.name, stock.get_state(), stock.queue_names()) == ("w1", "idle", [keys.QUEUE_NAME])


def test_maintenance_calls_no_callback_of_a_forged_execution(
    redis: Redis, queue: JobQueue, worker: ConcurrentWorker
) -> None:
    forge(redis, queue, None, failure_callback_name="os.abort", status="started")
    redis.zadd(queue.started_key, {f"{JOB_ID}:x": 1})
    redis.sadd("rq:workers:suggestions", "rq:worker:gone")
    worker.run_maintenance_tasks()
    assert redis.smembers("rq:workers:suggestions") == {b"rq:worker:w1"}

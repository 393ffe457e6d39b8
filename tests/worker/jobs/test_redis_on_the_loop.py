"""Tests that what goes wrong with a connection to Redis on the worker's event loop counts as an outage of Redis."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from shared.gate import Delay
from shared.state.connections import connect_async, is_outage
from shared.state.gate_store import GateStore
from tests.conftest import RedisServer
from tests.relay import Relay
from tests.shared.state.tls import tls_in_front_of, write_certificate
from worker.jobs.loop_thread import LoopThread
from worker.publishing.log_writer import LogWriter

SECONDS = 20


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    it = LoopThread()
    it.start()
    yield it
    it.stop()


@pytest.fixture(params=["plain", "TLS"])
def relay_and_url(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> Iterator[tuple[Any, str]]:
    """Provides a relay to Redis, and the address of Redis behind it."""
    certificate = write_certificate(tmp_path, "localhost")
    with tls_in_front_of(redis_server.port, certificate) as port:
        relay = Relay(redis_server.port if request.param == "plain" else port)
        plain, secured = f"redis://localhost:{relay.port}/0", f"rediss://localhost:{relay.port}/0"
        yield relay, plain if request.param == "plain" else f"{secured}?ssl_ca_certs={certificate}"
        relay.close()


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("is_reset", [True, False])
def test_a_connection_that_was_cut_while_idle_leaves_no_call_without_an_answer(
    loop: LoopThread, relay_and_url: tuple[Relay, str], is_reset: bool
) -> None:
    relay, url = relay_and_url

    async def ask_around_cuts() -> None:
        gates = GateStore(connect_async(url, timeout_seconds=SECONDS))
        for number in range(3):
            assert await _outcome(gates, f"before cut {number}") is None
            await asyncio.to_thread(relay.cut, is_reset=is_reset)
            await asyncio.sleep(0.1)  # so that the loop learns of the cut while the connection is idle
            error = await _outcome(gates, f"after cut {number}")  # the cut may cost this call, but not the next
            assert error is None or (isinstance(error, RedisError) and is_outage(error))
        await gates.close()

    loop.run(asyncio.wait_for(ask_around_cuts(), 3 * SECONDS))


async def _outcome(gates: GateStore, request: str) -> Delay | RedisError | None:
    try:
        return await asyncio.wait_for(gates.ask("model", request, "job", 0, 1), SECONDS)
    except RedisError as error:
        return error


@pytest.mark.usefixtures("redis")
def test_the_clients_of_a_redis_that_falls_silent_can_be_closed(
    loop: LoopThread, relay_and_url: tuple[Relay, str]
) -> None:
    relay, url = relay_and_url

    async def close_both() -> None:
        redis, others = connect_async(url, timeout_seconds=3), connect_async(url, timeout_seconds=3)
        await asyncio.gather(redis.ping(), others.ping())
        await asyncio.to_thread(relay.silence)
        await asyncio.gather(LogWriter(redis).stop(), GateStore(others).close())

    loop.run(asyncio.wait_for(close_both(), 3 * SECONDS))
    relay.forget()

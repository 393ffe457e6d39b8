"""Builds the worker process and runs it."""

import itertools
import logging
import os
import socket
import sys
from contextlib import suppress
from typing import NoReturn
from uuid import uuid4

import sentry_sdk
from redis import Redis
from redis.exceptions import RedisError

from shared.errors import SettingsError
from shared.file_limit import raise_file_limit
from shared.settings import WorkerSettings, load
from shared.state import keys
from shared.state.agent_store import AgentStore
from shared.state.connections import connect, connect_async
from shared.state.diagnosis import describe, probe
from shared.state.gate_store import GateStore
from shared.state.job_store import JobStore
from shared.telemetry import sentry
from shared.telemetry.logs import set_up_logging
from worker import probes
from worker.agent.feature_agent import FeatureAgent
from worker.agent.model_client import model_client
from worker.agent.project import Project
from worker.jobs.concurrent_worker import ConcurrentWorker, PartDied
from worker.jobs.health import Health
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_runner import JobRunner
from worker.jobs.loop_thread import LoopThread
from worker.jobs.shutdown import Shutdown
from worker.publishing.log_writer import LogWriter
from worker.warm_up import warm_up

log = logging.getLogger("worker")

RQ_CONNECTIONS = 5
"""All slots share these for RQ's bookkeeping; no slot holds one while it waits for another. RQ's command listener keeps
one of them."""
LEASE_CONNECTIONS = 2
"""For the blocking pop and the heartbeat: a lease must be renewed even while all other connections are in use."""
REDIS_TIMEOUT_SECONDS = 5.0
GATE_TIMEOUT_SECONDS = 1.0
"""A request to the model waits no longer than this for a Redis that is silent."""
FILES_A_JOB, OTHER_FILES = 5, 200
"""A job has a connection to the model, and at times the pipes of a search."""


def main() -> int:
    try:
        settings = load(WorkerSettings)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    keys.use_prefix(settings.redis_prefix)
    set_up_logging(settings)
    sentry.start(settings, trusts_parent_sampling=True)
    shutdown = Shutdown()
    shutdown.install()
    wanted = FILES_A_JOB * settings.worker_concurrency + OTHER_FILES
    if (files := raise_file_limit(wanted)) < wanted:
        log.warning(
            "may open %d files (ulimit -n), and %d jobs at once may need %d", files, settings.worker_concurrency, wanted
        )
    rq_pool, lease_pool = _redis(settings, RQ_CONNECTIONS), _redis(settings, LEASE_CONNECTIONS)
    try:
        is_there = _wait_for_redis(settings.redis_url, shutdown)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    if not is_there:
        log.info("stopped before Redis answered")
        return 0
    loop = LoopThread()
    loop.start()
    writer, gates = loop.run(_writer(settings)), loop.run(_gates(settings))
    client = model_client(settings.anthropic_api_key, settings.anthropic_base_url, settings.model_silence_seconds)
    project = Project(settings.project_root) if settings.project_root else None
    agent = FeatureAgent(
        client,
        project,
        effort=settings.claude_effort,
        timeout_seconds=settings.job_timeout_seconds,
        max_job_tokens=settings.max_job_tokens,
        max_wait_seconds=settings.max_wait_seconds,
    )
    name = f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}"
    store = JobStore(rq_pool, settings)
    runner = JobRunner(
        name=name,
        store=store,
        agents=AgentStore(rq_pool),
        agent=agent,
        gates=gates,
        writer=writer,
        loop=loop,
        models=settings.models,
        timeout_seconds=settings.job_timeout_seconds,
        interval_seconds=settings.delta_interval_ms / 1000,
    )
    worker = ConcurrentWorker(
        store.queue.queue,
        runner,
        connection=rq_pool,
        lease_pool=lease_pool,
        name=name,
        concurrency=settings.worker_concurrency,
        drain_seconds=settings.drain_seconds,
        shutdown=shutdown,
    )
    heartbeat = Heartbeat(runner, loop, JobStore(lease_pool, settings), worker.show_presence)
    health = Health(loop=loop, writer=writer, heartbeat=heartbeat, worker=worker)
    try:
        probes.serve(settings, runner, store, health)
    except OSError as error:
        print(f"worker: METRICS_PORT {settings.metrics_port} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    loop.run(agent.prepare((settings.claude_model,)))
    warm_up(rq_pool, lease_pool)
    try:
        worker.run(heartbeat, health.find_dead_part)
    except PartDied as part:
        log.critical("the %s is dead, so the process ends; its jobs run again elsewhere", part)
        _exit_now(1)
    if worker.is_busy:
        log.critical("some jobs do not let go, so the process ends without them")
        _exit_now(1)
    loop.run(writer.stop())
    loop.run(gates.close())
    loop.run(client.close())
    loop.stop()
    log.info("stopped", extra={"worker": name})
    return 0


def _exit_now(code: int) -> NoReturn:
    """Ends the process although some of its threads are blocked for good."""
    sentry_sdk.flush(timeout=2)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _redis(settings: WorkerSettings, connections: int) -> Redis:
    return connect(settings.redis_url, max_connections=connections, timeout_seconds=REDIS_TIMEOUT_SECONDS)


def _wait_for_redis(url: str, shutdown: Shutdown) -> bool:
    """Waits until Redis answers, for a worker that comes up first. Returns False where a stop is asked for before.

    Raises SettingsError where waiting would not help.
    """
    for seconds in itertools.count():
        diagnosis = probe(url, timeout_seconds=REDIS_TIMEOUT_SECONDS)
        if diagnosis is None:
            break
        if diagnosis.is_lasting:
            raise SettingsError(describe(url, diagnosis))
        if seconds % 10 == 0:
            log.warning("waiting for Redis: %s", describe(url, diagnosis))
        if shutdown.wait(1):
            return False
    return not shutdown.is_asked


async def _writer(settings: WorkerSettings) -> LogWriter:
    # The writer tries again by itself, as long as it takes.
    redis = connect_async(settings.redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS)
    with suppress(RedisError):
        await redis.ping()  # connects, so that the first event need not
    writer = LogWriter(redis)
    writer.start()
    return writer


async def _gates(settings: WorkerSettings) -> GateStore:
    redis = connect_async(settings.redis_url, timeout_seconds=GATE_TIMEOUT_SECONDS)
    with suppress(RedisError):
        await redis.ping()
    return GateStore(redis)

"""Builds the parts of a worker process, runs them and stops them."""

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

from shared.settings import WorkerSettings
from shared.state.agent_store import AgentStore
from shared.state.connections import connect, connect_async
from shared.state.gate_store import GateStore
from shared.state.job_store import JobStore
from shared.state.neighbours import settings_hash
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
"""The most connections for RQ's bookkeeping; REDIS_MAX_CONNECTIONS may leave fewer. All slots share them, and no slot
holds one while it waits for another. RQ's command listener keeps one of them."""
LEASE_CONNECTIONS = 2
"""One for the blocking pop, one for the heartbeat: a lease must be renewed even while all others are in use."""
LOOP_CONNECTIONS = 2
"""One for the log writer, and one for the gates of the models."""
REDIS_TIMEOUT_SECONDS = 5.0
GATE_TIMEOUT_SECONDS = 1.0
"""A request to the model waits no longer than this for a Redis that does not answer."""


class WorkerProcess:
    """Holds the parts of a worker. It is built once Redis has answered."""

    def __init__(self, settings: WorkerSettings, shutdown: Shutdown) -> None:
        self._settings = settings
        self._rq_pool = _redis(settings, _rq_connections(settings))
        self._lease_pool = _redis(settings, LEASE_CONNECTIONS)
        self._loop = LoopThread()
        self._loop.start()
        self._writer = self._loop.run(_writer(settings))
        self._gates = self._loop.run(_gates(settings))
        self._client = model_client(
            settings.anthropic_api_key, settings.anthropic_base_url, settings.model_silence_seconds
        )
        self._agent = FeatureAgent(
            self._client,
            Project(settings.project_root) if settings.project_root else None,
            effort=settings.claude_effort,
            timeout_seconds=settings.job_timeout_seconds,
            max_job_tokens=settings.max_job_tokens,
            max_wait_seconds=settings.max_wait_seconds,
        )
        self._name = f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}"
        self._store = JobStore(self._rq_pool, settings)
        self._runner = self._new_runner()
        self._worker = self._new_worker(shutdown)
        store = JobStore(self._lease_pool, settings)
        self._heartbeat = Heartbeat(self._runner, self._loop, store, self._worker.show_presence)
        self._health = Health(loop=self._loop, writer=self._writer, heartbeat=self._heartbeat, worker=self._worker)

    def serve_probes(self) -> None:
        """Serves metrics and probes where METRICS_PORT is set. Raises OSError when the port cannot be used."""
        probes.serve(self._settings, self._runner, self._store, self._health)

    def run(self) -> None:
        """Takes jobs until a stop is asked for. Ends the whole process with exit code 1 where a part does not stop."""
        if not self._worker.is_stopping:
            self._loop.run(self._agent.prepare((self._settings.claude_model,)))
            warm_up(self._rq_pool, self._lease_pool)
        try:
            self._worker.run(self._heartbeat, self._health.find_dead_part)
        except PartDied as part:
            log.critical(
                "the %s has ended unexpectedly, so the process ends; its jobs run again on other workers", part
            )
            _exit_now(1)
        if self._worker.is_busy:
            log.critical("some jobs do not stop, so the process ends; they run again on other workers")
            _exit_now(1)
        for closing in (self._writer.stop(), self._gates.close(), self._client.close()):
            self._loop.run(closing)
        self._loop.stop()
        log.info("stopped", extra={"worker": self._name})

    def _new_runner(self) -> JobRunner:
        settings = self._settings
        return JobRunner(
            name=self._name,
            store=self._store,
            agents=AgentStore(self._rq_pool),
            agent=self._agent,
            gates=self._gates,
            writer=self._writer,
            loop=self._loop,
            models=settings.models,
            timeout_seconds=settings.job_timeout_seconds,
            interval_seconds=settings.delta_interval_ms / 1000,
        )

    def _new_worker(self, shutdown: Shutdown) -> ConcurrentWorker:
        return ConcurrentWorker(
            self._store.queue.queue,
            self._runner,
            connection=self._rq_pool,
            lease_pool=self._lease_pool,
            name=self._name,
            settings_hash=_settings_hash(self._settings),
            concurrency=self._settings.worker_concurrency,
            drain_seconds=self._settings.drain_seconds,
            shutdown=shutdown,
        )


def _settings_hash(settings: WorkerSettings) -> str:
    """Returns a hash of the settings that all workers of a deployment must share: the model, the key, the project."""
    return settings_hash(
        (settings.models, settings.anthropic_api_key, settings.anthropic_base_url, settings.project_root)
    )


def _exit_now(code: int) -> NoReturn:
    """Ends the process at once, although some of its threads are blocked."""
    sentry_sdk.flush(timeout=2)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _rq_connections(settings: WorkerSettings) -> int:
    """Returns how many connections are left for RQ: two at least, RQ_CONNECTIONS at most."""
    scrapes = probes.CONNECTIONS if settings.metrics_port is not None else 0
    return min(RQ_CONNECTIONS, settings.redis_max_connections - LEASE_CONNECTIONS - LOOP_CONNECTIONS - scrapes)


def _redis(settings: WorkerSettings, connections: int) -> Redis:
    return connect(settings.redis_url, max_connections=connections, timeout_seconds=REDIS_TIMEOUT_SECONDS)


async def _writer(settings: WorkerSettings) -> LogWriter:
    # The writer itself retries until Redis answers.
    redis = connect_async(settings.redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS)
    with suppress(RedisError):
        await redis.ping()  # opens the connection before the first event needs it
    writer = LogWriter(redis)
    writer.start()
    return writer


async def _gates(settings: WorkerSettings) -> GateStore:
    redis = connect_async(settings.redis_url, timeout_seconds=GATE_TIMEOUT_SECONDS)
    with suppress(RedisError):
        await redis.ping()
    return GateStore(redis)

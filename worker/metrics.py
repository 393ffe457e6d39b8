"""A worker's metrics, served on METRICS_PORT to whoever asks, in a thread of their own."""

from prometheus_client import REGISTRY, start_http_server

from shared.settings import WorkerSettings
from shared.state.connections import connect
from shared.state.job_store import JobStore
from shared.state.redis_metrics import RedisCollector
from shared.telemetry.metrics import job_metrics, worker_metrics
from worker.jobs.job_runner import JobRunner

SCRAPE_TIMEOUT_SECONDS = 1.0


def serve(settings: WorkerSettings, runner: JobRunner, store: JobStore) -> None:
    """Starts serving where a port is set. Raises OSError when the port cannot be used."""
    job_metrics()
    slots = settings.worker_concurrency
    worker_metrics().slots_used.set_function(lambda: runner.running_count)
    worker_metrics().slots_free.set_function(lambda: slots - runner.running_count)
    if settings.metrics_port is not None:
        redis = connect(settings.redis_url, max_connections=2, timeout_seconds=SCRAPE_TIMEOUT_SECONDS)
        REGISTRY.register(RedisCollector(redis, store.queue.key))
        start_http_server(settings.metrics_port, addr=settings.metrics_host)

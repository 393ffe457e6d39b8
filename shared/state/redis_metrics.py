"""What Redis knows about the queue and its clients, asked when somebody scrapes."""

import logging
from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from shared.state.queue_view import queue_size

log = logging.getLogger(__name__)


class RedisCollector(Collector):
    """The same figures from whichever process is asked: take the maximum over processes, not the sum."""

    def __init__(self, redis: Redis, queue_key: str) -> None:
        self._redis = redis
        self._queue_key = queue_key

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not ask Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            seen = queue_size(self._redis, self._queue_key)
            clients = int(self._redis.info("clients")["connected_clients"])
        except RedisError as error:
            log.warning("Redis is away, its metrics are left out: %s", type(error).__name__)
            yield GaugeMetricFamily("planner_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("planner_redis_up", "Whether Redis answers.", 1)
        yield GaugeMetricFamily("planner_redis_connections", "Connections to Redis, from all its clients.", clients)
        yield GaugeMetricFamily("planner_queue_jobs", "Jobs waiting in the queue.", seen.jobs)
        yield GaugeMetricFamily(
            "planner_queue_oldest_seconds", "Age of the job that is next, since its creation.", seen.oldest_seconds
        )
        yield GaugeMetricFamily("planner_workers", "Worker processes heard from in the last 10 s.", seen.workers)

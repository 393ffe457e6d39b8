"""Exports metrics that are read from Redis at each scrape: the queue, its clients, the gates, memory."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from shared.clock import now_ms
from shared.state import gate_store, readiness
from shared.state.gate_store import GateView
from shared.state.neighbours import find_neighbours
from shared.state.outages import log_failure
from shared.state.queue_view import queue_size


class RedisCollector(Collector):
    """Exports figures that are the same in every process: take their maximum over the processes, not their sum."""

    def __init__(self, redis: Redis, queue_key: str, models: Sequence[str] = ()) -> None:
        """Builds a collector; `models` are those whose gates are measured."""
        self._redis = redis
        self._queue_key = queue_key
        self._models = models

    def describe(self) -> list[Metric]:
        """Returns nothing, so that registering does not ask Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics. While Redis is away it yields only that."""
        try:
            seen = queue_size(self._redis, self._queue_key)
            gates = {model: gate_store.view(self._redis, model, now_ms()) for model in self._models}
            clients = int(self._redis.info("clients")["connected_clients"])
            memory = self._redis.info("memory")
            state, _ = readiness.ask(self._redis)
            settings = len(find_neighbours(self._redis).by_settings)
            seconds, microseconds = self._redis.time()
        except RedisError as error:
            log_failure("reading metrics from Redis", error, "so this scrape lacks them")
            yield GaugeMetricFamily("planner_redis_up", "Whether Redis answers, and as a primary does.", 0)
            return
        is_up = state in ("ok", "full")
        yield GaugeMetricFamily("planner_redis_up", "Whether Redis answers, and as a primary does.", float(is_up))
        yield GaugeMetricFamily("planner_redis_connections", "Connections to Redis, from all its clients.", clients)
        yield from _of_memory(memory, is_full=state == "full")
        ahead = now_ms() / 1000 - seconds - microseconds / 1_000_000
        yield GaugeMetricFamily(
            "planner_clock_ahead_seconds", "This host's clock before Redis's; below 0: behind.", ahead
        )
        yield GaugeMetricFamily("planner_queue_jobs", "Jobs waiting in the queue.", seen.jobs)
        yield GaugeMetricFamily(
            "planner_queue_oldest_seconds", "Age of the job that is next, since its creation.", seen.oldest_seconds
        )
        yield from _of_gates(gates)
        yield GaugeMetricFamily(
            "planner_worker_settings",
            "Different settings among the workers of the queue; 1 in one deployment.",
            settings,
        )
        yield GaugeMetricFamily(
            "planner_workers", "Worker processes that sent a heartbeat in the last 10 s.", seen.workers
        )


def _of_memory(memory: Mapping[str, object], *, is_full: bool) -> Iterator[Metric]:
    yield GaugeMetricFamily("planner_redis_full", "Whether Redis has no memory for new jobs.", float(is_full))
    yield GaugeMetricFamily("planner_redis_memory_bytes", "Memory that Redis uses.", float(str(memory["used_memory"])))
    yield GaugeMetricFamily(
        "planner_redis_memory_limit_bytes", "Redis's maxmemory; 0: none is set.", float(str(memory.get("maxmemory", 0)))
    )


def _of_gates(gates: Mapping[str, GateView]) -> Iterator[Metric]:
    families = {
        "is_open": GaugeMetricFamily(
            "planner_gate_open",
            "Whether the provider takes requests for this model, as far as is known.",
            labels=["model"],
        ),
        "waiting": GaugeMetricFamily(
            "planner_gate_waiting_jobs", "Jobs that wait for the provider to take a request.", labels=["model"]
        ),
        "in_flight": GaugeMetricFamily(
            "planner_gate_requests_in_flight", "Requests whose response has not begun yet.", labels=["model"]
        ),
        "pace": GaugeMetricFamily(
            "planner_gate_requests_per_second",
            "Pace at which requests go; 0: nothing holds them back.",
            labels=["model"],
        ),
    }
    for model, view in gates.items():
        for name, family in families.items():
            family.add_metric([model], float(getattr(view, name)))
    yield from families.values() if gates else ()

"""Serves GET /metrics: the figures of all API processes of this host, and the current ones of Redis."""

import os

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from api.services import services
from shared.state.redis_metrics import RedisCollector
from shared.telemetry.metrics import api_metrics, job_metrics

blueprint = Blueprint("metrics", __name__)


def prepare() -> None:
    """Makes every metric, so that each is there, at zero, from the first scrape on."""
    job_metrics()
    api_metrics()


@blueprint.get("/metrics")
def metrics() -> Response:
    redis = CollectorRegistry()
    redis.register(RedisCollector(services().probe, services().jobs.queue.key))
    text = generate_latest(_ours()) + generate_latest(redis)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def _ours() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry

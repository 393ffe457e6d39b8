"""Builds the app: every object that outlives a request is made here."""

from pathlib import Path

from flask_openapi3.openapi import OpenAPI
from redis import Redis

from api.auth import middleware
from api.autopipelining import AutoPipeliningRedis
from api.delivery.admission import Admission
from api.delivery.channel import Channel
from api.delivery.hub import Hub
from api.http import bodies, cors, headers, problems, request_log
from api.resources import agents, docs, health, metrics, options, pages, suggestions
from api.services import Services
from api.stream_app import StreamApp
from shared.contract.schemas import Problem
from shared.settings import ApiSettings
from shared.state import keys
from shared.state.agent_store import AgentStore
from shared.state.connections import connect
from shared.state.job_store import JobStore
from shared.state.sweeper import Sweeper

RESOURCES = (suggestions, options, agents, health)
"""Modules whose `blueprint` is part of the OpenAPI document."""

PROBE_TIMEOUT_SECONDS = 1.0
PROBE_CONNECTIONS, FEW_PROBE_CONNECTIONS = 4, 2
"""The connections for readiness and metrics; fewer where REDIS_MAX_CONNECTIONS is at most MANY_CONNECTIONS."""
MANY_CONNECTIONS = 15
CHANNEL_CONNECTIONS = 1


def build(settings: ApiSettings, redis: Redis | None, static: Path | None) -> OpenAPI:
    """Builds the app of the web process; see `create_app`."""
    keys.use_prefix(settings.redis_prefix)
    app = OpenAPI(
        "api",
        info=docs.INFO,
        security_schemes=docs.security_schemes(middleware.cookie_name(settings)),
        validation_error_model=Problem,
        validation_error_callback=problems.on_validation_error,
        doc_ui=False,
        static_folder=None,
    )
    planner = _services(settings, redis or _redis(settings), static or pages.STATIC)
    app.extensions["planner"] = planner
    problems.install(app)
    # Hooks run in this order: the caller is authenticated before the body is checked.
    headers.install(app)
    request_log.install(app)
    cors.install(app, settings.cors_origins)
    middleware.install(app, planner.authenticator)
    bodies.install(app)
    for resource in RESOURCES:
        app.register_api(resource.blueprint)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(docs.blueprint)
    metrics.prepare()
    app.register_blueprint(metrics.blueprint)
    app.wsgi_app = StreamApp(planner, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _probe_connections(settings: ApiSettings) -> int:
    return PROBE_CONNECTIONS if settings.redis_max_connections > MANY_CONNECTIONS else FEW_PROBE_CONNECTIONS


def _redis(settings: ApiSettings) -> Redis:
    """Returns the client of all requests; it has the connections that readiness and the channel leave."""
    others = CHANNEL_CONNECTIONS + _probe_connections(settings)
    most = settings.redis_max_connections - others
    return connect(settings.redis_url, max_connections=most, kind=AutoPipeliningRedis)


def _services(settings: ApiSettings, redis: Redis, static: Path) -> Services:
    jobs = JobStore(redis, settings)
    return Services(
        settings=settings,
        redis=redis,
        probe=connect(
            settings.redis_url, max_connections=_probe_connections(settings), timeout_seconds=PROBE_TIMEOUT_SECONDS
        ),
        agents=AgentStore(redis),
        jobs=jobs,
        hub=Hub(jobs, Channel(settings.redis_url), settings.keepalive_seconds),
        admission=Admission(redis, settings.streams_per_user),
        authenticator=middleware.authenticator(settings, redis),
        static=static,
        sweeper=Sweeper(jobs),
    )

"""Whether the process lives, and whether it can serve."""

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from redis import Redis
from redis.exceptions import RedisError

from api.http.json_responses import documented, json_response
from api.http.problems import problem_responses
from api.services import services
from shared import __version__
from shared.contract.schemas import Wire
from shared.state import keys
from shared.state.diagnosis import is_forbidden
from shared.state.primary import NotPrimaryError

blueprint = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="health", description="For load balancers and operators.")],
    abp_responses=problem_responses(403, 500),
)

WORKER_HEARD_SECONDS = 10
"""A worker counts as alive when it was heard from in this time."""

# By Redis's own clock, as the workers' times are; and one round trip, so that one time-out bounds it. The first line
# changes nothing and is a write: a replica, or a user without the rights, refuses it.
_COUNT_WORKERS = """
redis.call('ZREM', KEYS[1], '')
local now = redis.call('TIME')
local since = (now[1] - ARGV[1]) * 1000 + math.floor(now[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], since, '+inf')
"""


RedisState = Literal["ok", "replica", "forbidden", "unavailable"]
"""`replica`: it takes no writes; `forbidden`: the user in REDIS_URL lacks rights."""


class Health(Wire):
    """The process lives."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(Wire):
    """Whether the process can serve."""

    status: Literal["ok", "unavailable", "stopping"]
    redis: RedisState = Field(
        description="`replica`: it takes no writes; `forbidden`: the user in REDIS_URL lacks rights."
    )
    workers: int | None = Field(description="How many workers are alive; null when Redis cannot be asked.")


@blueprint.get("/healthz", operation_id="readHealth", responses={200: documented(Health, "The process lives.")})
def healthz() -> Response:
    """Tell whether the process lives, without asking Redis"""
    return json_response(Health(version=__version__))


@blueprint.get(
    "/readyz",
    operation_id="readReadiness",
    responses={
        200: documented(Readiness, "The process can serve."),
        503: documented(Readiness, "Redis takes no writes, or the process is being stopped."),
    },
)
def readyz() -> Response:
    """Tell whether Redis takes writes, and how many workers are alive"""
    redis, workers = _ask(services().probe)
    status: Literal["ok", "unavailable", "stopping"] = "ok" if redis == "ok" else "unavailable"
    if services().stopping.is_set():
        status = "stopping"
    readiness = Readiness(status=status, redis=redis, workers=workers)
    return json_response(readiness, 200 if status == "ok" else 503)


def _ask(redis: Redis) -> tuple[RedisState, int | None]:
    try:
        count = redis.eval(_COUNT_WORKERS, 1, keys.WORKERS, str(WORKER_HEARD_SECONDS))
    except NotPrimaryError:
        return "replica", None
    except RedisError as error:
        return "forbidden" if is_forbidden(error) else "unavailable", None
    assert isinstance(count, int)
    return "ok", count

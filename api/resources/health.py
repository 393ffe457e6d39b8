"""Whether the process lives, and whether it can serve."""

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis import Redis
from redis.exceptions import RedisError

from api.http.json_responses import json_response
from api.services import services
from shared import __version__
from shared.contract.schemas import Wire
from shared.state import keys
from shared.state.diagnosis import is_forbidden
from shared.state.primary import NotPrimaryError

blueprint = APIBlueprint(
    "health", __name__, abp_tags=[Tag(name="health", description="For load balancers and operators.")]
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
    status: Literal["ok"] = "ok"
    version: str


class Readiness(Wire):
    status: Literal["ok", "unavailable", "stopping"]
    redis: RedisState
    workers: int | None
    """None when Redis cannot be asked."""


@blueprint.get("/healthz", responses={200: Health})
def healthz() -> Response:
    """Whether the process lives; never asks Redis"""
    return json_response(Health(version=__version__))


@blueprint.get("/readyz", responses={200: Readiness, 503: Readiness})
def readyz() -> Response:
    """Whether Redis takes writes, and how many workers are alive"""
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

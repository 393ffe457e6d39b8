"""Answers probes: whether the process is alive, and whether it can serve."""

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from api.http.json_responses import documented, json_response
from api.http.problems import problem_responses
from api.services import services
from shared import __version__
from shared.contract.schemas import Wire
from shared.state.readiness import RedisState, ask

blueprint = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="health", description="For load balancers and operators.")],
    abp_responses=problem_responses(403, 500),
)


class Health(Wire):
    """Says that the process is alive."""

    status: Literal["ok"] = "ok"
    version: str


Status = Literal["ok", "degraded", "unavailable", "stopping"]
_STATUS: dict[RedisState, Status] = {"ok": "ok", "full": "degraded"}
"""The status for each state of Redis. A full Redis must not take a process out of service, as streams still work."""


class Readiness(Wire):
    """Says whether the process can serve."""

    status: Status = Field(description="`degraded`: streams, reads and cancels are served, new jobs are refused.")
    redis: RedisState = Field(
        description="`full`: it has no memory for new jobs; `replica`: it takes no writes; `forbidden`: the user in"
        " REDIS_URL lacks rights."
    )
    workers: int | None = Field(description="How many workers are alive; null when Redis cannot be asked.")


@blueprint.get("/healthz", operation_id="readHealth", responses={200: documented(Health, "The process lives.")})
def healthz() -> Response:
    """Tell whether the process is alive, without asking Redis"""
    return json_response(Health(version=__version__))


@blueprint.get(
    "/readyz",
    operation_id="readReadiness",
    responses={
        200: documented(Readiness, "The process can serve, all of it or (`degraded`) all but new jobs."),
        503: documented(Readiness, "Redis takes no writes, or the process is being stopped."),
    },
)
def readyz() -> Response:
    """Tell whether Redis takes writes, and how many workers are alive"""
    redis, workers = ask(services().probe)
    status = "stopping" if services().stopping.is_set() else _STATUS.get(redis, "unavailable")
    readiness = Readiness(status=status, redis=redis, workers=workers)
    return json_response(readiness, 200 if status in ("ok", "degraded") else 503)

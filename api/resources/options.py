"""Serves what a form needs to know."""

from flask import Response, g
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.auth.middleware import SECURITY
from api.http.json_responses import documented, json_response
from api.http.paths import PREFIX
from api.http.problems import problem_responses
from api.services import services
from shared.contract.schemas import Limits, Options
from shared.contract.values import FeatureType, PriorityLevel

blueprint = APIBlueprint(
    "options",
    __name__,
    url_prefix=PREFIX,
    abp_tags=[Tag(name="options", description="What a form needs to know.")],
    abp_security=SECURITY,
    abp_responses=problem_responses(401, 403, 500, 503),
)


@blueprint.get("/options", operation_id="readOptions", responses={200: documented(Options, "What the form may offer.")})
def read_options() -> Response:
    """Read what may be asked for, and the limits"""
    settings = services().settings
    own = services().agents.get(g.user_id)
    limits = Limits(
        jobs_per_minute=settings.jobs_per_minute,
        streams_per_user=settings.streams_per_user,
        job_timeout_seconds=settings.job_timeout_seconds,
    )
    options = Options(
        feature_types=list(FeatureType),
        priority_levels=list(PriorityLevel),
        models=list(settings.models),
        default_model=settings.claude_model,
        is_sandbox=settings.is_sandbox,
        limits=limits,
        agent=own.name if own and own.is_active else None,
        repository_url=str(settings.repository_url) if settings.repository_url else None,
        sign_in_url=settings.sign_in_url,
    )
    return json_response(options)

"""Serves the caller's own suggestion agent."""

from typing import Literal

from flask import Response, g
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.auth.middleware import SECURITY
from api.http.json_responses import documented, json_response
from api.http.paths import PREFIX
from api.http.problems import ApiProblem, problem_responses
from api.services import services
from shared.contract.schemas import SuggestionAgent, SuggestionAgentBody

blueprint = APIBlueprint(
    "agents",
    __name__,
    url_prefix=PREFIX,
    abp_tags=[Tag(name="suggestion agent", description="How the caller wants to be advised.")],
    abp_security=SECURITY,
    abp_responses=problem_responses(401, 403, 500, 503),
)


class AgentQuery(BaseModel):
    """Holds the query parameters of a request for an agent."""

    none: Literal["204"] | None = Field(None, description="answer 204, not 404, where there is no agent")


_NO_AGENT = {"description": "There is no agent, and the query asked for this answer."}


@blueprint.get(
    "/suggestion-agent",
    operation_id="readAgent",
    responses={200: documented(SuggestionAgent, "The agent."), 204: _NO_AGENT, **problem_responses(404, 422)},
)
def read_agent(query: AgentQuery) -> Response:
    """Read the caller's agent"""
    agent = services().agents.get(g.user_id)
    if agent is None:
        # Browsers log every 404 as an error in the page's console, but having no agent is no error.
        if query.none is not None:
            return Response(status=204)
        raise ApiProblem(404, "You have no suggestion agent of your own.")
    return json_response(agent)


@blueprint.put(
    "/suggestion-agent",
    operation_id="putAgent",
    responses={
        200: documented(SuggestionAgent, "The agent as it is stored."),
        **problem_responses(400, 408, 413, 415, 422),
    },
)
def put_agent(body: SuggestionAgentBody) -> Response:
    """Create or replace the caller's agent"""
    agent, _created = services().agents.put(g.user_id, body)
    return json_response(agent)


@blueprint.delete(
    "/suggestion-agent", operation_id="deleteAgent", responses={204: {"description": "There is no agent any more."}}
)
def delete_agent() -> Response:
    """Delete the caller's agent, if there is one"""
    services().agents.delete(g.user_id)
    return Response(status=204)

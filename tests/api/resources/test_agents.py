"""Tests the suggestion agent of a user: section 4 of docs/protocol.md."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from redis import Redis

from shared.contract.examples import EXAMPLES
from shared.contract.schemas import SuggestionAgentBody
from shared.state import keys
from shared.state.agent_store import AgentStore
from tests.conftest import bearer, token

AGENT = "/api/feature-planner/suggestion-agent"
BODY = {**EXAMPLES["SuggestionAgentBody"], "temperature": 0.5}


def test_an_agent_that_was_put_can_be_read(client: FlaskClient) -> None:
    assert client.get(AGENT).status_code == 404
    put = client.put(AGENT, json=BODY)
    assert put.status_code == 200
    agent = put.get_json()
    assert agent.items() >= BODY.items()
    assert set(agent) - set(BODY) == {"agentId", "createdAt", "updatedAt"}
    assert client.get(AGENT).get_json() == agent


def test_a_replacement_keeps_the_id_and_the_time_of_creation(client: FlaskClient) -> None:
    first = client.put(AGENT, json=BODY).get_json()
    second = client.put(AGENT, json={**BODY, "name": "Grace", "temperature": None}).get_json()
    assert (second["agentId"], second["createdAt"]) == (first["agentId"], first["createdAt"])
    assert second["updatedAt"] >= first["updatedAt"]
    assert client.get(AGENT).get_json()["name"] == "Grace"


def test_delete_is_204_whether_or_not_there_was_one(client: FlaskClient) -> None:
    client.put(AGENT, json=BODY)
    for _ in range(2):
        response = client.delete(AGENT)
        assert (response.status_code, response.data) == (204, b"")
    assert client.get(AGENT).status_code == 404


def test_a_request_with_none_204_gets_204_for_no_agent_and_the_agent_where_there_is_one(client: FlaskClient) -> None:
    response = client.get(f"{AGENT}?none=204")
    assert (response.status_code, response.data) == (204, b"")
    put = client.put(AGENT, json=BODY).get_json()
    assert client.get(f"{AGENT}?none=204").get_json() == put
    assert client.get(f"{AGENT}?none=200").status_code == 422


def test_agents_belong_to_their_users(client: FlaskClient, app: OpenAPI) -> None:
    client.put(AGENT, json=BODY)
    assert app.test_client().get(AGENT, headers=bearer(token("bob"))).status_code == 404


def test_an_agent_does_not_expire(client: FlaskClient, redis: Redis) -> None:
    client.put(AGENT, json=BODY)
    assert redis.ttl(keys.agent("alice")) == -1


def test_a_record_that_cannot_be_read_counts_as_absent_and_can_be_replaced(
    client: FlaskClient, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(keys.agent("alice"), b"{broken")
    assert client.get(AGENT).status_code == 404
    assert "cannot be read" in caplog.text
    assert client.put(AGENT, json=BODY).status_code == 200
    assert client.get(AGENT).status_code == 200


def test_concurrent_first_puts_make_one_agent(redis: Redis) -> None:
    store, body = AgentStore(redis), SuggestionAgentBody.model_validate(BODY)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.put("alice", body), range(24)))
    assert len({agent.agent_id for agent, _ in answers}) == 1
    assert [created for _, created in answers].count(True) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "ab"}, "name"),
        ({"name": "  ab  "}, "name"),
        ({"role": "x" * 101}, "role"),
        ({"focus": "x" * 9}, "focus"),
        ({"systemPrompt": "x" * 5001}, "systemPrompt"),
        ({"temperature": 1.01}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"tools": ["Read", "Bash"]}, "tools.1"),
        ({"tools": "Read"}, "tools"),
        ({"isActive": 1}, "isActive"),
        ({"agentId": "mine"}, "agentId"),
        ({"system_prompt": "x" * 60}, "system_prompt"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(client: FlaskClient, change: dict[str, Any], field: str) -> None:
    response = client.put(AGENT, json={**BODY, **change})
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == [field]

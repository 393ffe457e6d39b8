"""Tests that the OpenAPI document is complete, valid and correct."""

import json
from typing import Any

import jsonschema_rs
import pytest
from flask.testing import FlaskClient

from shared.contract.events import EVENTS, Event, Transcript, fold
from shared.contract.examples import EXAMPLES, JOB, JOB_EVENTS
from tests.document import check_answer, check_event, check_schema, document

OPERATIONS = {
    "createJob",
    "listJobs",
    "readJob",
    "cancelJob",
    "readOptions",
    "readAgent",
    "putAgent",
    "deleteAgent",
    "readHealth",
    "readReadiness",
}
"""Generated clients have methods with these names, which must therefore not change."""


def operations() -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for item in document()["paths"].values() for each in item.values()}


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [reference for inner in part.values() for reference in references(inner)]
    return [reference for inner in part for reference in references(inner)] if isinstance(part, list) else []


def test_every_reference_can_be_resolved() -> None:
    found = references(document())
    assert found
    for reference in found:
        target = document()
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    assert "$defs" not in json.dumps(document())


def test_operations_keep_their_names_and_are_described() -> None:
    assert set(operations()) == OPERATIONS
    for operation in operations().values():
        assert operation["summary"] and all(each["description"] for each in operation["responses"].values())
        assert "<br" not in operation.get("description", "")


def test_the_stream_is_documented_as_an_answer_and_every_event_has_a_schema() -> None:
    content = operations()["readJob"]["responses"]["200"]["content"]
    assert set(content) == {"text/event-stream", "application/json"}
    assert content["text/event-stream"]["itemSchema"] == {"$ref": "#/components/schemas/StreamItem"}
    schemas = document()["components"]["schemas"]
    named = [choice["properties"]["event"]["const"] for choice in schemas["StreamItem"]["oneOf"]]
    assert set(named) == set(EVENTS) == set(schemas["JobEvent"]["discriminator"]["mapping"])
    for kind in EVENTS.values():
        assert schemas[kind.__name__]["description"] and set(schemas[kind.__name__]["properties"]) >= {"timestamp"}


def test_headers_of_requests_and_responses_are_documented() -> None:
    parts = document()["components"]
    sent = {
        name: [
            parts["parameters"][each["$ref"].rpartition("/")[2]]["name"]
            for each in operation["parameters"]
            if "$ref" in each
        ]
        for name, operation in operations().items()
    }
    assert sent["createJob"] == ["X-Request-ID", "Idempotency-Key"]
    assert sent["readJob"] == ["X-Request-ID", "Last-Event-ID", "lastEventId"]
    create = {status: set(each["headers"]) for status, each in operations()["createJob"]["responses"].items()}
    rate = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    assert create["202"] >= {"Location", *rate} and create["200"] >= {"Location", "Idempotent-Replayed"}
    assert create["429"] >= {"Retry-After", *rate} and create["503"] >= {"Retry-After"}
    assert create["401"] >= {"WWW-Authenticate"}
    assert "408" in create and "408" in operations()["putAgent"]["responses"]


@pytest.mark.parametrize("model", EXAMPLES)
def test_every_example_is_valid(model: str) -> None:
    assert document()["components"]["schemas"][model]["examples"] == [EXAMPLES[model]]
    value = {name: each for name, each in EXAMPLES[model].items() if model != "Problem" or each is not None}
    check_schema(model, value)


def test_every_body_answer_and_event_has_an_example() -> None:
    models = {kind.__name__ for kind in EVENTS.values()}
    models |= {"SuggestFeatureRequest", "JobCreated", "JobView", "JobList", "Options", "Problem"}
    assert set(EXAMPLES) == models | {"SuggestionAgentBody", "SuggestionAgent"}
    for operation in operations().values():
        for response in operation["responses"].values():
            problem = response.get("content", {}).get("application/problem+json", {})
            if "example" in problem:
                check_schema("Problem", problem["example"])


def test_the_example_events_fold_to_the_example_job() -> None:
    job, sequence = Transcript(), 0
    for event in JOB_EVENTS:
        is_of_connection = event.event in ("connected", "queued")
        sequence += not is_of_connection
        job = fold(job, event, None if is_of_connection else f"1-{sequence}")
    expected = {
        "status",
        "attempt",
        "last_event_id",
        "text",
        "is_partial",
        "token_usage",
        "error",
        "queue_position",
        "waiting",
    }
    assert {name: getattr(job, name) for name in expected} == {name: getattr(JOB, name) for name in expected}
    assert list(job.suggestions or ()) == JOB.suggestions


@pytest.mark.parametrize("event", JOB_EVENTS, ids=lambda event: str(event.event))
def test_an_event_that_does_not_match_the_document_is_detected(event: Event) -> None:
    """The checks of `tests.document` would prove nothing if they accepted everything."""
    data = event.encode().decode()
    check_event("1-1", event.event, data)
    for broken in (data.replace('"timestamp"', '"time"'), '{"more":1,' + data[1:], "[]"):
        with pytest.raises(AssertionError):
            check_event("1-1", event.event, broken)
    for event_id, name in (("1", event.event), ("1-1", "news")):
        with pytest.raises(AssertionError):
            check_event(event_id, name, data)


def test_an_answer_that_does_not_match_the_document_is_detected() -> None:
    path, body = "/healthz", b'{"status":"ok","version":"1"}'
    check_answer("GET", path, 200, {"Content-Type": "application/json"}, body)
    for status, kind, wrong in (
        (202, "application/json", body),
        (200, "text/html", body),
        (200, "application/json", b"{}"),
    ):
        with pytest.raises(AssertionError):
            check_answer("GET", path, status, {"Content-Type": kind}, wrong)
    with pytest.raises(AssertionError, match="lacks Location"):
        check_answer("POST", "/api/feature-planner/suggest-feature", 202, {"Content-Type": "application/json"}, b"{}")


def test_the_document_is_served_and_its_schemas_are_valid(client: FlaskClient) -> None:
    served = client.get("/openapi.json").json
    assert served is not None and served["openapi"].startswith("3.2") and served["paths"] == document()["paths"]
    for schema in served["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_the_document_lists_the_security_schemes_and_the_errors_of_operations() -> None:
    schemes = document()["components"]["securitySchemes"]
    for path, item in document()["paths"].items():
        for operation in item.values():
            assert operation["security"] == ([{name: []} for name in schemes] if path.startswith("/api/") else [])
    put = operations()["putAgent"]
    assert put["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/SuggestionAgentBody")
    assert {"200", "400", "401", "403", "413", "415", "422", "503"} <= set(put["responses"])
    for status, response in put["responses"].items():
        kind = "application/json" if status == "200" else "application/problem+json"
        assert list(response["content"]) == [kind]
    assert "422" not in operations()["readOptions"]["responses"]

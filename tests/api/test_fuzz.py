"""Tests that the API answers any input, and any data in Redis, as its document says, and never with a 500."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from flask import request
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from redis import Redis
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import create_app
from api.http.negotiation import wants_stream
from api.stream_app import cursor_of
from shared.state import keys
from tests.conftest import SECRET, ApiSettingsFactory, bearer, opened, token
from tests.stack import BODY, JOBS

AGENT = "/api/feature-planner/suggestion-agent"

# The fixtures hold no state that one example could change for the next.
fuzz = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=80)


@pytest.fixture
def unlimited(api_settings: ApiSettingsFactory, redis: Redis) -> Iterator[OpenAPI]:
    limits = {"jobs_per_minute": 1_000_000, "max_queued_jobs": 1_000_000}
    yield from opened(create_app(api_settings(auth_mode="jwt", auth_secret=SECRET, **limits)))


@pytest.fixture
def alice(unlimited: OpenAPI) -> FlaskClient:
    client = unlimited.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token(lifetime_seconds=3600)}"
    return client


def test_responses_match_the_openapi_document(unlimited: OpenAPI) -> None:
    """Calls each operation with data that matches its schema and with data that does not."""
    document = schemathesis.openapi.from_wsgi("/openapi.json", unlimited)
    headers = bearer(token(lifetime_seconds=3600))
    operations = [result.ok() for result in document.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 8
    for operation, mode in product(operations, GenerationMode):

        @settings(fuzz, max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case[Any]) -> None:
            # The API trims text before it checks lengths, which a schema cannot express.
            texts = case.body.values() if isinstance(case.body, dict) else ()
            assume(all(text == text.strip() for text in texts if isinstance(text, str)))
            # Data that matches the schema may still be 422, since the schema cannot list the models that are allowed.
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        # There is no invalid data for an operation that accepts any text or has no input.
        with suppress(Unsatisfiable):
            check()


def is_fine(answer: Any, *statuses: int) -> bool:
    """Fails unless the answer has one of these statuses, and is a problem with that status if it is an error."""
    assert answer.status_code in statuses, answer.get_data()
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json" and answer.json["status"] == answer.status_code
    return True


@fuzz
@given(body=anything)
def test_a_body_of_any_json_is_refused_with_400_or_422(alice: FlaskClient, body: Any) -> None:
    data, kind = json.dumps(body), "application/json"
    assert is_fine(alice.post(JOBS, data=data, content_type=kind), 400, 422)
    assert is_fine(alice.put(AGENT, data=data, content_type=kind), 400, 422)


@fuzz
@given(field=st.sampled_from([*BODY, "additionalContext", "customModel"]), value=anything)
def test_any_value_of_any_field_is_accepted_or_refused_by_name(alice: FlaskClient, field: str, value: Any) -> None:
    answer = alice.post(JOBS, json={**BODY, field: value})
    assert is_fine(answer, 202, 400, 422)
    if answer.status_code == 422:
        errors = json.loads(answer.get_data())["errors"]
        assert {error["field"].split(".")[0] for error in errors} == {field}


@fuzz
@given(body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "application/json; charset=utf-16", ""]))
def test_any_bytes_are_refused(alice: FlaskClient, body: bytes, kind: str) -> None:
    assert is_fine(alice.post(JOBS, data=body, content_type=kind), 400, 415, 422)


@fuzz
@given(key=header_text)
def test_any_idempotency_key_is_accepted_or_400(alice: FlaskClient, key: str) -> None:
    assert is_fine(alice.post(JOBS, json=BODY, headers={"Idempotency-Key": key}), 200, 202, 400)


@fuzz
@given(cursor=header_text | st.from_regex(r"\A-?\d{1,30}-\d{1,30}\Z"), accept=header_text)
def test_any_cursor_and_accept_header_are_understood_or_ignored(unlimited: OpenAPI, cursor: str, accept: str) -> None:
    with unlimited.test_request_context(JOBS, headers={"Last-Event-ID": cursor, "Accept": accept}):
        assert wants_stream(request.headers.get("Accept")) in (True, False)
        seen = cursor_of(request)
    assert seen is None or str(seen) == cursor.strip()


@fuzz
@given(
    credential=header_text
    | st.builds("Bearer {}".format, header_text)
    | st.builds("Bearer {0}.{0}.{0}".format, header_text)
)
def test_any_invalid_credential_is_401(unlimited: OpenAPI, credential: str) -> None:
    client = unlimited.test_client()
    assert is_fine(client.get(AGENT, headers={"Authorization": credential}), 401)
    assert is_fine(client.get(AGENT, headers={"Cookie": f"__session={credential}"}), 401)


@fuzz
@given(subject=anything)
def test_a_signed_token_with_any_subject_is_a_user_or_401(unlimited: OpenAPI, subject: Any) -> None:
    try:
        signed = token(subject)
    except (TypeError, ValueError):
        return  # PyJWT refuses to sign such a subject
    assert is_fine(unlimited.test_client().get(AGENT, headers=bearer(signed)), 401, 404)


@fuzz
@given(job_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FFF, exclude_characters="/?#\\%"), min_size=1))
def test_any_job_id_is_unknown_or_400(alice: FlaskClient, job_id: str) -> None:
    if job_id not in (".", ".."):
        assert is_fine(alice.get(f"{JOBS}/{job_id}"), 400, 404)


def create(client: FlaskClient) -> str:
    return str(json.loads(client.post(JOBS, json=BODY).get_data())["jobId"])


RECORD_FIELDS = ["user", "status", "createdAt", "input", "attempt", "failures", "holder", "cause", "usage"]


@fuzz
@given(field=st.sampled_from(RECORD_FIELDS), value=st.none() | st.binary(max_size=40) | anything.map(json.dumps))
def test_a_corrupt_record_is_never_a_500(alice: FlaskClient, redis: Redis, field: str, value: Any) -> None:
    job_id = create(alice)
    if value is None:
        redis.hdel(keys.record(job_id), field)
    else:
        redis.hset(keys.record(job_id), field, value)
    assert is_fine(alice.get(f"{JOBS}/{job_id}", headers={"Accept": "application/json"}), 200, 403, 404)


@fuzz
@given(name=st.binary(max_size=10) | st.sampled_from([b"delta", b"started", b"complete"]), data=st.binary(max_size=40))
def test_a_corrupt_event_is_left_out_of_the_job(alice: FlaskClient, redis: Redis, name: bytes, data: bytes) -> None:
    job_id = create(alice)
    redis.hset(keys.record(job_id), mapping={"attempt": 1, "status": "in_progress"})
    redis.xadd(keys.log(job_id), {"e": name, "d": data}, id="1-1")
    assert is_fine(alice.get(f"{JOBS}/{job_id}", headers={"Accept": "application/json"}), 200, 404)


@fuzz
@given(value=st.binary(max_size=60) | anything.map(json.dumps))
def test_a_corrupt_agent_counts_as_none(alice: FlaskClient, redis: Redis, value: Any) -> None:
    redis.set(keys.agent("alice"), value)
    assert is_fine(alice.get(AGENT), 404)


def test_an_unknown_job_is_404_whatever_is_asked(alice: FlaskClient) -> None:
    for method in ("get", "delete"):
        assert is_fine(alice.open(f"{JOBS}/{uuid4()}", method=method), 404)

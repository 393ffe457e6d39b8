"""Checks the responses and events that the tests receive against the OpenAPI document.

The users of `tests.stack` and the test clients of Flask apps check every response and every event that they get.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from shared.settings import ApiSettings
from shared.state import keys

Json = dict[str, Any]

HTTP_STATUSES = {405, 414, 417, 431, 501}
"""Any path may answer with these statuses, to requests that violate HTTP or its limits."""
NO_BODY_METHODS = ("HEAD", "OPTIONS")


@cache
def document() -> Json:
    """Returns the OpenAPI document of an app. It sends no command to Redis."""
    prefix = keys.prefix.removesuffix(":")
    app = create_app(ApiSettings(redis_url="redis://127.0.0.1:1/0", auth_mode="demo"))
    keys.use_prefix(prefix)  # restores the prefix of the app under test, which create_app has changed
    return dict(FlaskClient(app).get("/openapi.json").json or {})


@cache
def _components() -> Json:
    """Returns the document's components, with schemas that allow only the fields that the document names.

    Clients have to ignore fields that they do not know; the tests reject such fields.
    """
    components: Json = deepcopy(document()["components"])
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return components


@cache
def _validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": _components()}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def check_schema(name: str, value: Any) -> None:
    """Raises AssertionError if the value does not match the schema of that name."""
    error = next(iter(_validator(name).iter_errors(value)), None)
    assert error is None, f"{name}: {error}"


@cache
def _routes() -> list[tuple[re.Pattern[str], Json]]:
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), item) for path, item in document()["paths"].items()]


def check_answer(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    """Raises AssertionError if a response does not match the document. `body` is None for a stream."""
    item = next((item for pattern, item in _routes() if pattern.fullmatch(path)), None)
    operation = (item or {}).get(method.lower())
    if operation is None or method in NO_BODY_METHODS:
        return
    kind = headers.get("Content-Type", "").partition(";")[0]
    if status in HTTP_STATUSES:
        assert kind == "application/problem+json"
        return
    where = f"{method} {path} -> {status}"
    assert str(status) in operation["responses"], f"{where} is not documented"
    response = operation["responses"][str(status)]
    _check_headers(where, response.get("headers", {}), headers)
    if "content" not in response:
        assert not body, f"{where} has a body"
        return
    assert kind in response["content"], f"{where} is {kind or 'untyped'}"
    if body is not None and "schema" in response["content"][kind]:
        check_schema(response["content"][kind]["schema"]["$ref"].rpartition("/")[2], json.loads(body))


def _check_headers(where: str, documented: Json, headers: Mapping[str, str]) -> None:
    for name in documented:
        described = document()["components"]["headers"][name]
        value = headers.get(name)
        if value is None:
            assert not described.get("required"), f"{where} lacks {name}"
        else:
            typed = int(value) if described["schema"].get("type") == "integer" else value
            assert jsonschema_rs.is_valid(described["schema"], typed), f"{where}: {name}: {value}"


def check_event(event_id: str, name: str, data: str) -> None:
    """Raises AssertionError if an event does not match the document.

    `event_id` is the reader's last event id, which stays the same after an event without an id.
    """
    item = {"event": name, "data": data} | ({"id": event_id} if event_id else {})
    check_schema("StreamItem", item)
    # The document declares `data` as text that holds JSON, which most validators do not look into.
    check_schema("JobEvent", {"event": name, "data": json.loads(data)})


def check_httpx(answer: httpx.Response) -> None:
    """Checks a response, as an event hook of httpx. It reads the body, unless the response is a stream."""
    is_stream = answer.headers.get("Content-Type", "").startswith("text/event-stream")
    body = None if is_stream else answer.read()
    check_answer(answer.request.method, answer.request.url.path, answer.status_code, answer.headers, body)


class CheckedClient(FlaskClient):
    """Represents Flask's test client, and checks every response against the document."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **kwargs)
        body = None if answer.is_streamed else answer.get_data()
        if answer.status_code != 304:
            check_answer(answer.request.method, answer.request.path, answer.status_code, dict(answer.headers), body)
        return answer

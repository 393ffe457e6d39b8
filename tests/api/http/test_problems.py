"""Tests that every error is a problem document that explains the error and reveals nothing internal."""

import signal
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from redis import Redis
from redis.exceptions import RedisError

from api import create_app
from api.http.field_messages import MOST_PROBLEMS
from api.http.problems import ApiProblem
from shared.state.connections import connect, is_outage
from tests.api.resources.test_agents import BODY
from tests.conftest import (
    SECRET,
    ApiSettingsFactory,
    RedisServer,
    bearer,
    free_port,
    opened,
    start_redis,
    token,
)

AGENT = "/api/feature-planner/suggestion-agent"
JSON = "application/json"


def put(client: FlaskClient, body: bytes, content_type: str = JSON) -> tuple[int, dict[str, object]]:
    response = client.put(AGENT, data=body, content_type=content_type)
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem = response.get_json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail"}
    assert problem["status"] == response.status_code
    return response.status_code, problem


def test_an_unknown_path_is_a_problem(client: FlaskClient) -> None:
    response = client.get("/api/feature-planner/nothing")
    assert response.status_code == 404
    assert response.get_json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing here.",
    }


def test_a_wrong_method_is_405_and_names_the_allowed_ones(client: FlaskClient) -> None:
    response = client.post(AGENT, data="not json")
    assert response.status_code == 405
    assert {"GET", "PUT", "DELETE"} <= set(response.headers["Allow"].split(", "))


def test_head_has_the_headers_of_get_and_no_body(client: FlaskClient) -> None:
    response = client.head(AGENT)
    assert (response.status_code, response.data) == (404, b"")
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "application/merge-patch+json",
    ],
)
def test_another_content_type_is_415(client: FlaskClient, content_type: str) -> None:
    assert put(client, b"{}", content_type)[0] == 415


def test_the_content_type_of_json_may_name_utf_8(client: FlaskClient) -> None:
    assert put(client, b"{}", "application/json; charset=UTF-8")[0] == 422


def test_a_compressed_body_is_415(client: FlaskClient) -> None:
    response = client.put(AGENT, data=b"x", content_type=JSON, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415


@pytest.mark.parametrize("length", [16 * 1024 + 1, 16 * 1024 + 2, 10**6])
def test_a_body_over_16_kib_is_413(client: FlaskClient, length: int) -> None:
    assert put(client, b" " * length)[0] == 413


def test_a_body_of_16_kib_is_read(client: FlaskClient) -> None:
    body = b'{"name": "' + b"x" * (16 * 1024 - 12) + b'"}'
    assert len(body) == 16 * 1024
    assert put(client, body)[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'"\xff"',
        b"[" * 16000,
        b'{"a":' * 3000,
        b"9" * 5000,
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_json_is_400(client: FlaskClient, body: bytes) -> None:
    assert put(client, body)[0] == 400


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b'"{}"'])
def test_json_that_is_no_object_is_422_naming_the_body(client: FlaskClient, body: bytes) -> None:
    status, problem = put(client, body)
    assert status == 422
    assert problem["errors"] == [{"field": "body", "message": "must be a JSON object"}]


def test_every_bad_field_is_named_by_its_name_on_the_wire(client: FlaskClient) -> None:
    body = b'{"name": "x", "temperature": 2, "tools": ["Bash", "Read"], "isActive": "yes", "extra": 1, "focus": null}'
    status, problem = put(client, body)
    assert status == 422
    assert problem["errors"] == [
        {"field": "name", "message": "must have at least 3 characters"},
        {"field": "role", "message": "is required"},
        {"field": "focus", "message": "must be a string"},
        {"field": "systemPrompt", "message": "is required"},
        {"field": "temperature", "message": "must be at most 1"},
        {"field": "tools.0", "message": "must be 'Read', 'Grep' or 'Glob'"},
        {"field": "isActive", "message": "must be true or false"},
        {"field": "extra", "message": "is not a known field"},
    ]


@pytest.mark.parametrize(
    "body",
    [rb'{"name": "abc\ud800"}', rb'{"\ud800": 1}', rb'{"tools": ["\udfff"]}', rb'{"temperature": 1e999}'],
)
def test_lone_surrogates_and_infinite_numbers_are_422(client: FlaskClient, body: bytes) -> None:
    status, problem = put(client, body)
    assert status == 422
    assert "pydantic" not in str(problem)


def test_a_problem_does_not_repeat_what_was_sent(client: FlaskClient) -> None:
    _, problem = put(client, b'{"name": 77123, "role": "my secret"}')
    assert "77123" not in str(problem) and "my secret" not in str(problem)


def test_the_token_is_checked_before_the_body_and_the_content_type_before_the_length(app: OpenAPI) -> None:
    stranger = app.test_client()
    assert stranger.put(AGENT, data=b"x" * 20000).status_code == 401
    stranger.set_cookie("__session", token())
    assert stranger.put(AGENT, data=b"x", headers={"Origin": "http://evil.example"}).status_code == 403
    assert stranger.put(AGENT, data=b"x" * 20000).status_code == 415
    assert stranger.put(AGENT, data=b"x" * 20000, content_type=JSON).status_code == 413


def test_an_internal_error_is_logged_and_its_answer_reveals_nothing(
    app: OpenAPI, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise RuntimeError("a secret")

    app.add_url_rule("/fail", view_func=fail)
    response = client.get("/fail")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert "secret" not in response.text
    assert "a secret" in caplog.text and "Traceback" in caplog.text


def test_a_wrong_redis_command_is_an_internal_error_and_not_an_outage(client: FlaskClient, redis: Redis) -> None:
    redis.lpush("agent:alice", "x")
    assert client.get(AGENT).status_code == 500


def test_a_problem_may_carry_headers(app: OpenAPI, client: FlaskClient) -> None:
    def refuse() -> str:
        raise ApiProblem(429, "Too many.", headers={"Retry-After": "7"})

    app.add_url_rule("/refuse", view_func=refuse)
    response = client.get("/refuse")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


# The following tests concern failures of Redis.


def test_without_redis_the_answer_is_503_soon_and_says_nothing_of_redis(
    api_settings: ApiSettingsFactory,
) -> None:
    port = free_port()
    settings = api_settings(redis_url=f"redis://:hunter2@127.0.0.1:{port}", auth_mode="jwt", auth_secret=SECRET)
    for app in opened(create_app(settings)):
        response = app.test_client().get(AGENT, headers=bearer(token()))
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "hunter2" not in response.text and str(port) not in response.text
        assert app.test_client().get("/readyz").status_code == 503


def test_a_demo_without_redis_answers_503_and_recovers(api_settings: ApiSettingsFactory, tmp_path: Path) -> None:
    port = free_port()
    for app in opened(create_app(api_settings(redis_url=f"redis://127.0.0.1:{port}"), static=Path("not built"))):
        client = app.test_client()
        assert client.get("/").status_code == 503
        assert client.get("/healthz").status_code == 200
        server = start_redis(port, tmp_path)
        try:
            assert client.get("/").status_code == 200
            assert client.get("/api/feature-planner/options").status_code == 200
        finally:
            server.process.terminate()
            server.process.wait()


def test_a_redis_that_is_silent_is_503_within_a_few_seconds(api_settings: ApiSettingsFactory, tmp_path: Path) -> None:
    server = start_redis(free_port(), tmp_path)
    settings = api_settings(redis_url=server.url, auth_mode="jwt", auth_secret=SECRET)
    try:
        for app in opened(create_app(settings)):
            client = app.test_client()
            assert client.get(AGENT, headers=bearer(token())).status_code == 404
            server.process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            assert client.get("/readyz").status_code == 503
            assert client.get(AGENT, headers=bearer(token())).status_code == 503
            assert time.monotonic() - started < 5
            server.process.send_signal(signal.SIGCONT)
            assert client.get(AGENT, headers=bearer(token())).status_code == 404
    finally:
        server.process.kill()
        server.process.wait()


def test_no_request_fails_after_redis_was_restarted(api_settings: ApiSettingsFactory, tmp_path: Path) -> None:
    server = start_redis(free_port(), tmp_path)
    settings = api_settings(redis_url=server.url, auth_mode="jwt", auth_secret=SECRET)
    for app in opened(create_app(settings)):
        client = app.test_client()
        assert client.get(AGENT, headers=bearer(token())).status_code == 404
        server.process.kill()
        server.process.wait()
        server = start_redis(server.port, tmp_path)
        assert client.get(AGENT, headers=bearer(token())).status_code == 404
    server.process.kill()
    server.process.wait()


def test_a_full_redis_is_an_outage_also_from_within_a_script(
    redis: Redis, redis_server: RedisServer, client: FlaskClient
) -> None:
    redis.config_set("maxmemory", "1")
    try:
        assert client.put(AGENT, json=BODY).status_code == 503
        with pytest.raises(RedisError) as refused:
            redis.eval("return redis.call('SET', KEYS[1], 'x')", 1, "x")
        assert is_outage(refused.value)
    finally:
        redis.config_set("maxmemory", "0")
    assert client.put(AGENT, json=BODY).status_code == 200


def test_a_read_only_redis_is_an_outage_and_a_broken_script_is_not(redis: Redis) -> None:
    redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    try:
        for attempt in (
            lambda: redis.set("x", "y"),
            lambda: redis.eval("return redis.call('SET', KEYS[1], 'x')", 1, "x"),
        ):
            with pytest.raises(RedisError) as refused:
                attempt()
            assert is_outage(refused.value)
    finally:
        redis.execute_command("REPLICAOF", "NO", "ONE")
    with pytest.raises(RedisError) as refused:
        redis.eval("return redis.call('NOPE')", 0)
    assert not is_outage(refused.value)


def test_redis_urls_of_unix_sockets_and_tls_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = start_redis(free_port(), tmp_path, "--unixsocket", str(path))
    try:
        with connect(f"unix://{path}?db=1") as client:
            assert client.set("x", b"\xff") and client.get("x") == b"\xff"
        with connect("rediss://localhost:1/2") as client:
            assert client.connection_pool.connection_kwargs["db"] == 2
    finally:
        server.process.kill()
        server.process.wait()


def test_a_problem_names_a_limited_number_of_unknown_fields(client: FlaskClient) -> None:
    answer = client.put("/api/feature-planner/suggestion-agent", json={f"a{number}": 1 for number in range(1200)})
    assert answer.status_code == 422 and answer.json
    assert len(answer.json["errors"]) == MOST_PROBLEMS and len(answer.get_data()) < 10_000

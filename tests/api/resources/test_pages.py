"""Tests the page and its assets, the documentation page, the options and the probes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from redis import Redis

from api import create_app
from shared import __version__
from shared.state import keys
from tests.conftest import ApiSettingsFactory, RedisServer, free_port, opened, start_redis


def test_without_a_built_client_the_page_points_to_the_documentation_and_curl(
    api_settings: ApiSettingsFactory, redis: Redis, tmp_path: Path
) -> None:
    for app in opened(create_app(api_settings(), static=tmp_path)):
        response = app.test_client().get("/")
    assert response.status_code == 200
    assert "/docs" in response.text and "curl" in response.text


@pytest.fixture
def built_client(api_settings: ApiSettingsFactory, redis: Redis, tmp_path: Path) -> Iterator[FlaskClient]:
    (tmp_path / "index.html").write_text("<title>built</title>")
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "index-abc123.js").write_text("plain")
    (assets / "index-abc123.js.br").write_text("brotli")
    (assets / "index-abc123.js.gz").write_text("gzip")
    (tmp_path / "secret.txt").write_text("secret")
    for app in opened(create_app(api_settings(), static=tmp_path)):
        yield app.test_client()


def test_the_built_client_is_revalidated_at_every_request(built_client: FlaskClient) -> None:
    with built_client.get("/") as response:
        assert response.get_data(as_text=True) == "<title>built</title>"
        assert response.headers["Cache-Control"] == "no-cache"
        assert "Set-Cookie" in response.headers


@pytest.mark.parametrize(
    ("accepted", "body", "encoding"),
    [
        ("", "plain", None),
        ("gzip, br", "brotli", "br"),
        ("gzip", "gzip", "gzip"),
        ("br;q=0, gzip", "gzip", "gzip"),
    ],
)
def test_assets_are_immutable_and_compressed_where_the_client_accepts_that(
    built_client: FlaskClient, accepted: str, body: str, encoding: str | None
) -> None:
    with built_client.get("/assets/index-abc123.js", headers={"Accept-Encoding": accepted}) as response:
        assert response.get_data(as_text=True) == body
        assert response.headers.get("Content-Encoding") == encoding
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.mimetype == "text/javascript"
        assert "Accept-Encoding" in response.headers["Vary"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "%00", "a" * 320 + ".js"]
)
def test_paths_that_name_no_asset_are_404(built_client: FlaskClient, name: str) -> None:
    response = built_client.get(f"/assets/{name}", headers={"Accept-Encoding": "br, gzip"})
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/assets/index-abc123.js", "/docs/js/swagger-ui-bundle.js"])
def test_a_failed_precondition_is_a_problem_and_not_part_of_a_file(built_client: FlaskClient, path: str) -> None:
    answer = built_client.get(path, headers={"If-Match": '"another"'})
    assert (answer.status_code, answer.content_type) == (412, "application/problem+json")
    assert answer.json and answer.json["status"] == 412


def test_the_docs_page_and_all_its_files_are_served_by_this_server(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and page.mimetype == "text/html"
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith("/docs/")
        with client.get(address) as response:
            assert response.status_code == 200


def test_every_response_carries_security_headers(client: FlaskClient) -> None:
    for path in ("/", "/docs", "/healthz", "/nothing", "/api/feature-planner/options", "/openapi.json"):
        with client.get(path) as response:
            headers = response.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert ("unsafe-inline" in policy) is (path == "/docs")
        assert "script-src" not in policy


@pytest.mark.parametrize(("given", "is_kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 129, False)])
def test_a_valid_request_id_is_returned_and_any_other_is_replaced(
    client: FlaskClient, given: str, is_kept: bool
) -> None:
    answered = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert (answered == given) is is_kept
    assert re.fullmatch(r"[\w.-]{1,128}", answered)


def test_options_contain_what_a_form_needs(client: FlaskClient) -> None:
    response = client.get("/api/feature-planner/options")
    assert response.headers["Cache-Control"] == "no-store"
    options = response.get_json()
    assert set(options) == {"featureTypes", "priorityLevels", "models", "defaultModel", "isSandbox", "limits"} | {
        "agent",
        "repositoryUrl",
        "signInUrl",
    }
    assert [options[name] for name in ("agent", "repositoryUrl", "signInUrl")] == [None] * 3
    assert options["models"][0] == options["defaultModel"] == "claude-sonnet-5-5"
    assert options["limits"]["pageOrComponentMaxLength"] == 200
    assert options["isSandbox"] is False


def test_options_contain_the_active_agent_and_the_urls_that_the_operator_sets(
    api_settings: ApiSettingsFactory, redis: Redis, tmp_path: Path
) -> None:
    settings = api_settings(repository_url="https://github.com/acme/shop/blob/main/", sign_in_url="/sign-in")
    agent = {
        "name": "Careful reviewer",
        "role": "Product engineer",
        "focus": "Small and safe first steps",
        "systemPrompt": "You suggest small and safe first steps for products that people rely on.",
        "tools": [],
    }
    for app in opened(create_app(settings, static=tmp_path)):
        client = app.test_client()
        client.get("/")
        for is_active, name in ((False, None), (True, "Careful reviewer")):
            put = client.put("/api/feature-planner/suggestion-agent", json={**agent, "isActive": is_active})
            assert put.status_code == 200, put.text
            options = client.get("/api/feature-planner/options").get_json()
            assert options["agent"] == name
            assert options["repositoryUrl"] == "https://github.com/acme/shop/blob/main/"
            assert options["signInUrl"] == "/sign-in"


def test_healthz_returns_the_version(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok", "version": __version__}


def test_readyz_counts_the_workers_with_a_recent_heartbeat(client: FlaskClient, redis: Redis) -> None:
    seconds, microseconds = redis.time()
    now = seconds * 1000 + microseconds // 1000
    redis.zadd(keys.WORKERS, {"here": now, "also": now - 8000, "gone": now - 12000})
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.get_json() == {"status": "ok", "redis": "ok", "workers": 2}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = start_redis(free_port(), tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.mark.parametrize(
    ("change", "state"),
    [("REPLICAOF 127.0.0.1 1", "replica"), ("ACL SETUSER limited on >pw ~* +@all -zrem", "forbidden")],
)
def test_a_process_whose_redis_takes_no_writes_is_not_ready_and_says_why(
    own_redis: RedisServer, api_settings: ApiSettingsFactory, change: str, state: str
) -> None:
    user = "limited:pw@" if state == "forbidden" else ""
    with Redis(port=own_redis.port) as redis:
        redis.execute_command(*change.split())
        for app in opened(create_app(api_settings(redis_url=f"redis://{user}127.0.0.1:{own_redis.port}/0"))):
            client = app.test_client()
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json) == (
                503,
                {"status": "unavailable", "redis": state, "workers": None},
            )
            redis.execute_command("REPLICAOF", "NO", "ONE")
            redis.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all")
            assert client.get("/readyz").status_code == 200


def test_a_process_that_is_stopping_is_not_ready(app: OpenAPI, client: FlaskClient) -> None:
    app.extensions["planner"].stopping.set()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json() == {"status": "stopping", "redis": "ok", "workers": 0}

"""Who is calling: section 5 of the contract."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from redis import Redis

from api import create_app
from api.auth import jwks as product_key_server
from tests.api.auth.key_server import KeySource, serve_keys
from tests.conftest import SECRET, ApiSettingsFactory, bearer, opened, token

OPTIONS = "/api/feature-planner/options"
AGENT = "/api/feature-planner/suggestion-agent"


def test_a_bearer_token_signs_in(client: FlaskClient) -> None:
    assert client.get(OPTIONS).status_code == 200


def test_without_a_token_the_answer_is_401_that_says_how_to_sign_in(app: OpenAPI) -> None:
    response = app.test_client().get(OPTIONS)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.content_type == "application/problem+json"


def test_an_unknown_path_below_the_api_is_401_before_it_is_404(app: OpenAPI) -> None:
    assert app.test_client().get("/api/feature-planner/nothing").status_code == 401
    assert app.test_client().get("/nothing").status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        token(secret="another secret, also longer than 32 bytes"),
        token(lifetime_seconds=-1),
        token(subject=""),
        token(subject="x" * 256),
        token(subject="line\nbreak"),
        token(subject="\ud800"),
        jwt.encode({"sub": 7, "exp": 9e9}, SECRET),
        jwt.encode({"sub": "alice"}, SECRET),
        jwt.encode({"exp": 9e9}, SECRET),
        jwt.encode({"sub": "alice", "exp": "soon"}, SECRET),
        jwt.encode({"sub": "alice", "exp": 9e9}, SECRET, algorithm="HS384"),
        jwt.encode({"sub": "alice", "exp": 9e9}, "", algorithm="none"),
        jwt.utils.base64url_encode(b"[" * 3000).decode() + ".e30.x",
    ],
)
def test_a_bad_token_is_401_and_the_answer_does_not_say_why(app: OpenAPI, bad: str) -> None:
    response = app.test_client().get(OPTIONS, headers=bearer(bad))
    assert response.status_code == 401
    assert response.get_json()["detail"].endswith("Sign in again.")


def test_a_bad_bearer_token_is_not_rescued_by_a_good_cookie(app: OpenAPI) -> None:
    client = app.test_client()
    client.set_cookie("__session", token())
    assert client.get(OPTIONS).status_code == 200
    assert client.get(OPTIONS, headers=bearer("bad")).status_code == 401


def test_a_token_that_names_an_audience_will_do_where_none_is_asked_for(app: OpenAPI) -> None:
    assert app.test_client().get(OPTIONS, headers=bearer(token(aud="x", iss="y", iat=9e9))).status_code == 200


def test_issuer_and_audience_are_checked_where_set(api_settings: ApiSettingsFactory, redis: Redis) -> None:
    settings = api_settings(auth_mode="jwt", auth_secret=SECRET, auth_issuer="us", auth_audience="planner")
    client = create_app(settings).test_client()

    def status(**claims: Any) -> int:
        return client.get(OPTIONS, headers=bearer(token(**claims))).status_code

    assert status(iss="us", aud="planner") == 200
    assert status(iss="them", aud="planner") == status(iss="us", aud="other") == status() == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 204),
        ({"Sec-Fetch-Site": "none"}, 204),
        ({"Origin": "https://localhost:443"}, 204),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
    ],
)
def test_with_a_cookie_another_origin_cannot_change_anything(
    app: OpenAPI, headers: dict[str, str], status: int
) -> None:
    client = app.test_client()
    client.set_cookie("__session", token())
    assert client.delete(AGENT, headers=headers).status_code == status
    assert client.get(OPTIONS, headers=headers).status_code == 200, "reading is not refused"
    assert client.delete(AGENT, headers={**headers, **bearer(token())}).status_code == 204, "nor is a bearer"


# keys of a JWKS

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def _jwk(text: str, key_id: str) -> dict[str, Any]:
    return {**json.loads(text), "kid": key_id, "use": "sig"}


RSA_JWK = _jwk(RSAAlgorithm.to_jwk(RSA_KEY.public_key()), "rsa")
EC_JWK = _jwk(ECAlgorithm.to_jwk(EC_KEY.public_key()), "ec")


@pytest.fixture
def key_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeySource]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_keys() as source:
        source.keys = [RSA_JWK, EC_JWK]
        yield source


@pytest.fixture
def jwks_client(api_settings: ApiSettingsFactory, redis: Redis, key_source: KeySource) -> Iterator[FlaskClient]:
    for app in opened(create_app(api_settings(auth_mode="jwt", auth_jwks_url=key_source.url))):
        yield app.test_client()


def signed(key: Any, algorithm: str, key_id: str | None) -> dict[str, str]:
    headers = {"kid": key_id} if key_id else {}
    return bearer(jwt.encode({"sub": "alice", "exp": time.time() + 60}, key, algorithm, headers=headers))


def test_tokens_signed_by_keys_of_the_key_server_sign_in_with_one_fetch(
    jwks_client: FlaskClient, key_source: KeySource
) -> None:
    for _ in range(3):
        assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
        assert jwks_client.get(OPTIONS, headers=signed(EC_KEY, "ES256", "ec")).status_code == 200
    assert key_source.fetches == 1


def test_a_token_of_another_key_or_algorithm_is_401(jwks_client: FlaskClient, key_source: KeySource) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = HMACAlgorithm.to_jwk(SECRET.encode())
    key_source.keys.append(_jwk(secret, "oct"))
    for headers in [
        signed(stranger, "RS256", "rsa"),
        signed(RSA_KEY, "RS512", "rsa"),
        signed(RSA_KEY, "RS256", "ec"),
        signed(RSA_KEY, "RS256", None),
        signed(SECRET, "HS256", "rsa"),
        signed(SECRET, "HS256", "oct"),
    ]:
        assert jwks_client.get(OPTIONS, headers=headers).status_code == 401


def test_unknown_key_ids_cause_one_fetch_a_minute(
    jwks_client: FlaskClient, key_source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key_id in ("new", "other", "third"):
        assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", key_id)).status_code == 401
    assert key_source.fetches == 1
    key_source.keys.append({**RSA_JWK, "kid": "new"})
    monkeypatch.setattr(product_key_server, "REFRESH_SECONDS", 0)
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "new")).status_code == 200


def test_a_key_server_that_is_down_is_503_and_is_not_asked_by_every_request(
    jwks_client: FlaskClient, key_source: KeySource
) -> None:
    key_source.is_up = False
    for _ in range(3):
        response = jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa"))
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert key_source.url not in response.text
    assert key_source.fetches == 1


def test_known_keys_outlast_a_key_server_that_goes_down(
    jwks_client: FlaskClient, key_source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
    key_source.is_up = False
    monkeypatch.setattr(product_key_server, "LIFESPAN_SECONDS", 0)
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
    assert key_source.fetches == 2


# demo mode


def test_the_page_signs_a_browser_in_and_leaves_it_signed_in(demo_app: OpenAPI) -> None:
    client = demo_app.test_client()
    assert client.get(OPTIONS).status_code == 401
    cookie = client.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    assert client.get(OPTIONS).status_code == 200
    assert "Set-Cookie" not in client.get("/").headers


def test_a_forged_demo_cookie_is_401_and_the_page_replaces_it(demo_app: OpenAPI) -> None:
    client = demo_app.test_client()
    client.set_cookie("__session", "demo-somebody.AAAA")
    assert client.get(OPTIONS).status_code == 401
    assert "Set-Cookie" in client.get("/").headers
    assert client.get(OPTIONS).status_code == 200


def test_two_browsers_are_two_users(demo_app: OpenAPI) -> None:
    cookies = {demo_app.test_client().get("/").headers["Set-Cookie"].split(";")[0] for _ in range(2)}
    assert len(cookies) == 2


def test_a_demo_cookie_outlives_a_restart(demo_client: FlaskClient, api_settings: ApiSettingsFactory) -> None:
    cookie = demo_client.get_cookie("__session")
    assert cookie is not None
    for restarted in opened(create_app(api_settings(), static=Path("not built"))):
        client = restarted.test_client()
        client.set_cookie("__session", cookie.value)
        assert client.get(OPTIONS).status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.5", "8.8.8.8", "::2", "", "::ffff:10.0.0.1"])
def test_demo_mode_serves_no_other_machine(demo_client: FlaskClient, address: str) -> None:
    for path in ("/", OPTIONS, "/docs"):
        assert demo_client.get(path, environ_base={"REMOTE_ADDR": address}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "a.localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8000"]
)
def test_demo_mode_answers_to_names_of_this_machine(demo_app: OpenAPI, host: str) -> None:
    assert demo_app.test_client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::2]",
        "localhost,evil",
        "notlocalhost",
        "[::1",
        "",
    ],
)
def test_demo_mode_refuses_other_names_so_that_rebinding_dns_is_no_way_in(demo_app: OpenAPI, host: str) -> None:
    assert demo_app.test_client().get("/", headers={"Host": host}).status_code == 403


def test_in_demo_mode_another_origin_cannot_change_anything(demo_client: FlaskClient) -> None:
    assert demo_client.delete(AGENT).status_code == 204
    assert demo_client.delete(AGENT, headers={"Origin": "http://evil.example"}).status_code == 403
    assert demo_client.delete(AGENT, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403

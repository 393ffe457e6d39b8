"""Tests how callers are authenticated: section 5 of docs/protocol.md."""

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
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
from api.auth.key_fetch import USER_AGENT
from api.checks import check_auth
from tests.api.auth.key_server import KeySource, serve_keys
from tests.conftest import SECRET, ApiSettingsFactory, bearer, opened, token

OPTIONS = "/api/feature-planner/options"
JOB = "/api/feature-planner/suggest-feature/5b0c3f5e-2f0b-4f0e-9d0c-3a1c5d1f7e11"
OTHER_SECRET = "another secret, also longer than 32 bytes"
AGENT = "/api/feature-planner/suggestion-agent"
LASTING: dict[str, Any] = {"lifetime_seconds": 86_400}
"""Tokens that are made while the tests are collected get these arguments, to be valid until their test runs."""


def test_a_bearer_token_signs_in(client: FlaskClient) -> None:
    assert client.get(OPTIONS).status_code == 200


def test_a_request_without_a_token_is_401_and_names_the_bearer_scheme(app: OpenAPI) -> None:
    response = app.test_client().get(OPTIONS)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.content_type == "application/problem+json"
    assert "Sign-In-URL" not in response.headers


@pytest.mark.parametrize("url", ["/sign-in?next=planner", "https://accounts.example/sign-in"])
@pytest.mark.parametrize("headers", [{}, bearer("x"), {"Cookie": f"__session={token(lifetime_seconds=-60)}"}])
@pytest.mark.parametrize("path", [OPTIONS, JOB])
def test_a_401_says_where_to_sign_in_to_any_user_who_is_signed_out(
    api_settings: ApiSettingsFactory, path: str, headers: dict[str, str], url: str
) -> None:
    app = create_app(api_settings(auth_mode="jwt", auth_secret=SECRET, sign_in_url=url))
    accept = {"Accept": "text/event-stream"} if path != OPTIONS else {}
    answer = app.test_client().get(path, headers={**headers, **accept})
    assert answer.status_code == 401 and answer.headers["Sign-In-URL"] == url


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
        token(**LASTING, secret=OTHER_SECRET),
        token(lifetime_seconds=-60),
        token(**LASTING, nbf=time.time() + 80_000),
        token(**LASTING, subject=""),
        token(**LASTING, subject="x" * 256),
        token(**LASTING, subject="line\nbreak"),
        token(**LASTING, subject="\ud800"),
        jwt.encode({"sub": 7, "exp": 9e9}, SECRET),
        jwt.encode({"sub": "alice"}, SECRET),
        jwt.encode({"exp": 9e9}, SECRET),
        jwt.encode({"sub": "alice", "exp": "soon"}, SECRET),
        jwt.encode({"sub": "alice", "exp": 9e9}, SECRET, algorithm="HS384"),
        jwt.encode({"sub": "alice", "exp": 9e9}, "", algorithm="none"),
        jwt.utils.base64url_encode(b"[" * 3000).decode() + ".e30.x",
    ],
)
def test_an_invalid_token_is_401_and_the_answer_does_not_say_why(app: OpenAPI, bad: str) -> None:
    response = app.test_client().get(OPTIONS, headers=bearer(bad))
    assert response.status_code == 401
    assert response.get_json()["detail"].endswith("Sign in again.")


@pytest.mark.parametrize("seconds", [1, 20])
def test_clocks_may_differ_by_some_seconds(app: OpenAPI, seconds: int) -> None:
    late, early = token(lifetime_seconds=-seconds), token(nbf=time.time() + seconds, iat=time.time() + seconds)
    for good in (late, early):
        assert app.test_client().get(OPTIONS, headers=bearer(good)).status_code == 200


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (token("a-name", lifetime_seconds=-60), "it has expired (exp)"),
        (token("a-name", **LASTING, nbf=time.time() + 80_000), "it is not valid yet (nbf)"),
        (
            token("a-name", **LASTING, secret=OTHER_SECRET),
            "its signature does not verify",
        ),
        (jwt.encode({"sub": "a-name"}, SECRET), "it has no exp"),
        (jwt.encode({"sub": 7, "exp": 9e9}, SECRET), "its subject is no text (sub)"),
        (jwt.encode({"sub": "a-name", "exp": 9e9}, SECRET, "HS384"), "its algorithm is not one that is taken (alg)"),
        ("a-name.a-name", "it is malformed (DecodeError)"),
        (token("a-name" * 50, **LASTING), "its subject is empty, too long or not printable (sub)"),
    ],
)
def test_the_log_says_why_a_token_was_refused_and_nothing_of_the_token(
    app: OpenAPI, caplog: pytest.LogCaptureFixture, bad: str, reason: str
) -> None:
    caplog.set_level("INFO")
    client = app.test_client()
    assert client.get(OPTIONS, headers=bearer(bad)).status_code == 401
    assert f"the token in the Authorization header was refused: {reason}" in caplog.text
    client.set_cookie("__session", bad)
    assert client.get(OPTIONS).status_code == 401
    assert f"the token in the cookie was refused: {reason}" in caplog.text
    assert "a-name" not in caplog.text and not any(part in caplog.text for part in bad.split("."))


def test_an_invalid_bearer_token_is_401_even_with_a_valid_cookie(app: OpenAPI) -> None:
    client = app.test_client()
    client.set_cookie("__session", token())
    assert client.get(OPTIONS).status_code == 200
    assert client.get(OPTIONS, headers=bearer("bad")).status_code == 401


def test_issuer_and_audience_of_a_token_are_ignored_where_not_set(app: OpenAPI) -> None:
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
    assert client.get(OPTIONS, headers=headers).status_code == 200, "reading was refused"
    assert client.delete(AGENT, headers={**headers, **bearer(token())}).status_code == 204, "a bearer token was refused"


# The following tests use keys of a JWKS.

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


def test_known_keys_stay_in_use_when_the_key_server_is_down(
    jwks_client: FlaskClient, key_source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
    key_source.is_up = False
    monkeypatch.setattr(product_key_server, "LIFESPAN_SECONDS", 0)
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
    assert key_source.fetches == 2


def drip(handler: BaseHTTPRequestHandler, seconds: float = 8) -> None:
    """Sends the head and then one byte at a time, each well within the time-out of a single read."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(int(seconds * 20)):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def drip_head(handler: BaseHTTPRequestHandler) -> None:
    for number in range(160):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if number == 0 else b"X-%d: x\r\n" % (number % 90))
        time.sleep(0.05)


def body(document: bytes, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        for _ in range(0, len(document), 1 << 16):
            handler.wfile.write(document[: 1 << 16])

    return answer


@pytest.mark.parametrize("answer", [drip, drip_head])
def test_a_key_server_that_answers_byte_by_byte_delays_a_request_no_longer_than_the_time_out(
    jwks_client: FlaskClient,
    key_source: KeySource,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    monkeypatch.setattr(product_key_server, "TIMEOUT_SECONDS", 0.3)
    key_source.answer = answer
    began = time.monotonic()
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 503
    assert time.monotonic() - began < 10
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 503
    assert key_source.fetches == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        b'{"keys":' * 20_000,
        b"[]",
        b'"keys"',
        b'{"keys": {"a": 1}}',
        b'{"keys": null}',
        b"9" * 10_000,
        b'{"keys": [' + b" " * 50_000_000,
    ],
    ids=lambda document: str(document[:8]),
)
def test_an_invalid_key_set_is_503_and_is_fetched_once(
    jwks_client: FlaskClient, key_source: KeySource, document: bytes
) -> None:
    key_source.answer = body(document)
    for _ in range(2):
        assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 503
    assert key_source.fetches == 1


@pytest.mark.parametrize(
    "strange",
    [
        {**RSA_JWK, "kid": ["a", "list"]},
        {**RSA_JWK, "kid": {"an": "object"}},
        {**RSA_JWK, "kid": None},
        {**RSA_JWK, "kid": "other", "n": "!"},
        {**RSA_JWK, "kid": "other", "n": 5, "e": []},
        {**RSA_JWK, "kid": "other", "kty": ["RSA"]},
        {**EC_JWK, "kid": "other", "crv": "P-0"},
        {**RSA_JWK, "kid": "other", "alg": 7},
        {"kid": "other", "kty": "OKP"},
        [],
        "key",
        None,
    ],
)
def test_an_invalid_key_is_skipped_and_the_other_keys_are_used(
    jwks_client: FlaskClient, key_source: KeySource, strange: Any
) -> None:
    key_source.keys.insert(0, strange)
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 200
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "other")).status_code == 401
    assert key_source.fetches == 1


def test_requests_to_the_key_server_have_a_user_agent(jwks_client: FlaskClient, key_source: KeySource) -> None:
    jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa"))
    assert key_source.user_agents == [USER_AGENT]


def test_a_redirect_of_the_key_server_to_another_scheme_is_refused(
    jwks_client: FlaskClient, key_source: KeySource, caplog: pytest.LogCaptureFixture
) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "https://127.0.0.1:1/keys")
        handler.end_headers()

    key_source.answer = redirect
    assert jwks_client.get(OPTIONS, headers=signed(RSA_KEY, "RS256", "rsa")).status_code == 503
    assert "the key server redirects to a URL of another scheme" in caplog.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (body(b"", 403), "answered 403"),
        (body(b"no"), "gave something that is no JWKS"),
        (drip, "gave no whole answer in 0.3 s"),
        (body(b" " * 300_000), "gave more than 262144 bytes"),
    ],
)
def test_the_check_reports_what_the_key_server_answers(
    api_settings: ApiSettingsFactory,
    key_source: KeySource,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[BaseHTTPRequestHandler], None],
    said: str,
) -> None:
    monkeypatch.setattr(product_key_server, "TIMEOUT_SECONDS", 0.3)
    settings = api_settings(auth_mode="jwt", auth_jwks_url=key_source.url)
    key_source.answer = answer
    origin = key_source.url.removesuffix("/jwks.json")  # the check does not show the path, which may hold a secret
    assert next(iter(check_auth(settings))) == ("FAIL", "auth", f"AUTH_JWKS_URL: the key server {origin} {said}")
    key_source.answer = None
    assert next(iter(check_auth(settings))).text == f"2 keys for signatures from {origin}"


def test_the_check_reports_a_key_server_that_cannot_be_reached(api_settings: ApiSettingsFactory) -> None:
    settings = api_settings(auth_mode="jwt", auth_jwks_url="http://127.0.0.1:1/keys")
    finding = next(iter(check_auth(settings)))
    assert finding.text.endswith("could not be reached: ConnectionRefusedError")


# The following tests use demo mode.


def test_the_page_signs_a_browser_in_and_leaves_it_signed_in(demo_app: OpenAPI) -> None:
    client = demo_app.test_client()
    assert client.get(OPTIONS).status_code == 401
    cookie = client.get("/").headers["Set-Cookie"]
    assert cookie.startswith("planner_demo=")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    assert client.get(OPTIONS).status_code == 200
    assert "Set-Cookie" not in client.get("/").headers


def test_a_forged_demo_cookie_is_401_and_the_page_replaces_it(demo_app: OpenAPI) -> None:
    client = demo_app.test_client()
    client.set_cookie("planner_demo", "demo-somebody.AAAA")
    assert client.get(OPTIONS).status_code == 401
    assert "Set-Cookie" in client.get("/").headers
    assert client.get(OPTIONS).status_code == 200


def test_the_demo_cookie_does_not_replace_the_session_cookie_of_another_application(
    api_settings: ApiSettingsFactory, redis: Redis, tmp_path: Path
) -> None:
    for app in opened(create_app(api_settings(auth_cookie="of_another"), static=tmp_path)):
        client = app.test_client()
        client.set_cookie("__session", "another application's")
        assert client.get("/").headers["Set-Cookie"].startswith("planner_demo=")
        assert client.get(OPTIONS).status_code == 200
        assert client.get("/openapi.json").get_json()["components"]["securitySchemes"]["cookie"]["name"] == (
            "planner_demo"
        )


def test_two_browsers_are_two_users(demo_app: OpenAPI) -> None:
    cookies = {demo_app.test_client().get("/").headers["Set-Cookie"].split(";")[0] for _ in range(2)}
    assert len(cookies) == 2


def test_a_demo_cookie_outlives_a_restart(demo_client: FlaskClient, api_settings: ApiSettingsFactory) -> None:
    cookie = demo_client.get_cookie("planner_demo")
    assert cookie is not None
    for restarted in opened(create_app(api_settings(), static=Path("not built"))):
        client = restarted.test_client()
        client.set_cookie("planner_demo", cookie.value)
        assert client.get(OPTIONS).status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.5", "8.8.8.8", "::2", "", "::ffff:10.0.0.1"])
def test_demo_mode_refuses_requests_from_other_machines(demo_client: FlaskClient, address: str) -> None:
    for path in ("/", OPTIONS, "/docs"):
        assert demo_client.get(path, environ_base={"REMOTE_ADDR": address}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "a.localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8000"]
)
def test_demo_mode_accepts_host_names_of_this_machine(demo_app: OpenAPI, host: str) -> None:
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
def test_demo_mode_refuses_other_host_names_to_prevent_dns_rebinding(demo_app: OpenAPI, host: str) -> None:
    assert demo_app.test_client().get("/", headers={"Host": host}).status_code == 403


def test_in_demo_mode_another_origin_cannot_change_anything(demo_client: FlaskClient) -> None:
    assert demo_client.delete(AGENT).status_code == 204
    assert demo_client.delete(AGENT, headers={"Origin": "http://evil.example"}).status_code == 403
    assert demo_client.delete(AGENT, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403

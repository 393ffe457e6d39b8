"""Tests the default of each setting, and that a malformed one is refused by its name without its value."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import NAMES_WITH_FILES, ApiSettings, Settings, WorkerSettings, load

URL = "redis://localhost:6379/0"
SECRET = "0123456789abcdef0123456789abcdef"
COMMON: dict[str, Any] = {
    "redis_max_connections": 37,
    "otel_exporter_otlp_endpoint": None,
    "redis_prefix": "",
    "claude_model": "claude-sonnet-5-5",
    "allowed_models": ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"),
    "job_timeout_seconds": 120,
    "max_attempts": 3,
    "job_ttl_seconds": 600,
    "failed_retention_seconds": 3600,
    "completed_retention_seconds": 600,
    "sentry_dsn": None,
    "sentry_environment": "production",
    "sentry_traces_sample_rate": 0,
    "log_level": "INFO",
    "log_format": "json",
}
API: dict[str, Any] = {
    "auth_jwks_url": None,
    "auth_issuer": None,
    "auth_audience": None,
    "auth_cookie": "__session",
    "port": 8000,
    "jobs_per_minute": 10,
    "streams_per_user": 5,
    "max_queued_jobs": 1000,
    "max_connections": 9500,
    "request_seconds": 15,
    "cors_origins": (),
    "keepalive_seconds": 15,
    "repository_url": None,
    "sign_in_url": None,
}
WORKER: dict[str, Any] = {
    "anthropic_base_url": "https://api.anthropic.com",
    "claude_effort": "medium",
    "model_silence_seconds": 75,
    "max_wait_seconds": 300,
    "max_job_tokens": 1_000_000,
    "project_root": None,
    "worker_concurrency": 100,
    "drain_seconds": 25,
    "delta_interval_ms": 100,
    "metrics_port": None,
    "metrics_host": "127.0.0.1",
}
NEEDED: dict[type[Settings], dict[str, str]] = {
    ApiSettings: {"REDIS_URL": URL, "AUTH_MODE": "jwt", "AUTH_SECRET": SECRET},
    WorkerSettings: {"REDIS_URL": URL, "ANTHROPIC_API_KEY": "sk-ant-x"},
}
WELL_FORMED = {
    "REDIS_URL": "rediss://user:p%40ss@redis.example:6380/3?ssl_cert_reqs=none",
    "REDIS_MAX_CONNECTIONS": "20",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "REDIS_PREFIX": "staging-2",
    "CLAUDE_MODEL": "anthropic/claude-opus-5-5",
    "ALLOWED_MODELS": "claude-opus-5-5",
    "JOB_TIMEOUT_SECONDS": "121",
    "MAX_ATTEMPTS": "4",
    "JOB_TTL_SECONDS": "601",
    "FAILED_RETENTION_SECONDS": "3601",
    "COMPLETED_RETENTION_SECONDS": "0",
    "SENTRY_DSN": "https://key@sentry.example/path/42",
    "SENTRY_ENVIRONMENT": "staging",
    "SENTRY_TRACES_SAMPLE_RATE": "0.25",
    "LOG_LEVEL": "warning",
    "LOG_FORMAT": "console",
    "AUTH_MODE": "jwt",
    "AUTH_SECRET": "",
    "AUTH_JWKS_URL": "https://keys.example:8443/jwks?x=1",
    "AUTH_ISSUER": "https://issuer.example/",
    "AUTH_AUDIENCE": "planner",
    "AUTH_COOKIE": "token",
    "PORT": "80",
    "JOBS_PER_MINUTE": "11",
    "STREAMS_PER_USER": "6",
    "MAX_QUEUED_JOBS": "1001",
    "MAX_CONNECTIONS": "9501",
    "REQUEST_SECONDS": "1.5",
    "CORS_ORIGINS": "https://app.example.com,http://localhost:3000",
    "KEEPALIVE_SECONDS": "0.5",
    "REPOSITORY_URL": "https://github.com/acme/shop/blob/main/",
    "SIGN_IN_URL": "/sign-in?next=planner",
    "ANTHROPIC_API_KEY": "sk-ant-y",
    "ANTHROPIC_BASE_URL": "http://[::1]:4000/gateway",
    "CLAUDE_EFFORT": "xhigh",
    "MODEL_SILENCE_SECONDS": "200",
    "MAX_WAIT_SECONDS": "0",
    "MAX_JOB_TOKENS": "5",
    "PROJECT_ROOT": "/",
    "WORKER_CONCURRENCY": "1",
    "DRAIN_SECONDS": "0",
    "DELTA_INTERVAL_MS": "0",
    "METRICS_PORT": "9100",
    "METRICS_HOST": "::",
}
"""This maps each setting to a value that is not its default."""
NOT_COUNTS = ("canary-abc", "0", "-1", "1.5", "nan", "inf", "1e400", "12canary", "٣٣x", "true", "[1]", "9" * 30)
NOT_MORE_THAN_NONE = tuple(value for value in NOT_COUNTS if value != "0")
NOT_PORTS = (*NOT_COUNTS, "65536", "70000")
MALFORMED: list[tuple[type[Settings], str, tuple[str, ...]]] = [
    (
        ApiSettings,
        "REDIS_PREFIX",
        ("canary*", "canary:", "can ary", "canary" * 7, "[canary]", "canaryé", "canary\n2", "agent", "rq"),
    ),
    (
        ApiSettings,
        "REDIS_URL",
        (
            "canary-abc",
            "localhost:6379",
            "http://canary",
            "redis:/canary",
            "redis://",
            "redis://:canary@/0",
            "redis://u:canary@h:port/0",
            "redis://u:canary@h:0/0",
            "redis://u:canary@h:70000/0",
            "redis://[canary",
            "redis://can ary/0",
            "redis://u:can/ary@h/0",
            "redis://u:12/canary@h/0",
            "redis://u:12#canary@h/0",
            "redis://u:12?canary@h/0",
            "redis://u:12?canary=1@h/0",
            "redis://h/canary",
            "redis://h/0/canary",
            "redis://h/-1",
            "redis://h/0?decode_responses=true",
            "redis://h/0?socket_timeout=canary",
            "redis://h/0?canary=1",
            "redis://h/0?db=canary",
            "redis://h/0?ssl_cert_reqs=none",
            "rediss://h/0?ssl_cert_reqs=canary",
            "rediss://h/0?ssl_check_hostname=canary",
            "rediss://h/0?ssl_ca_certs=/canary/is/not/there.pem",
            "rediss://h/0?ssl_keyfile=/tmp",
            "rediss://h/0?ssl_ca_path=/canary/is/not/there",
            "unix://",
            "unix://canary?db=x",
        ),
    ),
    (ApiSettings, "CLAUDE_MODEL", ("canary model", "canary\nmodel", "x" * 201)),
    (ApiSettings, "ALLOWED_MODELS", ("claude canary", "a,b canary")),
    (
        ApiSettings,
        "SENTRY_DSN",
        (
            "canary",
            "https://canary.example/1",
            "https://key@canary.example",
            "https://key@canary.example/",
            "https://key@canary.example/project",
            "https://key@/1",
            "ftp://key@canary.example/1",
            "https://key@canary.example:port/1",
            "//key@canary.example/1",
            "https://key@canary .example/1",
        ),
    ),
    (ApiSettings, "SENTRY_ENVIRONMENT", ("canary environment",)),
    (ApiSettings, "JOB_TIMEOUT_SECONDS", NOT_COUNTS),
    (ApiSettings, "MAX_ATTEMPTS", NOT_COUNTS),
    (ApiSettings, "JOB_TTL_SECONDS", NOT_COUNTS),
    (ApiSettings, "FAILED_RETENTION_SECONDS", NOT_COUNTS),
    (ApiSettings, "COMPLETED_RETENTION_SECONDS", NOT_MORE_THAN_NONE),
    (ApiSettings, "SENTRY_TRACES_SAMPLE_RATE", ("canary", "-0.1", "1.1", "nan", "inf")),
    (ApiSettings, "LOG_LEVEL", ("canary", "TRACE", "10")),
    (ApiSettings, "LOG_FORMAT", ("canary", "xml", "JSONL")),
    (ApiSettings, "AUTH_MODE", ("canary", "none", "jwt,demo")),
    (ApiSettings, "AUTH_SECRET", ("canary-too-short", "x" * 31)),
    (
        ApiSettings,
        "AUTH_JWKS_URL",
        (
            "canary",
            "ftp://canary/",
            "file:///etc/canary",
            "https://h:canary/keys",
            "https://",
            "https:///canary",
            "https://can ary/",
        ),
    ),
    (ApiSettings, "AUTH_ISSUER", ("https://canary\n.example",)),
    (ApiSettings, "AUTH_COOKIE", ("canary cookie", "canary;", "canary=1", "cänary", '"canary"')),
    (ApiSettings, "PORT", NOT_PORTS),
    (ApiSettings, "JOBS_PER_MINUTE", NOT_COUNTS),
    (ApiSettings, "STREAMS_PER_USER", NOT_COUNTS),
    (ApiSettings, "MAX_QUEUED_JOBS", NOT_COUNTS),
    (ApiSettings, "MAX_CONNECTIONS", (*NOT_COUNTS, "10000")),
    (ApiSettings, "REQUEST_SECONDS", ("canary", "0", "-1", "nan")),
    (ApiSettings, "CORS_ORIGINS", ("canary", "*", "https://canary/", "https://CANARY", "https://a, canary", "null")),
    (ApiSettings, "KEEPALIVE_SECONDS", ("canary", "0", "-1", "nan", "inf", "1e400")),
    (ApiSettings, "REPOSITORY_URL", ("canary", "/canary", "javascript:canary", "https://", "https://a b/")),
    (ApiSettings, "SIGN_IN_URL", ("canary", "//canary", "/\\canary", "javascript:canary", "https://", "/can ary")),
    (WorkerSettings, "ANTHROPIC_API_KEY", ("sk canary", "sk\ncanary", "sk\rcanary", "sk-cänary", "sk\tcanary")),
    (
        WorkerSettings,
        "ANTHROPIC_BASE_URL",
        ("canary", "canary.example", "canary.example:80", "//canary", "http://", "https://:443", "ftp://canary/"),
    ),
    (
        WorkerSettings,
        "ANTHROPIC_BASE_URL",
        ("http://can ary/", "http://h:canary/", "http://h/?canary=1", "http://h/#canary"),
    ),
    (WorkerSettings, "CLAUDE_EFFORT", ("canary", "Medium!", "highest", "0")),
    (WorkerSettings, "MODEL_SILENCE_SECONDS", ("canary", "0", "-1", "nan", "inf")),
    (WorkerSettings, "MAX_WAIT_SECONDS", NOT_MORE_THAN_NONE),
    (WorkerSettings, "MAX_JOB_TOKENS", (*NOT_COUNTS, "1,000,000")),
    (WorkerSettings, "PROJECT_ROOT", ("/canary/is/not/there", "/dev/null")),
    (WorkerSettings, "WORKER_CONCURRENCY", (*NOT_COUNTS, "1001")),
    (WorkerSettings, "DRAIN_SECONDS", ("canary", "-1", "nan")),
    (WorkerSettings, "DELTA_INTERVAL_MS", NOT_MORE_THAN_NONE),
    (WorkerSettings, "METRICS_PORT", NOT_PORTS),
    (
        WorkerSettings,
        "METRICS_HOST",
        ("canary host", "http://canary", "0.0.0.0:canary", "300.1.1.1", "1.2.3", "-canary"),
    ),
]


@pytest.fixture(autouse=True)
def only_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for fields in (COMMON, API, WORKER, *({name.lower() for name in needed} for needed in NEEDED.values())):
        for name in fields:
            monkeypatch.delenv(name.upper(), raising=False)
            monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, kind: type[Settings], **more: str) -> Settings:
    for name, value in {**NEEDED[kind], **more}.items():
        monkeypatch.setenv(name, value)
    return load(kind)


@pytest.mark.parametrize(("kind", "own"), [(ApiSettings, API), (WorkerSettings, WORKER)])
def test_with_only_the_required_settings_each_default_is_as_documented(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], own: dict[str, Any]
) -> None:
    needed = {name.lower(): value for name, value in NEEDED[kind].items()}
    assert given(monkeypatch, kind).model_dump() == {**COMMON, **own, **needed}


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name, values in MALFORMED for value in values]
)
def test_a_malformed_setting_is_refused_by_name_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        given(monkeypatch, kind, **{name: value})
    message = str(refused.value)
    assert message.startswith(f"{name} ") and "\n" not in message
    assert "canary" not in message and (len(value) < 9 or value not in message)
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("kind", "missing"), [(kind, name) for kind, needed in NEEDED.items() for name in needed if name != "AUTH_SECRET"]
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_missing_setting_is_named_and_an_empty_one_is_missing(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], missing: str, is_empty: bool
) -> None:
    for name, value in NEEDED[kind].items():
        if name != missing:
            monkeypatch.setenv(name, value)
        elif is_empty:
            monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=f"^{missing} is not set$"):
        load(kind)


def test_all_errors_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "canary")
    with pytest.raises(SettingsError) as refused:
        load(ApiSettings)
    assert all(name in str(refused.value) for name in ("REDIS_URL", "AUTH_MODE", "PORT"))


def test_an_empty_setting_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, own in ((ApiSettings, API), (WorkerSettings, WORKER)):
        empty = {name.upper(): "" for name in {**COMMON, **own}}
        defaults = {**COMMON, **own}
        assert given(monkeypatch, kind, **empty).model_dump(include=set(defaults)) == defaults


def test_an_unknown_setting_and_one_of_the_other_process_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"REDIS_URL_2": "x", "SUGGESTIONS": "x", "AUTH": "x", "WORKER_CONCURRENCY": "canary"}
    given(monkeypatch, ApiSettings, **others)
    monkeypatch.delenv("WORKER_CONCURRENCY")
    given(monkeypatch, WorkerSettings, AUTH_MODE="canary", PORT="canary", AUTH_SECRET="short")


def test_well_formed_settings_are_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = given(
        monkeypatch,
        ApiSettings,
        REDIS_URL="rediss://user:p%40ss@redis.example:6380/3",
        ALLOWED_MODELS=" a , b,, a ,claude-sonnet-5-5",
        LOG_LEVEL="debug",
        COMPLETED_RETENTION_SECONDS="0",
        KEEPALIVE_SECONDS="0.5",
        SENTRY_TRACES_SAMPLE_RATE="1",
    )
    assert api.models == ("claude-sonnet-5-5", "a", "b")
    assert (api.log_level, api.completed_retention_seconds, api.sentry_traces_sample_rate) == ("DEBUG", 0, 1)
    worker = given(
        monkeypatch,
        WorkerSettings,
        REDIS_URL="unix:///run/redis.sock?db=1",
        CLAUDE_MODEL="sandbox",
        PROJECT_ROOT=str(tmp_path),
        DRAIN_SECONDS="0",
        DELTA_INTERVAL_MS="0",
        METRICS_PORT="9100",
    )
    assert worker.is_sandbox and worker.models[0] == "sandbox" and not api.is_sandbox


@pytest.mark.parametrize("keys", [{}, {"AUTH_SECRET": SECRET, "AUTH_JWKS_URL": "https://keys.example/jwks"}])
def test_jwt_needs_exactly_one_source_of_keys(monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]) -> None:
    for name, value in {"REDIS_URL": URL, "AUTH_MODE": "jwt", **keys}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load(ApiSettings)
    assert "AUTH_SECRET" in str(refused.value) and "AUTH_JWKS_URL" in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(("kind", "own"), [(ApiSettings, API), (WorkerSettings, WORKER)])
def test_spaces_and_line_ends_around_any_value_are_stripped(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], own: dict[str, Any], tmp_path: Path
) -> None:
    plain = WELL_FORMED | {"PROJECT_ROOT": str(tmp_path)}
    assert set(plain) >= {name.upper() for name in kind.model_fields}
    expected = given(monkeypatch, kind, **plain)
    padded = {name: f" \t{value}\r\n" for name, value in plain.items()}
    assert given(monkeypatch, kind, **padded) == expected
    assert all(getattr(expected, name) != default for name, default in {**COMMON, **own}.items())


@pytest.mark.parametrize("blank", ["", " ", "\n", " \r\n\t"])
def test_a_blank_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    worker = given(monkeypatch, WorkerSettings, ANTHROPIC_BASE_URL=blank, METRICS_PORT=blank, SENTRY_DSN=blank)
    assert isinstance(worker, WorkerSettings)
    assert (worker.anthropic_base_url, worker.metrics_port) == ("https://api.anthropic.com", None)
    with pytest.raises(SettingsError, match=r"^ANTHROPIC_API_KEY is not set$"):
        given(monkeypatch, WorkerSettings, ANTHROPIC_API_KEY=blank)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_value_in_quotes_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, quote: str) -> None:
    with pytest.raises(SettingsError, match=r"^AUTH_SECRET is in quotes, which would be part of the value$"):
        given(monkeypatch, ApiSettings, AUTH_SECRET=f" {quote}{SECRET}{quote}")


def test_a_value_that_is_not_utf_8_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^AUTH_SECRET is not UTF-8$"):
        given(monkeypatch, ApiSettings, AUTH_SECRET="\udcff" * 40)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in NEEDED for name in NAMES_WITH_FILES if name.lower() in kind.model_fields],
)
def test_a_secret_may_come_from_a_file(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], name: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    value = WELL_FORMED[name] or SECRET
    file.write_text(f"{value}\n")
    settings = given(monkeypatch, kind, **{name: " ", f"{name}_FILE": f"{file}\n"})
    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "names a file that is empty"),
        (b" \n", "names a file that is empty"),
        (b"\xff" * 40, "names a file that is not UTF-8"),
        (b"canary\n" * 8, "has a line end or another control character inside"),
        (b"x" * 70_000, "names a file of more than 64 KiB"),
    ],
)
def test_a_file_without_a_valid_secret_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "canary"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        given(monkeypatch, ApiSettings, AUTH_SECRET="", AUTH_SECRET_FILE=str(file))
    assert str(refused.value) == f"AUTH_SECRET_FILE {reason}"


def test_only_a_regular_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match=r"^SENTRY_DSN_FILE does not name a regular file$"):
            given(monkeypatch, ApiSettings, SENTRY_DSN_FILE=str(path))


def test_a_value_and_a_file_for_the_same_setting_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^AUTH_SECRET_FILE and AUTH_SECRET are both set$"):
        given(monkeypatch, ApiSettings, AUTH_SECRET=SECRET, AUTH_SECRET_FILE=str(tmp_path / "not-looked-at"))


def test_a_malformed_value_from_a_file_is_refused_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("canary")
    with pytest.raises(SettingsError, match=r"^AUTH_SECRET must be 32 bytes or more$"):
        given(monkeypatch, ApiSettings, AUTH_SECRET="", AUTH_SECRET_FILE=str(tmp_path / "secret"))


def test_the_length_of_a_secret_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, ApiSettings, AUTH_SECRET="é" * 16)


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, ApiSettings)
    with pytest.raises(ValidationError):
        settings.redis_url = "redis://elsewhere"

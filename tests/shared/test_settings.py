"""Settings: each default, and for each malformed one an error that names it and keeps its value to itself."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import ApiSettings, Settings, WorkerSettings, load

URL = "redis://localhost:6379/0"
SECRET = "0123456789abcdef0123456789abcdef"
COMMON: dict[str, Any] = {
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
}
WORKER: dict[str, Any] = {
    "anthropic_base_url": None,
    "project_root": None,
    "worker_concurrency": 100,
    "drain_seconds": 25,
    "delta_interval_ms": 100,
    "metrics_port": None,
}
NEEDED: dict[type[Settings], dict[str, str]] = {
    ApiSettings: {"REDIS_URL": URL, "AUTH_MODE": "jwt", "AUTH_SECRET": SECRET},
    WorkerSettings: {"REDIS_URL": URL, "ANTHROPIC_API_KEY": "sk-ant-x"},
}
NOT_COUNTS = ("canary-abc", "0", "-1", "1.5", "nan", "inf", "1e400", "12canary", "٣٣x", "true", "[1]")
NOT_MORE_THAN_NONE = tuple(value for value in NOT_COUNTS if value != "0")
NOT_PORTS = (*NOT_COUNTS, "65536", "70000")
MALFORMED: list[tuple[type[Settings], str, tuple[str, ...]]] = [
    (
        ApiSettings,
        "REDIS_URL",
        ("canary-abc", "localhost:6379", "http://canary", "redis://u:canary@h:port/0", "redis://[canary"),
    ),
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
    (ApiSettings, "AUTH_JWKS_URL", ("canary", "ftp://canary/", "file:///etc/canary", "https://h:canary/keys")),
    (ApiSettings, "AUTH_COOKIE", ("canary cookie", "canary;", "canary=1", "cänary", '"canary"')),
    (ApiSettings, "PORT", NOT_PORTS),
    (ApiSettings, "JOBS_PER_MINUTE", NOT_COUNTS),
    (ApiSettings, "STREAMS_PER_USER", NOT_COUNTS),
    (ApiSettings, "MAX_QUEUED_JOBS", NOT_COUNTS),
    (ApiSettings, "MAX_CONNECTIONS", (*NOT_COUNTS, "10000")),
    (ApiSettings, "REQUEST_SECONDS", ("canary", "0", "-1", "nan")),
    (ApiSettings, "CORS_ORIGINS", ("canary", "*", "https://canary/", "https://CANARY", "https://a, canary", "null")),
    (ApiSettings, "KEEPALIVE_SECONDS", ("canary", "0", "-1", "nan")),
    (WorkerSettings, "PROJECT_ROOT", ("/canary/is/not/there", "/dev/null")),
    (WorkerSettings, "WORKER_CONCURRENCY", (*NOT_COUNTS, "1001")),
    (WorkerSettings, "DRAIN_SECONDS", ("canary", "-1", "nan")),
    (WorkerSettings, "DELTA_INTERVAL_MS", NOT_MORE_THAN_NONE),
    (WorkerSettings, "METRICS_PORT", NOT_PORTS),
]


@pytest.fixture(autouse=True)
def only_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for fields in (COMMON, API, WORKER, *({name.lower() for name in needed} for needed in NEEDED.values())):
        for name in fields:
            monkeypatch.delenv(name.upper(), raising=False)
            monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, kind: type[Settings], **more: str) -> Settings:
    for name, value in {**NEEDED[kind], **more}.items():
        monkeypatch.setenv(name, value)
    return load(kind)


@pytest.mark.parametrize(("kind", "own"), [(ApiSettings, API), (WorkerSettings, WORKER)])
def test_with_nothing_but_what_is_needed_each_default_is_the_contracts(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], own: dict[str, Any]
) -> None:
    needed = {name.lower(): value for name, value in NEEDED[kind].items()}
    assert given(monkeypatch, kind).model_dump() == {**COMMON, **own, **needed}


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name, values in MALFORMED for value in values]
)
def test_a_malformed_setting_is_refused_by_name_and_not_shown(
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


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_well_formed_settings_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_a_secret_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, ApiSettings, AUTH_SECRET="é" * 16)


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, ApiSettings)
    with pytest.raises(ValidationError):
        settings.redis_url = "redis://elsewhere"

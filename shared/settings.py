"""Every setting, with its unit, default and reason. Read once, whole, at the start of a process."""

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import SettingsError

Seconds = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """What both processes need."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False)

    redis_url: str
    """redis://, rediss:// or unix://, with password and database as usual."""

    claude_model: str = "claude-sonnet-5-5"
    """Model for jobs without `customModel`; `sandbox` when the sandbox answers."""
    allowed_models: Annotated[tuple[str, ...], NoDecode] = (
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-haiku-5-5",
    )
    """What `customModel` may name, comma-separated; CLAUDE_MODEL always may."""

    job_timeout_seconds: Seconds = 120
    """One attempt may take this long; then TIMEOUT, which is not retried."""
    max_attempts: Count = 3
    """Attempts that may fail (lost worker, model trouble); a drain is not a failure."""
    job_ttl_seconds: Seconds = 600
    """A job's life from its creation, from the start of each attempt and from each event."""
    failed_retention_seconds: Seconds = 3600
    """A failed job is kept this long, for debugging."""
    completed_retention_seconds: Annotated[int, Field(ge=0)] = 600
    """A completed or cancelled job is kept this long; 0 deletes it once those who watch have its end."""

    sentry_dsn: str | None = None
    sentry_environment: str = "production"
    sentry_traces_sample_rate: Annotated[float, Field(ge=0, le=1)] = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("redis_url")
    @classmethod
    def _redis_url_has_a_scheme(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        if _port_is_malformed(url):
            raise ValueError("has a malformed port")
        return url

    @field_validator("allowed_models", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        return _split(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def models(self) -> tuple[str, ...]:
        """What `customModel` may name, the default first."""
        return tuple(dict.fromkeys((self.claude_model, *self.allowed_models)))

    @property
    def is_sandbox(self) -> bool:
        return self.claude_model == "sandbox"


class ApiSettings(Settings):
    """What the API needs."""

    auth_mode: Literal["jwt", "demo"]
    """Has no default: nobody should run an open door by accident."""
    auth_secret: str | None = None
    """Signs HS256 tokens; 32 bytes or more."""
    auth_jwks_url: str | None = None
    """Where the keys of RS256 and ES256 tokens are."""
    auth_issuer: str | None = None
    auth_audience: str | None = None
    auth_cookie: str = "__session"

    port: Annotated[int, Field(gt=0, lt=65536)] = 8000
    jobs_per_minute: Count = 10
    """Created jobs a user in any 60 seconds."""
    streams_per_user: Count = 5
    """Open streams a user, across all processes."""
    max_queued_jobs: Count = 1000
    """More than this many waiting: 503."""
    max_connections: Annotated[int, Field(gt=0, lt=10_000)] = 9500
    """Open connections a process; the next one is answered 503. Fewer than gunicorn's own bound, which would leave it
    waiting, unseen."""
    request_seconds: Annotated[float, Field(gt=0)] = 15
    """A request has to be here, whole, this long after its first byte: nobody holds a place by being slow."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web clients elsewhere that send bearer tokens, comma-separated, as https://app.example.com."""
    keepalive_seconds: Annotated[float, Field(gt=0)] = 15
    """A comment is sent, and the log read again, after this long without an event."""

    @field_validator("auth_secret")
    @classmethod
    def _secret_is_long(cls, secret: str | None) -> str | None:
        if secret is not None and len(secret.encode()) < 32:
            raise ValueError("must be 32 bytes or more")
        return secret

    @field_validator("auth_jwks_url")
    @classmethod
    def _jwks_url_is_http(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or _port_is_malformed(url)):
            raise ValueError("must be an http:// or https:// URL")
        return url

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return _split(value)

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        # As a browser sends them; never `*` and no patterns, which let in more than was meant.
        if not all(re.fullmatch(r"https?://[a-z0-9.-]+(:[1-9]\d{0,4})?", origin) for origin in origins):
            raise ValueError("must be origins such as https://app.example.com, in lower case, without a path")
        return origins

    @field_validator("auth_cookie")
    @classmethod
    def _cookie_is_a_token(cls, name: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) is None:
            raise ValueError("is not a name that a cookie can have")
        return name

    @model_validator(mode="after")
    def _jwt_has_one_source_of_keys(self) -> "ApiSettings":
        if self.auth_mode == "jwt" and bool(self.auth_secret) == bool(self.auth_jwks_url):
            raise ValueError("AUTH_MODE=jwt needs either AUTH_SECRET or AUTH_JWKS_URL, and not both")
        return self


class WorkerSettings(Settings):
    """What the worker needs."""

    anthropic_api_key: Annotated[str, Field(min_length=1)]
    anthropic_base_url: str | None = None
    project_root: str | None = None
    """Directory the agent may read; without it the agent has no tools."""
    worker_concurrency: Annotated[int, Field(gt=0, le=1000)] = 100
    """Jobs at once in one process."""
    drain_seconds: Annotated[float, Field(ge=0)] = 25
    """How long a stopping worker lets its jobs finish."""
    delta_interval_ms: Annotated[int, Field(ge=0)] = 100
    """Deltas after the first are at least this far apart."""
    metrics_port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    """Where the worker serves Prometheus text."""

    @field_validator("project_root")
    @classmethod
    def _project_root_is_a_directory(cls, path: str | None) -> str | None:
        if path is not None and not Path(path).is_dir():
            raise ValueError("is not a directory")
        return path


S = TypeVar("S", bound=Settings)


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _port_is_malformed(url: str) -> bool:
    try:
        urlsplit(url).port  # noqa: B018 (reading it parses it)
    except ValueError:
        return True
    return False


def load(kind: type[S]) -> S:
    """The process's settings from its environment.

    Raises SettingsError with one line that names every setting at fault and never shows a value.
    """
    try:
        return kind()  # type: ignore[call-arg]  # its arguments come from the environment
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            if problem["type"] == "missing":
                problems.append(f"{name} is not set")
            else:
                problems.append(f"{name} {problem['msg'].removeprefix('Value error, ')}".strip())
        raise SettingsError("; ".join(problems)) from None

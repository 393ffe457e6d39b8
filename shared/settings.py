"""Declares every setting with its unit, default and meaning. A process reads all of them once, at its start.

The docstrings below are shown to operators: docs/settings.md and .env.example are generated from them
(`python -m scripts.generate_settings`).
"""

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared import environment, setting_rules
from shared.errors import SettingsError

NAMES_WITH_FILES = ("REDIS_URL", "AUTH_SECRET", "ANTHROPIC_API_KEY", "SENTRY_DSN")
"""For these, NAME_FILE may name a file that holds the value, as Docker and Kubernetes give secrets."""
LEAST_REDIS_CONNECTIONS = 6
YEAR_SECONDS = 31_536_000
"""More than any time that is meant, and less than Redis or a timer refuses."""
LARGEST_COUNT = 1_000_000_000


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _each(rule: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda values: tuple(rule(value) for value in values)


def _long_enough(secret: str) -> str:
    if len(secret.encode()) < 32:
        raise ValueError("must be 32 bytes or more")
    return secret


Seconds = Annotated[int, Field(gt=0, le=YEAR_SECONDS)]
SecondsOrNone = Annotated[int, Field(ge=0, le=YEAR_SECONDS)]
PreciseSeconds = Annotated[float, Field(gt=0, le=YEAR_SECONDS)]
Count = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
Port = Annotated[int, Field(gt=0, lt=65536)]
Name = Annotated[str, AfterValidator(setting_rules.name)]
HttpUrl = Annotated[str, AfterValidator(setting_rules.http_url)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(setting_rules.name))]
Origins = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(setting_rules.origin))]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class Settings(BaseModel):
    """Holds the settings that both processes need."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, hide_input_in_errors=True)

    redis_url: Annotated[str, AfterValidator(setting_rules.redis_url)]
    """`redis://`, `rediss://` or `unix://`, with password and database as usual; `redis+sentinel://host:port,host:port/service/0`
    for a primary that Sentinels name."""
    redis_max_connections: Annotated[int, Field(ge=LEAST_REDIS_CONNECTIONS, le=1000)] = 37
    """The most connections to Redis that one process opens, at least 6, for plans that allow few. A worker opens 11 at
    most, and needs 8 with METRICS_PORT; each process of gunicorn's `--workers` counts by itself."""
    redis_prefix: Annotated[str, AfterValidator(setting_rules.key_prefix)] = ""
    """All keys and channels, and the name of the queue, begin with it and a colon, so that several deployments can
    share a database. It must be the same for both processes."""

    claude_model: Name = "claude-sonnet-5-5"
    """The model for jobs without `customModel`; `sandbox` when the sandbox answers."""
    allowed_models: Names = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5")
    """The models that `customModel` may name, comma-separated; CLAUDE_MODEL is always one of them."""

    job_timeout_seconds: Seconds = 120
    """One attempt may work this long, waits for the provider not counted. Then the job ends: with its whole suggestions
    where there are three, else with TIMEOUT; no other attempt follows."""
    max_attempts: Count = 3
    """How many attempts may fail; an attempt that a stopping worker gives up is not a failure."""
    job_ttl_seconds: Seconds = 600
    """A job is kept this long from its creation, from the start of each attempt and from each event. It should be no
    less than JOB_TIMEOUT_SECONDS: else a job whose model thinks for long expires while it runs."""
    failed_retention_seconds: Seconds = 3600
    """A failed job is kept this long, for debugging."""
    completed_retention_seconds: SecondsOrNone = 600
    """A completed or cancelled job is kept this long; 0 deletes it once nobody has watched it for 3 s. With 1 to 30, a
    viewer whose connection breaks at the end has less time to come back than with 0."""

    sentry_dsn: Annotated[str, AfterValidator(setting_rules.sentry_dsn)] | None = None
    """The Sentry project that errors are reported to; without it nothing is reported."""
    sentry_environment: Name = "production"
    """The name of the environment in these reports."""
    sentry_traces_sample_rate: Annotated[float, Field(ge=0, le=1)] = 0
    """The share of requests that are traced, 0 to 1."""
    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(setting_rules.collector)] | None = None
    """The OpenTelemetry collector (OTLP over HTTP), such as `http://collector:4318`, that traces are sent to; needs the
    extra `otel`. The SDK reads other variables of its own, for its headers and its sampler."""
    log_level: LogLevel = "INFO"
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`."""
    log_format: Literal["json", "console"] = "json"
    """`json` or `console`."""

    @property
    def models(self) -> tuple[str, ...]:
        """Returns what `customModel` may name, the default first."""
        return tuple(dict.fromkeys((self.claude_model, *self.allowed_models)))

    @property
    def is_sandbox(self) -> bool:
        return self.claude_model == "sandbox"


class ApiSettings(Settings):
    """Holds the settings of the web process."""

    auth_mode: Literal["jwt", "demo"]
    """`jwt` or `demo`. It has no default: nobody should run an open door by accident."""
    auth_secret: Annotated[str, AfterValidator(_long_enough)] | None = None
    """`jwt`: the secret that tokens are signed with by HS256, 32 bytes or more; either this or AUTH_JWKS_URL is set."""
    auth_jwks_url: HttpUrl | None = None
    """`jwt`: the URL of the key set for RS256 and ES256 tokens."""
    auth_issuer: str | None = None
    """The `iss` claim that tokens must have, where set."""
    auth_audience: str | None = None
    """The `aud` claim that tokens must have, where set."""
    auth_cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] = "__session"
    """A token may come in the cookie of this name."""

    port: Port = 8000
    """The web process listens on this port, on every interface; in demo mode on loopback alone."""
    jobs_per_minute: Count = 10
    """How many jobs a user may create in any 60 seconds."""
    streams_per_user: Count = 5
    """How many streams a user may have open at once, across all web processes."""
    max_queued_jobs: Count = 1000
    """How many jobs may wait in the queue; the next one is answered 503."""
    max_connections: Annotated[int, Field(gt=0, lt=10_000)] = 9500
    """How many connections a web process may have open; the next replaces one that is idle, else it gets a 503."""
    # Fewer than gunicorn's own bound: beyond that one, connections would wait without an answer.
    request_seconds: PreciseSeconds = 15
    """A request has to arrive whole within this time of its first byte; else it gets a 408 or is cut off."""
    cors_origins: Origins = ()
    """Origins of web clients elsewhere, comma-separated, such as `https://app.example.com`; never `*`."""
    keepalive_seconds: PreciseSeconds = 15
    """A comment is sent on a stream after this long without an event."""
    repository_url: HttpUrl | None = None
    """The URL to which the page appends the paths of files, such as `https://github.com/acme/shop/blob/main/`."""
    sign_in_url: Annotated[str, AfterValidator(setting_rules.link)] | None = None
    """The sign-in page, to which the built-in page leads: a URL, or a path on this host."""

    @model_validator(mode="after")
    def _jwt_has_one_source_of_keys(self) -> "ApiSettings":
        if self.auth_mode == "jwt" and bool(self.auth_secret) == bool(self.auth_jwks_url):
            raise ValueError("AUTH_MODE=jwt needs either AUTH_SECRET or AUTH_JWKS_URL, and not both")
        return self


class WorkerSettings(Settings):
    """Holds the settings of the worker."""

    anthropic_api_key: Annotated[str, AfterValidator(setting_rules.token)]
    """The key of the Anthropic API, as the SDK takes it."""
    # Never left to the SDK, which would take an empty ANTHROPIC_BASE_URL from the environment for an address.
    anthropic_base_url: Annotated[str, AfterValidator(setting_rules.base_url)] = "https://api.anthropic.com"
    """The URL of the Messages API, without `/v1`; set it for a gateway or the sandbox."""
    claude_effort: Literal["low", "medium", "high", "xhigh", "max"] = "medium"
    """How much effort the model spends: `low`, `medium`, `high`, `xhigh` or `max`. A model
    gets the nearest level that it has and that is no higher."""
    model_silence_seconds: PreciseSeconds = 75
    """A connection to the model without a byte for this long counts as broken; pings come about every 30 s."""
    max_wait_seconds: SecondsOrNone = 300
    """How long a job may wait, all in all, for a provider that refuses; then it fails. 0: it does not wait."""
    max_job_tokens: Count = 1_000_000
    """How many input and output tokens one job may use; reads from the cache count a tenth. After nine tenths the
    model is asked to answer; after all of them no further turn begins."""
    project_root: Annotated[str, AfterValidator(setting_rules.project_root)] | None = None
    """The directory that the agent may read; without it the agent has no tools."""
    worker_concurrency: Annotated[int, Field(gt=0, le=1000)] = 100
    """How many jobs one worker process runs at once."""
    drain_seconds: Annotated[float, Field(ge=0, le=YEAR_SECONDS)] = 25
    """How long a stopping worker lets its jobs finish."""
    delta_interval_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 100
    """Deltas after the first are at least this many milliseconds apart."""
    metrics_port: Port | None = None
    """A worker serves Prometheus text, `/healthz` and `/readyz` on this port; without it, it serves none of them."""
    metrics_host: Annotated[str, AfterValidator(setting_rules.host)] = "127.0.0.1"
    """The address that METRICS_PORT is bound to."""

    @model_validator(mode="after")
    def _scrapes_have_connections(self) -> "WorkerSettings":
        if self.metrics_port is not None and self.redis_max_connections < LEAST_REDIS_CONNECTIONS + 2:
            raise ValueError(f"REDIS_MAX_CONNECTIONS must be {LEAST_REDIS_CONNECTIONS + 2} or more with METRICS_PORT")
        return self


S = TypeVar("S", bound=Settings)

_MESSAGES = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "is not a name that a cookie can have",
}


def load(kind: type[S], variables: Mapping[str, str] | None = None) -> S:
    """Returns the process's settings from its environment, or from `variables`.

    Raises SettingsError with one line that names every setting that is missing or malformed and never shows a value.
    """
    names = [field.upper() for field in kind.model_fields]
    values, problems = environment.read(names, NAMES_WITH_FILES, os.environ if variables is None else variables)
    unread = {problem.split(" ", 1)[0].removesuffix("_FILE") for problem in problems}
    try:
        settings = kind.model_validate({name.lower(): value for name, value in values.items()})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            # What could not be read is missing for that reason alone, and so may be what depends on it.
            if name not in unread and (name or not unread):
                problems.append(_described(name, problem))
    if problems:
        raise SettingsError("; ".join(problems)) from None
    return settings


def _described(name: str, problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return f"{name} is not set"
    if template := _MESSAGES.get(problem["type"]):
        return f"{name} {template.format_map(problem.get('ctx', {}))}"
    return f"{name} {problem['msg'].removeprefix('Value error, ')}".strip()

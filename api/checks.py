"""Defines the checks of `python -m api --check`."""

import io
import shutil
from collections.abc import Iterable
from contextlib import redirect_stderr

from gunicorn.config import Config

from api.auth.jwks import KeyServer, KeyServerUnavailable
from api.server import gunicorn_options
from api.server.temp_folder import temp_folder
from shared.checks import Finding, check_redis, run, shown_url
from shared.errors import SettingsError
from shared.settings import ApiSettings

LEAST_TEMP_BYTES = 16 * 2**20
"""A process stores some 2 MB of metrics there, and as much again after each restart of a worker."""


def check_auth(settings: ApiSettings) -> Iterable[Finding]:
    """Yields how users are authenticated, and whether the key server can be used."""
    if settings.auth_mode == "demo":
        yield Finding(
            "warn",
            "auth",
            "AUTH_MODE=demo: every browser on this machine is signed in as a user of its own; only for a trial",
        )
        return
    if settings.auth_jwks_url is None:
        yield Finding("ok", "auth", "tokens signed with AUTH_SECRET (HS256)")
    else:
        yield _key_server(settings.auth_jwks_url)
    for name, value in (("AUTH_ISSUER", settings.auth_issuer), ("AUTH_AUDIENCE", settings.auth_audience)):
        if value is None:
            yield Finding(
                "warn", "auth", f"{name} is not set: tokens for other services with the same keys are accepted"
            )


def _key_server(url: str) -> Finding:
    try:
        count = KeyServer(url).count()
    except KeyServerUnavailable as error:
        return Finding("FAIL", "auth", f"AUTH_JWKS_URL: the key server {shown_url(url)} {error}")
    return Finding("ok" if count else "FAIL", "auth", f"{count} keys for signatures from {shown_url(url)}")


def check_origins(settings: ApiSettings) -> Iterable[Finding]:
    """Yields whether the origins of CORS_ORIGINS are safe for tokens."""
    for origin in settings.cors_origins:
        is_open = origin.startswith("http://") and not origin.startswith(("http://localhost", "http://127."))
        yield Finding(
            "warn" if is_open else "ok",
            "cors",
            origin + (", from which tokens are sent unencrypted" if is_open else ""),
        )


def check_web_port(settings: ApiSettings) -> Iterable[Finding]:
    """Yields whether gunicorn's addresses can be listened on: that of PORT, or those of its own options."""
    is_demo = settings.auth_mode == "demo"
    host = "127.0.0.1" if is_demo else "0.0.0.0"  # noqa: S104
    try:
        options = _gunicorn_options(f"{host}:{settings.port}")
    except ValueError as error:
        yield Finding("FAIL", "gunicorn", f"GUNICORN_CMD_ARGS {error}")
        return
    if problem := gunicorn_options.refusal(options, settings.max_connections):
        yield Finding("FAIL", "gunicorn", f"GUNICORN_CMD_ARGS: {problem}")
    for address in options.address:
        problem = gunicorn_options.address_problem(address, is_demo=is_demo, shares_port=options.reuse_port)
        where = ":".join(map(str, address)) if isinstance(address, tuple) else str(address)
        yield Finding("FAIL" if problem else "ok", "port", problem or f"{where} is free")


def _gunicorn_options(address: str) -> Config:
    """Returns gunicorn's options as the process would read them. Raises ValueError where they are malformed."""
    config = Config()
    config.set("bind", address)
    config.set("worker_class", gunicorn_options.WORKER_CLASS)
    config.set("worker_connections", gunicorn_options.WORKER_CONNECTIONS)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            given = config.parser().parse_args(config.get_cmd_args_from_env())
    except SystemExit:
        raise ValueError(said.getvalue().strip().rpartition("error: ")[2]) from None
    for name, value in vars(given).items():
        if value is not None and name in config.settings:
            config.set(name, value)
    return config


def check_temp_folder(settings: ApiSettings) -> Iterable[Finding]:
    """Yields whether the process can write its metrics to the folder for temporary files."""
    try:
        folder = temp_folder()
    except SettingsError as error:
        yield Finding("FAIL", "temp folder", str(error))
        return
    free = shutil.disk_usage(folder).free
    is_small = free < LEAST_TEMP_BYTES
    yield Finding("warn" if is_small else "ok", "temp folder", f"{folder}, {free // 2**20} MB free")


def main() -> int:
    return run(ApiSettings, [check_redis, check_auth, check_origins, check_web_port, check_temp_folder])

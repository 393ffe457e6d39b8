"""The checks of `python -m api --check`."""

from collections.abc import Iterable

from api.auth.jwks import KeyServer, KeyServerUnavailable
from shared.checks import Finding, check_port, check_redis, run, shown_url
from shared.settings import ApiSettings


def check_auth(settings: ApiSettings) -> Iterable[Finding]:
    if settings.auth_mode == "demo":
        yield Finding("warn", "auth", "demo: every browser on this machine is a user; for trying out")
        return
    if settings.auth_jwks_url is None:
        yield Finding("ok", "auth", "tokens signed with AUTH_SECRET (HS256)")
    else:
        yield _key_server(settings.auth_jwks_url)
    for name, value in (("AUTH_ISSUER", settings.auth_issuer), ("AUTH_AUDIENCE", settings.auth_audience)):
        if value is None:
            yield Finding("warn", "auth", f"{name} is not set: tokens made for others of the same keys are taken too")


def _key_server(url: str) -> Finding:
    try:
        count = KeyServer(url).count()
    except KeyServerUnavailable as error:
        return Finding("FAIL", "auth", f"AUTH_JWKS_URL: the key server {shown_url(url)} {error}")
    return Finding("ok" if count else "FAIL", "auth", f"{count} keys for signatures from {shown_url(url)}")


def check_origins(settings: ApiSettings) -> Iterable[Finding]:
    for origin in settings.cors_origins:
        is_open = origin.startswith("http://") and not origin.startswith(("http://localhost", "http://127."))
        yield Finding(
            "warn" if is_open else "ok", "cors", origin + (", whose tokens travel in clear" if is_open else "")
        )


def check_web_port(settings: ApiSettings) -> Iterable[Finding]:
    yield check_port("PORT", "127.0.0.1" if settings.auth_mode == "demo" else "0.0.0.0", settings.port)  # noqa: S104


def main() -> int:
    return run(ApiSettings, [check_redis, check_auth, check_origins, check_web_port])

"""Checks the values of settings where the type alone is not enough.

Each rule returns the value, or raises ValueError with a reason that never repeats any of it: it may be a secret, or
hold one. Nothing here opens a connection, and nothing here may import what uses sockets: gunicorn's master loads it.
"""

import ipaddress
import os
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from shared import sentinel_url

_PRINTABLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_DATABASE = re.compile(r"/?|/\d{1,9}/?")

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES = {
    "db": re.compile(r"\d{1,9}"),
    "ssl_cert_reqs": re.compile("none|optional|required"),
    "ssl_check_hostname": re.compile("(?i:true|false|yes|no|1|0)"),
    "ssl_password": re.compile(".+"),
    "ssl_ciphers": re.compile(".+"),
}
REDIS_OPTIONS = (*_CHOICES, *_TLS_FILES, "ssl_ca_path")
"""What may follow the `?` of a Redis URL. Everything else is set by the processes themselves."""
_OTHER_REDIS_OPTIONS = frozenset(
    {
        "client_name",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "password",
        "protocol",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "ssl",
        "timeout",
        "username",
    }
)
"""Options of redis-py that are not supported. An error names these; an unknown name may be half a password."""


def token(value: str) -> str:
    """Accepts a key as a header carries it."""
    if _PRINTABLE.fullmatch(value) is None:
        raise ValueError("has a space or a character that is not ASCII")
    return value


def name(value: str) -> str:
    """Accepts a name of a model or of an environment."""
    if re.search(r"\s", value) or len(value) > 200:
        raise ValueError("must be a name of at most 200 characters without spaces")
    return value


def key_prefix(value: str) -> str:
    """Accepts what keys may begin with: no character that a pattern of Redis, as in an ACL, takes for a wildcard."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,40}", value):
        raise ValueError("must be at most 40 letters, digits, dots, dashes and underscores")
    if value in ("agent", "planner", "rq", "suggestion"):
        raise ValueError("must not be what keys without a prefix begin with")
    return value


def http_url(value: str) -> str:
    """Accepts an absolute http or https URL."""
    _http_parts(value)
    return value


def collector(value: str) -> str:
    """Accepts a base URL where the packages that send to it are installed. Imports none of them."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ValueError("needs pip install 'feature-planner[otel]'")
    return base_url(value)


def base_url(value: str) -> str:
    """Accepts an http or https URL to which paths can be appended."""
    parts = _http_parts(value)
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("must be an http:// or https:// URL without a query")
    return value


def link(value: str) -> str:
    """Accepts an address to which a page may send a browser: an http or https URL, or a path on the same host."""
    if re.fullmatch(r"/(?![/\\])[!-~]*", value) and "\\" not in value:
        return value
    try:
        return http_url(value)
    except ValueError:
        raise ValueError("must be an http:// or https:// URL, or a path that begins with one /") from None


def sentry_dsn(value: str) -> str:
    """Accepts a DSN as Sentry shows it: https://KEY@HOST/PROJECT."""
    reason = "must look like https://KEY@HOST/PROJECT, the project being a number"
    try:
        parts = _http_parts(value)
    except ValueError:
        raise ValueError(reason) from None
    if not parts.username or not re.fullmatch(r"\d+", parts.path.rsplit("/", 1)[-1]) or parts.query or parts.fragment:
        raise ValueError(reason)
    return value


def host(value: str) -> str:
    """Accepts an IP address, or the name of a host, to listen on."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        # What looks like an IPv4 address and is none is not taken for a name.
        if _HOST.fullmatch(value) is None or re.fullmatch(r"[\d.]+", value):
            raise ValueError("must be an IP address or the name of a host") from None
    return value


def directory(value: str) -> str:
    """Accepts a directory that this process may read."""
    if not Path(value).is_dir():
        raise ValueError("is not a directory")
    if not os.access(value, os.R_OK | os.X_OK):
        raise ValueError("is a directory that this process may not read")
    return value


_SYSTEM_FOLDERS = frozenset(
    f"/{name}"
    for name in (
        "",
        "bin",
        "boot",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "private",
        "proc",
        "root",
        "run",
        "sbin",
        "sys",
        "tmp",
        "usr",
        "var",
        "Users",
    )
)
_SYSTEM_TREES = ("/boot", "/dev", "/etc", "/proc", "/run/secrets", "/sys", "/var/run/secrets")


def project_root(value: str) -> str:
    """Accepts a directory that holds one project: whatever lies in it may be shown to every user."""
    resolved = Path(directory(value)).resolve()
    home = Path.home().resolve()
    is_system = str(resolved) in _SYSTEM_FOLDERS or any(resolved.is_relative_to(tree) for tree in _SYSTEM_TREES)
    if is_system or resolved == home or resolved in home.parents:
        raise ValueError("must be the directory of one project, not one of the system's or a home directory")
    return value


def origin(value: str) -> str:
    """Accepts an origin as a browser sends it; never `*` and no patterns, which let in more than was meant."""
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:[1-9]\d{0,4})?", value) or not _has_port_in_range(value):
        raise ValueError("must be origins such as https://app.example.com, in lower case, without a path")
    return value


def redis_url(value: str) -> str:
    """Accepts an address as redis-py takes it, of which nothing would be ignored or change how the processes work."""
    if sentinel_url.is_sentinel(value):
        sentinels = sentinel_url.parse(value)
        for url in (*sentinels.nodes, sentinels.primary):
            redis_url(url)
        return value
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss://, unix:// or redis+sentinel://")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("has a malformed host or port (in a password, write / ? # as %2F %3F %23)") from None
    if parts.fragment or value.endswith("#"):
        raise ValueError("has a # (in a password, write it as %23)")
    if parts.scheme == "unix":
        if not unquote(parts.path):
            raise ValueError("names no socket: unix:///path/to/socket")
    else:
        if not parts.hostname or not _is_host(parts.hostname):
            raise ValueError("has no host, or a malformed one (in a password, write / ? # as %2F %3F %23)")
        if port == 0:
            raise ValueError("has a malformed port")
        if _DATABASE.fullmatch(unquote(parts.path)) is None:
            raise ValueError("has a database that is not a number")
    _check_redis_options(parts)
    return value


def without_secrets(url: str) -> str:
    """Returns what of an address may be shown: its scheme, host and port.

    It may also be the path of a socket and the number of a database.
    """
    hidden = "the address (not shown: it is malformed)"
    if sentinel_url.is_sentinel(url):
        return "the primary that the Sentinels name"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return hidden
    # An @ behind the host is the end of a password that has a / ? or # in it: what looks like the host is a part of it.
    if "@" in parts.path + parts.query + parts.fragment or (parts.scheme != "unix" and not parts.hostname):
        return hidden
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    database = parts.path.rstrip("/") if parts.scheme.startswith("redis") and _DATABASE.fullmatch(parts.path) else ""
    return f"{parts.scheme}://{host}{port}{database}"


def _check_redis_options(parts: SplitResult) -> None:
    try:
        options = parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True) if parts.query else []
    except ValueError:
        raise ValueError("has a malformed query (in a password, write ? as %3F)") from None
    for option, value in options:
        if option not in REDIS_OPTIONS:
            shown = f" {option}" if option in _OTHER_REDIS_OPTIONS else ""
            raise ValueError(f"has an option{shown} that is not supported; these are: {', '.join(REDIS_OPTIONS)}")
        if option.startswith("ssl_") and parts.scheme != "rediss":
            raise ValueError(f"has the option {option}, which needs rediss://")
        if option in _CHOICES and _CHOICES[option].fullmatch(value) is None:
            raise ValueError(f"has a malformed option {option}")
        if option in _TLS_FILES and not (Path(value).is_file() and os.access(value, os.R_OK)):
            raise ValueError(f"has an option {option} that names no file that can be read")
        if option == "ssl_ca_path" and not Path(value).is_dir():
            raise ValueError(f"has an option {option} that is not a directory")


def _http_parts(value: str) -> SplitResult:
    reason = "must be an http:// or https:// URL with a host"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(reason) from None
    is_http = value.lower().startswith(("http://", "https://"))
    if not is_http or not _PRINTABLE.fullmatch(value) or port == 0 or not _is_host(parts.hostname or ""):
        raise ValueError(reason)
    return parts


def _is_host(value: str) -> bool:
    # urlsplit has taken the brackets off an IPv6 address, and checked it.
    return ":" in value or _HOST.fullmatch(value) is not None


def _has_port_in_range(value: str) -> bool:
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False

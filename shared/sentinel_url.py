"""Parses addresses of a primary behind Redis Sentinel: redis+sentinel://user:password@host:port,host:port/service/db.

User, password, database and options are those of Redis itself. The options `sentinel_username` and
`sentinel_password` are for the Sentinels, where they ask for one. With `rediss+sentinel://` both speak TLS.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

DEFAULT_PORT = 26379
OPTIONS = ("sentinel_username", "sentinel_password")
_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}


class SentinelUrl(NamedTuple):
    """Holds the parts of such an address."""

    nodes: tuple[str, ...]
    """Each Sentinel has an ordinary Redis URL here."""
    service: str
    """The name under which the Sentinels watch the primary."""
    primary: str
    """An ordinary Redis URL with everything but the primary's host, in whose place a Sentinel's stands."""


def is_sentinel(url: str) -> bool:
    """Returns whether the address names Sentinels, rather than Redis itself."""
    return url.partition("://")[0] in _SCHEMES


def parse(url: str) -> SentinelUrl:
    """Returns the parts of an address of Sentinels. Raises ValueError with a reason that repeats nothing of it."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    network, _, path = rest.partition("/")
    credentials, _, hosts = network.rpartition("@")
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("names no service: redis+sentinel://host:port,host:port/service/0")
    options = parse_qsl(query, keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in options if name not in OPTIONS])
    own = dict(options)
    user, password = (quote(own.get(name, ""), safe="") for name in OPTIONS)
    plain = _SCHEMES[scheme]
    tail = f"?{kept}" if kept else ""
    secret = f"{user}:{password}@" if user or password else ""
    with_ports = [_with_port(host) for host in hosts.split(",")]
    return SentinelUrl(
        nodes=tuple(f"{plain}://{secret}{host}{tail}" for host in with_ports),
        service=unquote(service),
        primary=f"{plain}://{credentials + '@' if credentials else ''}{with_ports[0]}/{database}{tail}",
    )


def _with_port(host: str) -> str:
    has_port = ":" in host.rpartition("]")[2]
    return host if has_port else f"{host}:{DEFAULT_PORT}"

"""Runs the checks of `--check` before a process serves. Each prints one line, and never a secret."""

import errno
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from shared.errors import SettingsError
from shared.setting_rules import without_secrets
from shared.settings import S, load
from shared.state import keys, rights
from shared.state.connections import connect
from shared.state.diagnosis import describe, diagnose
from shared.state.neighbours import describe_queue, find_neighbours

REDIS_LEAST_VERSION = (6, 2)
SLOW_MS = 20.0

shown_url = without_secrets

Verdict = Literal["ok", "warn", "FAIL"]


class Finding(NamedTuple):
    """Holds the result of one check: its verdict, its name and a sentence."""

    verdict: Verdict
    name: str
    text: str


Check = Callable[[S], Iterable[Finding]]


def run(kind: type[S], checks: Iterable[Check[S]]) -> int:
    """Prints what the checks find. Returns the process's exit code. A check that raises counts as failed."""
    # What is wrong is said in a check's own line.
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    try:
        settings = load(kind)
    except SettingsError as error:
        _show(Finding("FAIL", "settings", str(error)))
        return 1
    keys.use_prefix(settings.redis_prefix)
    _show(Finding("ok", "settings", "all there and well formed"))
    is_failed = False
    for check in checks:
        for finding in _found(check, settings):
            _show(finding)
            is_failed |= finding.verdict == "FAIL"
    return 1 if is_failed else 0


def _found(check: Check[S], settings: S) -> Iterable[Finding]:
    try:
        yield from check(settings)
    except Exception as error:
        # Only the class is shown: a message may contain an address with a password, or a key.
        reason = diagnose(error).reason if isinstance(error, RedisError) else type(error).__name__
        yield Finding("FAIL", check.__name__.removeprefix("check_").replace("_", " "), reason)


def _show(finding: Finding) -> None:
    print(f"{finding.verdict:4} {finding.name}: {finding.text}", file=sys.stdout, flush=True)


def check_redis(settings: S) -> Iterable[Finding]:
    """Checks Redis's answer, rights, version, persistence, and what it does when its memory is full."""
    where = without_secrets(settings.redis_url)
    with connect(settings.redis_url, max_connections=2) as redis:
        try:
            redis.ping()
            began = time.perf_counter()
            redis.ping()
            took_ms = (time.perf_counter() - began) * 1000
        except RedisError as error:
            yield Finding("FAIL", "redis", describe(settings.redis_url, diagnose(error)))
            return
        yield Finding("warn" if took_ms > SLOW_MS else "ok", "redis", f"{where} answers in {took_ms:.1f} ms")
        may_use = _rights(redis)
        yield may_use
        if may_use.verdict == "FAIL":
            return
        info: dict[str, object] = redis.info()
        if info.get("redis_mode") == "cluster":
            yield Finding(
                "FAIL", "redis mode", "REDIS_URL: cluster mode is not supported: scripts touch keys of several slots"
            )
            return
        yield _version(str(info["redis_version"]))
        yield _persistence(info, redis)
        yield _eviction(info)
        yield from _neighbours(redis)
        yield from _connections(info, redis, settings.redis_max_connections)


def _rights(redis: Redis) -> Finding:
    """Returns whether this user may do what both processes do."""
    lacking = rights.missing(redis)
    if lacking:
        return Finding("FAIL", "redis rights", f"REDIS_URL: this user lacks rights; grant them: {' '.join(lacking)}")
    return Finding("ok", "redis rights", "commands, keys and channels may be used")


def _version(version: str) -> Finding:
    is_new = tuple(int(part) for part in version.split(".")[:2]) >= REDIS_LEAST_VERSION
    least = ".".join(map(str, REDIS_LEAST_VERSION))
    return Finding("ok" if is_new else "FAIL", "redis version", version + ("" if is_new else f", {least} is needed"))


def _persistence(info: dict[str, object], redis: Redis) -> Finding:
    if info.get("aof_enabled"):
        return Finding("ok", "redis persistence", "append-only file")
    try:
        save = redis.config_get("save").get("save", "")
    except RedisError:  # hosted Redis often forbids CONFIG
        return Finding(
            "warn", "redis persistence", "no append-only file; whether Redis saves is unknown, as CONFIG is forbidden"
        )
    if save:
        return Finding(
            "warn", "redis persistence", f"snapshots only (save {save}): a restart may lose the last minutes"
        )
    return Finding("warn", "redis persistence", "none: suggestion agents are lost when Redis restarts")


def _eviction(info: dict[str, object]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction" or not info.get("maxmemory"):
        return Finding("ok", "redis eviction", f"{policy}, maxmemory {info.get('maxmemory_human', '0B')}")
    return Finding(
        "FAIL", "redis eviction", f"{policy} deletes jobs when memory is full; set maxmemory-policy noeviction"
    )


def _neighbours(redis: Redis) -> Iterable[Finding]:
    """Yields findings about other workers that use this Redis database."""
    found = find_neighbours(redis)
    if (warning := describe_queue(found)) is not None:
        yield Finding("warn", "redis neighbours", warning)
    if found.elsewhere:
        queues = ", ".join(sorted(found.elsewhere))[:200]
        yield Finding(
            "warn", "redis neighbours", f"RQ workers of other programs share this database; their queues: {queues}"
        )
    if warning is None and not found.elsewhere:
        yield Finding("ok", "redis neighbours", "no other workers use this database")


def _connections(info: dict[str, object], redis: Redis, needed: int) -> Iterable[Finding]:
    """Yields whether the server lets this process open what it may come to need."""
    try:
        most = int(str(info.get("maxclients") or redis.config_get("maxclients")["maxclients"]))
    except (RedisError, KeyError):  # hosted Redis often forbids CONFIG, and old versions do not state it in INFO
        return
    used = int(str(info.get("connected_clients", 0)))
    said = f"{used} of {most} in use, REDIS_MAX_CONNECTIONS {needed}"
    if needed > most:
        yield Finding("FAIL", "redis connections", f"{said}: set it lower; all processes together share {most}")
    else:
        yield Finding("warn" if used + needed > most else "ok", "redis connections", said)


def check_port(name: str, host: str, port: int, host_name: str | None = None) -> Finding:
    """Returns whether that port can be listened on. `host_name` is the setting of `host`, where there is one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Finding("FAIL", "port", f"{name} {port} is taken")
        return Finding("FAIL", "port", port_problem(error, f"{name} {port}", f"{host_name or 'the host'} {host}"))
    return Finding("ok", "port", f"{name} {port} is free")


def port_problem(error: OSError, port: str, host: str) -> str:
    """Returns why an address cannot be listened on, with the setting that is wrong: that of its port or of its host."""
    is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
    return f"{host if is_host else port} cannot be used: {error.strerror}"

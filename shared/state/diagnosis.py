"""Explains in one line what is wrong with REDIS_URL, or with the Redis behind it, and shows no part of a secret."""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    TimeoutError,
)

from shared.errors import SettingsError
from shared.setting_rules import without_secrets
from shared.state import rights
from shared.state.connections import connect
from shared.state.primary import NotPrimaryError


class Diagnosis(NamedTuple):
    """Holds what an error of Redis says about the connection to it."""

    reason: str
    is_lasting: bool
    """Whether only other settings can help, and waiting cannot."""


_ANSWERS = (
    ("DB index is out of range", "has no database with that number"),
    ("SELECT is not allowed in cluster mode", "runs in cluster mode, which has no databases and is not supported"),
    ("without any password configured", "has no password, but one is given"),
    ("invalid password", "refuses the password"),
    ("WRONGPASS", "refuses the user or the password"),
    ("invalid username-password pair", "refuses the user or the password"),
    ("HELLO must be called", "requires a password, and none is given"),
    ("Authentication required", "requires a password, and none is given"),
)
"""Maps messages of Redis, for which redis-py has no classes, to reasons."""


def diagnose(error: Exception) -> Diagnosis:
    """Explains an error that a connection or a command of redis-py raised."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return _tls(cause)
    for text, reason in _ANSWERS:
        if text in str(error):
            return Diagnosis(reason, True)
    if isinstance(error, NotPrimaryError):
        return Diagnosis("is a replica, which takes no writes", False)
    if is_forbidden(error):
        command = re.search(r"run the '([a-z|]+)' command", str(error))
        return Diagnosis(f"does not let this user run {command[1] if command else 'what is needed'}", True)
    if isinstance(error, AuthenticationError):
        return Diagnosis("refuses the user or the password", True)
    if isinstance(error, InvalidResponse):
        return Diagnosis("answers, but is no Redis server", True)
    if isinstance(error, BusyLoadingError):
        return Diagnosis("is loading its data", False)
    return Diagnosis(_outage(error), False)


def is_forbidden(error: Exception) -> bool:
    """Returns whether the Redis user lacks a right. For a command in a script Redis 6 words the error differently."""
    return isinstance(error, NoPermissionError) or "executing the script can't " in str(error)


def _outage(error: Exception) -> str:
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            return "has a host name that cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return "refuses the connection"
        if isinstance(cause, FileNotFoundError | PermissionError):
            return f"cannot be opened: {cause.strerror}"
        if "handshake operation timed out" in str(cause):
            return "does not answer the TLS handshake (a port without TLS does so: redis://)"
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    if "closed by server" in str(error) or any(isinstance(cause, ConnectionResetError) for cause in _chain(error)):
        return "closes the connection (a port that speaks TLS does so: rediss://)"
    return f"does not answer ({type(error).__name__})"


def _tls(error: ssl.SSLError) -> Diagnosis:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Diagnosis(f"has a certificate that is not trusted: {error.verify_message.rstrip('.')}", True)
    reason = (error.reason or "").replace("_", " ").lower()
    if reason in ("wrong version number", "record layer failure", "packet length too long"):
        return Diagnosis("does not speak TLS on this port: redis://", True)
    if "certificate required" in reason or "handshake failure" in reason:
        return Diagnosis("requires a client certificate: ssl_certfile and ssl_keyfile", True)
    if "unexpected eof" in reason:
        return Diagnosis("closes the connection during the TLS handshake", False)
    if reason in ("no certificate or crl found", "no start line", "key values mismatch", "pem lib") or "pem" in reason:
        return Diagnosis(f"cannot be reached with these certificates and keys: {reason}", True)
    return Diagnosis(f"fails at TLS: {reason or 'unknown reason'}", False)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def probe(url: str, timeout_seconds: float = 2.0) -> Diagnosis | None:
    """Asks the Redis of a URL, once, whether it works and what this user may do. Returns what is wrong, or None."""
    try:
        with connect(url, max_connections=1, timeout_seconds=timeout_seconds) as redis:
            redis.ping()
            lacking = rights.missing(redis)
    except (RedisError, OSError) as error:
        return diagnose(error)
    return (
        Diagnosis(f"does not let this user do all that is needed; grant it: {' '.join(lacking)}", True)
        if lacking
        else None
    )


def describe(url: str, diagnosis: Diagnosis) -> str:
    """Returns the line for an operator: which setting, which address, what is wrong."""
    return f"REDIS_URL: {without_secrets(url)} {diagnosis.reason}"


def raise_if_lasting(url: str) -> str | None:
    """Raises SettingsError where only a change of settings can help. Returns a problem that may pass, or None."""
    diagnosis = probe(url)
    if diagnosis is None:
        return None
    if diagnosis.is_lasting:
        raise SettingsError(describe(url, diagnosis))
    return describe(url, diagnosis)

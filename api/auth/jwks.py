"""Fetches the public keys of a JWKS when they are needed, and caches them."""

import json
import logging
import time
from threading import Lock
from typing import Any

from jwt import PyJWK

from api.auth.key_fetch import FetchFailed, fetch

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
"""A fetch may take this long in all."""
LIFESPAN_SECONDS = 300
"""Keys older than this are fetched again, so that a withdrawn key is dropped."""
REFRESH_SECONDS = 60
"""Unknown key ids cause at most one fetch in this time, since anyone can make them up."""
RETRY_SECONDS = 5
"""The pause after a failed fetch: a key server that is down must not delay every request by the time-out."""
STALE_SECONDS = 3600
"""How long cached keys are used while the key server is down."""
MAX_KEYS = 100
"""Most keys that are read from a document: each costs time to parse."""


class KeyServerUnavailable(Exception):
    """Signals that the key server gave no keys and the cache does not help. The message says why, without the URL."""


class KeyServer:
    """Caches the keys of one URL by their ids."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = Lock()
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")
        self._failure = ""

    def key(self, key_id: str) -> PyJWK | None:
        """Returns the key of that id, None when the server has no such key. Raises KeyServerUnavailable."""
        key = self._usable(key_id, LIFESPAN_SECONDS)
        if key is None:
            self._refresh(key_id)
            key = self._usable(key_id, STALE_SECONDS)
        if key is None:
            self._raise_if_failed()
        return key

    def count(self) -> int:
        """Returns how many keys the server has. Raises KeyServerUnavailable."""
        self._fetch()
        self._raise_if_failed()
        return len(self._keys)

    def _raise_if_failed(self) -> None:
        if self._failed_at > self._fetched_at:
            raise KeyServerUnavailable(self._failure)

    def _usable(self, key_id: str, lifespan_seconds: float) -> PyJWK | None:
        return self._keys.get(key_id) if self._age() < lifespan_seconds else None

    def _refresh(self, key_id: str) -> None:
        """Fetches the keys, one fetch at a time. A caller that has a stale key uses it instead of waiting."""
        has_key = self._usable(key_id, STALE_SECONDS) is not None
        if self._lock.acquire(blocking=not has_key):
            try:
                if self._is_due(key_id):
                    self._fetch()
            finally:
                self._lock.release()

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _is_due(self, key_id: str) -> bool:
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return False
        return self._age() > (LIFESPAN_SECONDS if key_id in self._keys else REFRESH_SECONDS)

    def _fetch(self) -> None:
        """Sets the keys, or the time and the reason of the failure. It raises nothing."""
        try:
            keys = _keys(fetch(self._url, TIMEOUT_SECONDS))
        except Exception as error:
            self._failure = str(error) if isinstance(error, FetchFailed) else type(error).__name__
            self._failed_at = time.monotonic()
            log.warning("AUTH_JWKS_URL: the key server %s", self._failure)
            return
        self._keys = keys
        self._fetched_at = time.monotonic()


def _keys(document: bytes) -> dict[str, PyJWK]:
    """Returns the keys for signatures that have an id. Raises FetchFailed where the document is no JWKS."""
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, TypeError, LookupError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise FetchFailed("gave something that is no JWKS")
    keys = {}
    for entry in entries[:MAX_KEYS]:
        if _is_for_signatures(entry):
            try:
                keys[entry["kid"]] = PyJWK(entry)
            except Exception as error:
                log.info("AUTH_JWKS_URL: a key that cannot be read is ignored: %s", type(error).__name__)
    return keys


def _is_for_signatures(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("kid"), str)
        and entry.get("kty") in ("RSA", "EC")
        and entry.get("use", "sig") == "sig"
    )

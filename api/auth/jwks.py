"""The public keys of a JWKS, fetched when needed and kept."""

import logging
import time
from threading import Lock

from jwt import PyJWK, PyJWKClient, PyJWTError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5
LIFESPAN_SECONDS = 300
"""Keys older than this are fetched anew, so that a withdrawn one goes."""
REFRESH_SECONDS = 60
"""Unknown key ids cause at most one fetch in this time: anybody can make them up."""
RETRY_SECONDS = 5
"""After a fetch that failed: a key server that is down must not hold every request for its time-out."""
STALE_SECONDS = 3600
"""How long known keys serve while the key server is down."""


class KeyServerUnavailable(Exception):
    """The key server did not give its keys, and none we know will do."""


class KeyServer:
    """The keys of one URL, by their id."""

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, timeout=TIMEOUT_SECONDS, cache_jwk_set=False)
        self._lock = Lock()
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")

    def key(self, key_id: str) -> PyJWK | None:
        """The key of that id, None when the server has no such key. Raises KeyServerUnavailable."""
        key = self._usable(key_id, LIFESPAN_SECONDS)
        if key is None:
            self._refresh(key_id)
            key = self._usable(key_id, STALE_SECONDS)
        if key is None and self._failed_at > self._fetched_at:
            raise KeyServerUnavailable
        return key

    def count(self) -> int:
        """How many keys the server has. Raises KeyServerUnavailable."""
        self._fetch()
        if self._failed_at > self._fetched_at:
            raise KeyServerUnavailable
        return len(self._keys)

    def _usable(self, key_id: str, lifespan_seconds: float) -> PyJWK | None:
        return self._keys.get(key_id) if self._age() < lifespan_seconds else None

    def _refresh(self, key_id: str) -> None:
        """One fetch at a time; who has a stale key uses it rather than wait for somebody else's fetch."""
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
        try:
            keys = self._client.get_signing_keys()
        except (PyJWTError, OSError, ValueError) as error:
            log.warning("the key server does not answer: %s", error)
            self._failed_at = time.monotonic()
            return
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._fetched_at = time.monotonic()

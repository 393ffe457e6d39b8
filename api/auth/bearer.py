"""AUTH_MODE=jwt: the user is the `sub` of a signed token."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from flask import Request
from jwt.algorithms import HMACAlgorithm

from api.auth.credentials import Credential, unauthorised
from api.auth.jwks import KeyServer, KeyServerUnavailable
from api.http.problems import RETRY_AFTER_SECONDS, ApiProblem
from shared.settings import ApiSettings

SUBJECT_MAX_LENGTH = 255


class _Hs256(HMACAlgorithm):
    """HS256 with a secret that is looked at once; PyJWT makes sure with every token that it is no public key."""

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)
        self._prepared = cache(super().prepare_key)

    def prepare_key(self, key: str | bytes) -> bytes:
        return self._prepared(key)


class TokenAuthenticator:
    """Bearer tokens, from the Authorization header or else from a cookie."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._cookie = settings.auth_cookie
        # The algorithms hang on the kind of key alone: a public key must never serve as an HMAC secret.
        self._verify: Callable[[str], dict[str, Any]]
        if settings.auth_jwks_url:
            self._key_server = KeyServer(settings.auth_jwks_url)
            self._verify = self._verify_by_key_server
        else:
            self._secret = _secret(settings.auth_secret or "")
            self._verify = self._verify_by_secret

    def guard(self, request: Request) -> None:
        """Tokens may come from anywhere."""

    def identify(self, request: Request) -> Credential:
        """Who signed in. Raises ApiProblem 401, or 503 when the key server is away."""
        authorization = request.headers.get("Authorization", "")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return Credential(self._subject(token.strip()), is_cookie=False)
        if token := request.cookies.get(self._cookie, ""):
            return Credential(self._subject(token), is_cookie=True)
        raise unauthorised("Sign in first.")

    def _subject(self, token: str) -> str:
        try:
            subject = self._verify(token)["sub"]
        except KeyServerUnavailable:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise ApiProblem(503, "Signing in cannot be checked right now.", headers=headers) from None
        except jwt.ExpiredSignatureError:
            raise unauthorised("The token has expired. Sign in again.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise unauthorised("The token is not valid. Sign in again.") from None
        # Not printable: control characters, and lone surrogates, which no key in Redis can hold.
        if not 0 < len(subject) <= SUBJECT_MAX_LENGTH or not subject.isprintable():
            raise unauthorised("The token is not valid. Sign in again.")
        return str(subject)

    def _verify_by_secret(self, token: str) -> dict[str, Any]:
        return self._claims(token, self._secret, ["HS256"])

    def _verify_by_key_server(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ("RS256", "ES256") or not isinstance(header.get("kid"), str):
            raise jwt.InvalidTokenError
        key = self._key_server.key(header["kid"])
        if key is None:
            raise jwt.InvalidTokenError
        return self._claims(token, key, ["RS256", "ES256"])

    def _claims(self, token: str, key: jwt.PyJWK, algorithms: list[str]) -> dict[str, Any]:
        audience, issuer = self._settings.auth_audience, self._settings.auth_issuer
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=audience,
            issuer=issuer,
            options={
                "require": ["exp", "sub"],
                "verify_aud": audience is not None,
                "verify_iss": issuer is not None,
                "verify_iat": False,  # it says when, not whether; clocks a second apart must not matter
            },
        )


def _secret(text: str) -> jwt.PyJWK:
    key = jwt.PyJWK(HMACAlgorithm.to_jwk(text, as_dict=True), "HS256")
    key.Algorithm = _Hs256()
    return key

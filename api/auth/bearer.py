"""Authenticates by signed tokens (AUTH_MODE=jwt): the user is the `sub` claim of a token."""

import logging
from collections.abc import Callable
from typing import Any

import jwt
from flask import Request

from api.auth.credentials import Credential, unauthorised
from api.auth.jwks import KeyServer, KeyServerUnavailable
from api.http.problems import RETRY_AFTER_SECONDS, ApiProblem
from shared.settings import ApiSettings

log = logging.getLogger(__name__)

SUBJECT_MAX_LENGTH = 255
LEEWAY_SECONDS = 30
"""The clock of the host that signs the tokens may differ from ours by this much."""

_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired (exp)",
    jwt.ImmatureSignatureError: "it is not valid yet (nbf)",
    jwt.InvalidSignatureError: "its signature does not verify",
    jwt.InvalidAlgorithmError: "its algorithm is not one that is taken (alg)",
    jwt.InvalidAudienceError: "it is for another audience (aud)",
    jwt.InvalidIssuerError: "it is from another issuer (iss)",
    jwt.exceptions.InvalidSubjectError: "its subject is no text (sub)",
}
"""Maps errors to reasons for the log. The library's own messages may repeat the contents of a token."""


class TokenAuthenticator:
    """Authenticates requests by a token from the Authorization header, or else from a cookie."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._cookie = settings.auth_cookie
        # The algorithms depend only on the kind of key: a public key must never serve as an HMAC secret.
        self._verify: Callable[[str], dict[str, Any]]
        if settings.auth_jwks_url:
            self._key_server = KeyServer(settings.auth_jwks_url)
            self._verify = self._verify_by_key_server
        else:
            self._secret = settings.auth_secret or ""
            self._verify = self._verify_by_secret

    def guard(self, request: Request) -> None:
        """Accepts every request, since tokens may be sent from anywhere."""

    def identify(self, request: Request) -> Credential:
        """Returns the user of the request. Raises ApiProblem 401, or 503 when the key server does not answer."""
        authorization = request.headers.get("Authorization", "")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return Credential(self._subject(token.strip(), "Authorization header"), is_cookie=False)
        if token := request.cookies.get(self._cookie, ""):
            return Credential(self._subject(token, "cookie"), is_cookie=True)
        raise self._unauthorised("Sign in first.")

    def _subject(self, token: str, source: str) -> str:
        """Returns the user of a token. Raises ApiProblem.

        `source` names for the log where the token was found.
        """
        try:
            subject = self._verify(token)["sub"]
        except KeyServerUnavailable:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise ApiProblem(503, "Signing in cannot be checked right now.", headers=headers) from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            _log_refusal(source, _reason(error))
            what = "has expired" if isinstance(error, jwt.ExpiredSignatureError) else "is not valid"
            raise self._unauthorised(f"The token {what}. Sign in again.") from None
        # Control characters and lone surrogates are refused: no key in Redis can contain the latter.
        if not 0 < len(subject) <= SUBJECT_MAX_LENGTH or not subject.isprintable():
            _log_refusal(source, "its subject is empty, too long or not printable (sub)")
            raise self._unauthorised("The token is not valid. Sign in again.")
        return str(subject)

    def _unauthorised(self, detail: str) -> ApiProblem:
        return unauthorised(detail, self._settings.sign_in_url)

    def _verify_by_secret(self, token: str) -> dict[str, Any]:
        return self._claims(token, self._secret, ["HS256"])

    def _verify_by_key_server(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ("RS256", "ES256"):
            raise jwt.InvalidAlgorithmError
        if not isinstance(header.get("kid"), str):
            raise _UnknownKey("it names no key (kid)")
        key = self._key_server.key(header["kid"])
        if key is None:
            raise _UnknownKey("the key server does not have its key (kid)")
        return self._claims(token, key, ["RS256", "ES256"])

    def _claims(self, token: str, key: jwt.PyJWK | str, algorithms: list[str]) -> dict[str, Any]:
        audience, issuer = self._settings.auth_audience, self._settings.auth_issuer
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={
                "require": ["exp", "sub"],
                "verify_aud": audience is not None,
                "verify_iss": issuer is not None,
                "verify_iat": False,  # `iat` does not limit a token's validity, and clocks may differ by a second
            },
        )


class _UnknownKey(jwt.InvalidTokenError):
    """Signals that the key that signed a token is unknown. The message says why."""


def _log_refusal(source: str, reason: str) -> None:
    log.info("the token in the %s was refused: %s", source, reason)


def _reason(error: Exception) -> str:
    if isinstance(error, _UnknownKey):
        return str(error)
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it has no {error.claim}"
    return _REASONS.get(type(error), f"it is malformed ({type(error).__name__})")

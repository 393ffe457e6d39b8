"""What an authenticator finds out about a request."""

from dataclasses import dataclass

from api.http.problems import ApiProblem


@dataclass(frozen=True)
class Credential:
    user_id: str
    is_cookie: bool
    """A browser sends a cookie by itself, so the request may be another site's doing."""


def unauthorised(detail: str, sign_in_url: str | None = None) -> ApiProblem:
    """Returns a 401 problem. The page learns from it where to sign in: the options need signing in."""
    headers = {"WWW-Authenticate": "Bearer"}
    if sign_in_url is not None:
        headers["Sign-In-URL"] = sign_in_url
    return ApiProblem(401, detail, headers=headers)

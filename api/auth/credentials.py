"""What an authenticator finds out about a request."""

from dataclasses import dataclass

from api.http.problems import ApiProblem


@dataclass(frozen=True)
class Credential:
    user_id: str
    is_cookie: bool
    """A browser sends a cookie by itself, so the request may be another site's doing."""


def unauthorised(detail: str) -> ApiProblem:
    return ApiProblem(401, detail, headers={"WWW-Authenticate": "Bearer"})

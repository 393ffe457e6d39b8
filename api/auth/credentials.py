"""Defines what an authenticator finds out about a request."""

from dataclasses import dataclass

from api.http.problems import ApiProblem


@dataclass(frozen=True)
class Credential:
    """Names the user of a request, and says how the user was identified."""

    user_id: str
    is_cookie: bool
    """Whether it came in a cookie. Browsers send cookies by themselves, so another site may have caused the request."""


def unauthorised(detail: str, sign_in_url: str | None = None) -> ApiProblem:
    """Returns a 401 problem. It tells the page where to sign in, which it cannot read from the options yet."""
    headers = {"WWW-Authenticate": "Bearer"}
    if sign_in_url is not None:
        headers["Sign-In-URL"] = sign_in_url
    return ApiProblem(401, detail, headers=headers)

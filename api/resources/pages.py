"""Serves the web client."""

from mimetypes import guess_type
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory

from api.auth.demo import DemoAuthenticator
from api.http.problems import ApiProblem
from api.services import services

blueprint = Blueprint("pages", __name__)

STATIC = Path(__file__).parent.parent / "static"
ONE_YEAR_SECONDS = 365 * 24 * 3600
_ENCODINGS = {"br": ".br", "gzip": ".gz"}

_WITHOUT_CLIENT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Feature planner</title>
<h1>Feature planner</h1>
<p>The web client has not been built; <code>make install</code> builds it.
The API is described at <a href="/docs">/docs</a>. For example:</p>
<pre>{sign_in}
curl {credential} -H "Content-Type: application/json" \\
  -d '{{"pageOrComponent": "Checkout page", "featureType": "enhancement", "priorityLevel": "high"}}' \\
  {root}api/feature-planner/suggest-feature
curl -N {credential} {root}api/feature-planner/suggest-feature/$JOB_ID</pre>
"""


@blueprint.get("/")
def index() -> Response:
    static = services().static
    if (static / "index.html").is_file():
        response = _send(static, "index.html")
    else:
        response = Response(_without_client(), content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    return with_demo_cookie(response)


@blueprint.get("/favicon.<any(ico, svg):ending>")
def favicon(ending: str) -> Response:
    return _send(services().static, f"favicon.{ending}")


@blueprint.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Answers with a built file, cached for good: Vite's names carry a hash of the content."""
    response = _send(services().static / "assets", name)
    response.headers["Cache-Control"] = f"public, max-age={ONE_YEAR_SECONDS}, immutable"
    return response


def with_demo_cookie(response: Response) -> Response:
    """Returns the page; in demo mode it signs the browser in."""
    authenticator = services().authenticator
    if isinstance(authenticator, DemoAuthenticator):
        authenticator.welcome(request, response)
    return response


def _without_client() -> str:
    settings = services().settings
    root = f"http://localhost:{settings.port}/"
    if settings.auth_mode == "demo":
        return _WITHOUT_CLIENT.format(root=root, sign_in=f"curl -c cookies {root}", credential="-b cookies")
    credential = '-H "Authorization: Bearer $TOKEN"'
    return _WITHOUT_CLIENT.format(root=root, sign_in="TOKEN=...", credential=credential)


def send_static(directory: Path, name: str, mimetype: str | None = None) -> Response:
    """Returns the file of a directory. Raises ApiProblem 412 where a precondition fails, and werkzeug's NotFound."""
    response = send_from_directory(directory, name, mimetype=mimetype)
    if response.status_code == 412:  # werkzeug would keep the type and the length of the file
        response.close()
        raise ApiProblem(412, "The file is not the one that the request's conditions name.")
    return response


def _send(directory: Path, name: str) -> Response:
    """Returns the file, or a compressed copy if there is one and the browser accepts it. Raises NotFound."""
    for encoding, suffix in _ENCODINGS.items():
        if request.accept_encodings[encoding] > 0 and _is_file(directory / f"{name}{suffix}"):
            response = send_static(directory, f"{name}{suffix}", mimetype=guess_type(name)[0])
            response.headers["Content-Encoding"] = encoding
            break
    else:
        response = send_static(directory, name)
    response.vary.add("Accept-Encoding")
    return response


def _is_file(path: Path) -> bool:
    """Returns whether the file exists; False for a name that the file system cannot have, such as one too long."""
    try:
        return path.is_file()
    except OSError:
        return False

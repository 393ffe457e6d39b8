"""Serves the OpenAPI document, and Swagger UI to read it with. Nothing is fetched from other hosts."""

from pathlib import Path
from typing import Any

import flask_openapi3_swagger
from flask import Blueprint, Response, current_app
from flask_openapi3.models.info import Info
from flask_openapi3.models.license import License
from flask_openapi3.openapi import OpenAPI

from api.resources.document import completed
from api.resources.pages import send_static, with_demo_cookie
from shared import __version__

blueprint = Blueprint("docs", __name__)

INFO = Info(
    title="Feature planner",
    version=__version__,
    license=License(name="MIT", identifier="MIT"),
    description="""Ask for feature suggestions about a page of your product, and watch the answer being written.

Create a job, then watch it: `GET` of the job is a stream of server-sent events that begins with all that was missed, so
a client that was cut off comes back with the id of the last event it saw. Small whole clients to copy, and what to do
on each status, are in `docs/clients/` and `docs/protocol.md` of the source.

Times are milliseconds since the Unix epoch, lengths count Unicode code points. Whatever breaks HTTP or its bounds
(a request line or headers that are too long, a method that a path has not) is answered with a problem as well: 405,
414, 417, 431 or 501.""",
)
_DOCUMENT = "planner.openapi"
"""The name under which the app's extensions hold the text of the document."""
_SWAGGER_UI = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Feature planner: the API</title>
<link rel="icon" href="/docs/images/swagger.svg">
<link rel="stylesheet" href="/docs/css/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/js/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
"""

# The script is a separate file, so that the page's policy needs no inline scripts. The validator is off, since it
# would be a request to another host. This Swagger UI supports OpenAPI 3.1, in which `schema` describes one event.
_START = """const show = (text) => {
  const spec = { ...JSON.parse(text.replaceAll('"itemSchema":', '"schema":')), openapi: "3.1.0" };
  const presets = [SwaggerUIBundle.presets.apis];
  SwaggerUIBundle({ spec, dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null, presets });
};
fetch("/openapi.json").then((answer) => answer.text()).then(show);
"""


def security_schemes(cookie: str) -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
    }


@blueprint.get("/openapi.json")
def document() -> Response:
    app = current_app
    assert isinstance(app, OpenAPI)
    # The document is made once: that takes 20 ms, and everyone may request it.
    if _DOCUMENT not in app.extensions:
        app.extensions[_DOCUMENT] = app.json.dumps(completed(app.api_doc))
    return Response(app.extensions[_DOCUMENT], content_type="application/json")


@blueprint.get("/docs")
def docs() -> Response:
    return with_demo_cookie(Response(_PAGE, content_type="text/html; charset=utf-8"))


@blueprint.get("/docs/start.js")
def start() -> Response:
    return Response(_START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/<path:name>")
def swagger_ui(name: str) -> Response:
    return send_static(_SWAGGER_UI, name)

"""The OpenAPI document, and Swagger UI to read it with; nothing is fetched from elsewhere."""

from pathlib import Path
from typing import Any

import flask_openapi3_swagger
from flask import Blueprint, Response, current_app
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from api.resources.pages import send_static, welcomed
from shared import __version__

blueprint = Blueprint("docs", __name__)

INFO = Info(
    title="Feature planner",
    version=__version__,
    description="Ask for feature suggestions about a page of your product, and watch the answer being written.",
)
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

# A file of its own, so that the page's policy needs no inline scripts; the validator would be a request
# to another host.
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


def security_schemes(cookie: str) -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
    }


@blueprint.get("/openapi.json")
def document() -> dict[str, Any]:
    assert isinstance(current_app, OpenAPI)
    openapi = dict(current_app.api_doc)
    for path in openapi["paths"].values():
        for operation in path.values():
            _drop_invented_response(operation["responses"])
    return openapi


def _drop_invented_response(responses: dict[str, Any]) -> None:
    """flask-openapi3 adds a 422 of a shape that is not ours to whatever does not declare one."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]


@blueprint.get("/docs")
def docs() -> Response:
    return welcomed(Response(_PAGE, content_type="text/html; charset=utf-8"))


@blueprint.get("/docs/start.js")
def start() -> Response:
    return Response(_START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/<path:name>")
def swagger_ui(name: str) -> Response:
    return send_static(_SWAGGER_UI, name)

"""Makes responses of the contract's models."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from pydantic import BaseModel

from api.http.documented_headers import header_references


def json_response(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the model as a JSON response, without a warning about a value that only a newer version knows."""
    return Response(model.model_dump_json(warnings=False), status, dict(headers or {}), content_type="application/json")


def documented(model: type[BaseModel], description: str, *headers: str) -> dict[str, Any]:
    """Returns the description of a route's answer for the OpenAPI document."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "description": description,
        "headers": header_references(*headers),
        "content": {"application/json": {"schema": schema}},
    }

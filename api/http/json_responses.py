"""Models of the contract as responses."""

from collections.abc import Mapping

from flask import Response
from pydantic import BaseModel


def json_response(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(), status, dict(headers or {}), content_type="application/json")

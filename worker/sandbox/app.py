"""The HTTP application: its routes, its errors, and what tests may look at."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.sandbox.checks import check_key
from worker.sandbox.journal import Journal
from worker.sandbox.messages import Messages, Pace
from worker.sandbox.player import error_response
from worker.sandbox.wire import ApiError, RequestRefused

_MODELS = ("sandbox", "claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5")


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kinds = {404: "not_found_error", 500: "api_error"}
    kind = kinds.get(status, "invalid_request_error")
    detail = error.detail if isinstance(error, HTTPException) else "Internal server error"
    return error_response(ApiError(status, kind, f"{detail}: {request.method} {request.url.path}"))


def _model(name: str) -> dict[str, Any]:
    shown = "Sandbox" if name == "sandbox" else f"{name} (sandbox)"
    return {
        "type": "model",
        "id": name,
        "display_name": shown,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


def _list_models(request: Request) -> Response:
    return _models_response(request, None)


def _show_model(request: Request) -> Response:
    return _models_response(request, request.path_params["name"])


def _models_response(request: Request, name: str | None) -> Response:
    try:
        check_key(dict(request.scope["headers"]))
    except RequestRefused as refused:
        return error_response(refused.error)
    listed = {"data": [_model(each) for each in _MODELS], "first_id": _MODELS[0], "last_id": _MODELS[-1]}
    return JSONResponse(_model(name) if name else listed | {"has_more": False})


def create_app(pace: Pace) -> Starlette:
    """The whole stand-in."""
    journal = Journal()

    async def observed(request: Request) -> Response:
        if request.method == "DELETE":
            journal.clear()
            return Response(status_code=204)
        shown = json.dumps([exchange.as_json() for exchange in journal.exchanges])
        return Response(shown, media_type="application/json")

    async def pieces(request: Request) -> Response:
        exchange = journal.find(request.path_params["id"])
        if exchange is None:
            raise HTTPException(404)
        return JSONResponse(exchange.pieces())

    routes = [
        Route("/v1/messages", Messages(pace, journal), methods=["POST"]),
        Route("/v1/models", _list_models),
        Route("/v1/models/{name}", _show_model),
        Route("/sandbox/requests", observed, methods=["GET", "DELETE"]),
        Route("/sandbox/requests/{id}/pieces", pieces),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _http_error})

"""Defines the HTTP application: its routes, its errors, and the records that tests read."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.sandbox.checks import check_key
from worker.sandbox.journal import Journal
from worker.sandbox.limits import Forced, Limits
from worker.sandbox.messages import Messages
from worker.sandbox.models import MODELS, described, find
from worker.sandbox.options import Options
from worker.sandbox.player import error_response
from worker.sandbox.wire import ApiError, RequestRefused


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kinds = {404: "not_found_error", 500: "api_error"}
    kind = kinds.get(status, "invalid_request_error")
    detail = error.detail if isinstance(error, HTTPException) else "Internal server error"
    return error_response(ApiError(status, kind, f"{detail}: {request.method} {request.url.path}"))


def _list_models(request: Request) -> Response:
    return _models_response(request, None)


def _show_model(request: Request) -> Response:
    return _models_response(request, request.path_params["name"])


def _models_response(request: Request, name: str | None) -> Response:
    try:
        check_key(dict(request.scope["headers"]))
        return JSONResponse(_all_models() if name is None else _one_model(name))
    except RequestRefused as refused:
        return error_response(refused.error)


def _all_models() -> dict[str, Any]:
    listed = [described(model) for model in MODELS.values()]
    return {"data": listed, "first_id": listed[0]["id"], "last_id": listed[-1]["id"], "has_more": False}


def _one_model(name: str) -> dict[str, Any]:
    model = find(name)
    if model is None:
        raise RequestRefused(ApiError(404, "not_found_error", f"model: {name}"))
    return described(model)


def create_app(options: Options) -> Starlette:
    """Returns the sandbox as an application."""
    journal, limits = Journal(), Limits(options)

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

    async def refusals(request: Request) -> Response:
        """Makes the next requests be refused: `{"count", "status", "retryAfter", "model"}`, each optional."""
        asked = await request.json()
        limits.force(
            Forced(asked.get("count", 1), asked.get("status", 429), asked.get("retryAfter"), asked.get("model"))
        )
        return Response(status_code=204)

    routes = [
        Route("/v1/messages", Messages(options, journal, limits), methods=["POST"]),
        Route("/v1/models", _list_models),
        Route("/v1/models/{name}", _show_model),
        Route("/sandbox/requests", observed, methods=["GET", "DELETE"]),
        Route("/sandbox/requests/{id}/pieces", pieces),
        Route("/sandbox/refusals", refusals, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _http_error})

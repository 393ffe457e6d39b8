"""Opens the streams that are asked for as an EventSource does it, before Flask sees the request.

Flask's way to a view and back is a quarter of what opening a stream costs, and after a deploy everybody opens one at
once. Nothing else is done here: what is out of the ordinary, and every refusal, is Flask's to answer.
"""

import logging
import re
import time
from collections.abc import Iterable
from functools import partial
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Request
from werkzeug.wsgi import ClosingIterator

from api.auth.middleware import PREFIX
from api.delivery.admission import StreamRequest
from api.delivery.sse import HEADERS, MEDIA_TYPE
from api.delivery.stream import client_of, open_stream
from api.http import request_log
from api.http.headers import sane_request_id, security_headers
from api.resources.suggestions import ENDPOINT, PATH, REFUSAL, UUID
from api.server.client_socket import ClientSocket
from api.services import Services
from shared.state.event_log import EventId
from shared.telemetry import breadcrumbs, logs

_ROUTE = f"{PREFIX}{PATH}/<jobId>"
_STREAM = re.compile(f"{re.escape(PREFIX + PATH)}/({UUID.pattern})")


class StreamApp:
    """Stands before the app."""

    def __init__(self, planner: Services, app: WSGIApplication) -> None:
        self._planner = planner
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ["REQUEST_METHOD"], environ.get("HTTP_ACCEPT"), environ.get("QUERY_STRING")
        match, client = _STREAM.fullmatch(environ["PATH_INFO"]), client_of(environ)
        if match and client and asked == ("GET", MEDIA_TYPE, ""):
            try:
                return self._open(match[1].lower(), client, environ, start_response)
            except Exception as refusal:
                environ[REFUSAL] = refusal
        return self._app(environ, start_response)

    def _open(
        self, job_id: str, client: ClientSocket, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        began = environ[request_log.BEGAN] = time.perf_counter()
        # Also for Flask, should it come to that.
        request_id = environ["HTTP_X_REQUEST_ID"] = sane_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        logs.bind_anew(request_id=request_id)
        user_id = self._user_id(Request(environ))
        breadcrumbs.name(ENDPOINT)
        breadcrumbs.tag(user_id=user_id, job=job_id)
        stream_request = StreamRequest(job_id, user_id, EventId.parse(environ.get("HTTP_LAST_EVENT_ID", "").strip()))
        stream = open_stream(self._planner.hub, self._planner.admission, stream_request, client)
        fields: dict[str, object] = {"method": "GET", "route": _ROUTE, "status": 200, "job_id": job_id}
        stream.when_over.append(partial(request_log.tell, logging.INFO, request_id, fields, began))
        headers = {"Content-Type": MEDIA_TYPE, **HEADERS, **security_headers(_ROUTE), "X-Request-ID": request_id}
        start_response("200 OK", list(headers.items()))
        return ClosingIterator(stream.body, stream.close)

    def _user_id(self, request: Request) -> str:
        """Raises ApiProblem."""
        self._planner.authenticator.guard(request)
        return self._planner.authenticator.identify(request).user_id

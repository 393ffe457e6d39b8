"""Serves the event streams in front of Flask: every GET of a job whose `Accept` asks for the stream.

Going through Flask would be a quarter of the cost of opening a stream, and after a deploy all clients open one at once.
What all answers have in common (headers, CORS, problems, the log line) is done by the functions of `api.http` and
`api.auth` that Flask's hooks use too.
"""

import logging
import re
import time
from collections.abc import Iterable
from functools import partial
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Request, Response
from werkzeug.wsgi import ClosingIterator

from api.auth.middleware import user_of
from api.delivery.admission import AlreadyComplete, JobGone, JobOfAnotherUser, StreamRequest, TooManyStreams
from api.delivery.sse import HEADERS
from api.delivery.stream import Stream, client_of, open_stream
from api.http import cors, headers, problems, request_log
from api.http.negotiation import wants_stream
from api.http.paths import JOBS, PREFIX
from api.http.problems import ApiProblem
from api.http.request_id import choose_request_id
from api.resources import job_problems
from api.services import Services
from shared.state.event_log import EventId
from shared.telemetry import breadcrumbs, logs

log = logging.getLogger(__name__)

_ROUTE = f"{PREFIX}{JOBS}/<jobId>"
_JOB = re.compile(f"{re.escape(PREFIX + JOBS)}/([^/]+)")
_TRANSACTION = "stream_app.watch_job"
"""The name of these requests in Sentry."""


class StreamApp:
    """Answers requests for a stream, and passes all others to the Flask app."""

    def __init__(self, planner: Services, app: WSGIApplication) -> None:
        self._planner = planner
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match = _JOB.fullmatch(environ["PATH_INFO"])
        if match and environ["REQUEST_METHOD"] == "GET" and wants_stream(environ.get("HTTP_ACCEPT")):
            return self._answer(match[1], Request(environ), start_response)
        return self._app(environ, start_response)

    def _answer(self, job: str, request: Request, start_response: StartResponse) -> Iterable[bytes]:
        began, request_id = time.perf_counter(), choose_request_id(request.environ.get("HTTP_X_REQUEST_ID"))
        logs.rebind(request_id=request_id)
        breadcrumbs.name(_TRANSACTION)
        fields: dict[str, object] = {"method": "GET", "route": _ROUTE, "status": 200}
        log_request = partial(request_log.log_request, logging.INFO, request_id, fields, began)
        try:
            stream = self._open(job, request, fields)
        except Exception as error:
            response = self._refusal(error)
            fields["status"] = response.status_code
            response.headers.update(self._shared_headers(request))
            headers.add_headers(response, request.path, request_id)
            response.call_on_close(log_request)
            return response(request.environ, start_response)
        stream.when_over.append(log_request)
        answer = {**HEADERS, **self._shared_headers(request), **headers.shared_headers(request.path, request_id)}
        start_response("200 OK", list(answer.items()))
        return ClosingIterator(stream.body, stream.close)

    def _open(self, job: str, request: Request, fields: dict[str, object]) -> Stream:
        """Returns the open stream. Raises ApiProblem, Refused or redis.RedisError."""
        self._planner.authenticator.guard(request)
        user_id = user_of(request, self._planner.authenticator)
        job_id = job_problems.checked_id(job)
        fields["job_id"] = job_id
        breadcrumbs.tag(job=job_id)
        stream_request = StreamRequest(job_id, user_id, cursor_of(request))
        return open_stream(self._planner.hub, self._planner.admission, stream_request, client_of(request.environ))

    def _refusal(self, error: Exception) -> Response:
        match error:
            case AlreadyComplete():
                # A 204 tells an EventSource to stop reconnecting.
                return Response(status=204)
            case JobGone():
                return problems.render(job_problems.gone())
            case JobOfAnotherUser():
                return problems.render(job_problems.foreign())
            case TooManyStreams():
                limit = self._planner.settings.streams_per_user
                detail = f"You have {limit} streams open already."
                return problems.render(ApiProblem(429, detail, headers={"Retry-After": "1"}))
        try:
            return problems.render(problems.problem_of(error))
        except Exception:
            log.exception("opening a stream failed; its client was answered 500")
            return problems.render(problems.internal_error())

    def _shared_headers(self, request: Request) -> dict[str, str]:
        origins = self._planner.settings.cors_origins
        return {"Vary": "Origin", **cors.allow(origins, request.headers.get("Origin"))} if origins else {}


def cursor_of(request: Request) -> EventId | None:
    """Returns the client's cursor from the header or the query; None where it is missing or malformed."""
    text = request.headers.get("Last-Event-ID")
    if not text and request.query_string:
        text = request.args.get("lastEventId")
    return EventId.parse(text.strip()) if text else None

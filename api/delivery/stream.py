"""A job's event stream, as the answer to a request."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

import gevent

from api.delivery import sse
from api.delivery.admission import Admission, StreamRequest, TooManyStreams
from api.delivery.feed import Feed
from api.delivery.hub import Hub
from api.delivery.viewer import QueueViewer, SocketViewer
from api.server.client_socket import ClientSocket
from shared.contract.events import Connected
from shared.state.event_log import Snapshot
from shared.telemetry import breadcrumbs
from shared.telemetry.breadcrumbs import Crumb
from shared.telemetry.metrics import api_metrics

RETRY_MS = 1000
SECOND_TRY_SECONDS = 0.25


class Stream(NamedTuple):
    """A job's stream, open. `close` has to be called when the request is over."""

    body: Iterator[bytes]
    close: Callable[[], None]
    when_over: list[Callable[[], None]]
    """What is to be done when the stream is over, which may be long after the request."""


def open_stream(hub: Hub, admission: Admission, request: StreamRequest, client: ClientSocket | None) -> Stream:
    """The stream of a job. Gives the place back when it ends, however it ends.

    The feed is there before the answer begins: raises what Admission.enter does, and redis.RedisError, while
    there can still be another answer.
    """
    feed, job = _enter(hub, admission, request)
    viewer = SocketViewer(client.fileno()) if client else QueueViewer()
    metrics = api_metrics()
    if feed.history.has(request.cursor):
        metrics.resumes.inc()
    breadcrumbs.add(Crumb.STREAM_OPENED)

    def body() -> Iterator[bytes]:
        connected = Connected(job_id=request.job_id, status=job.status, timestamp=_now_ms())
        yield sse.retry(RETRY_MS) + sse.encode_event(connected)
        feed.join(viewer, request.cursor, time.time())
        if isinstance(viewer, QueueViewer):
            yield from viewer
        elif client is not None:
            viewer.when_over += when_over
            client.viewer = viewer
            if hub.is_draining:
                hub.send_away(viewer)

    def close() -> None:
        feed.leave(viewer)
        hub.close(feed)
        admission.leave(request)
        if viewer.was_cut:
            metrics.viewers_cut_off.inc()

    def close_unless_begun() -> None:
        """A stream that has begun outlives its request."""
        if client is None or client.viewer is None:
            for callback in when_over:
                callback()

    when_over: list[Callable[[], None]] = [close]
    return Stream(body(), close_unless_begun, when_over)


def client_of(environ: WSGIEnvironment) -> ClientSocket | None:
    """The client's own socket, where the server lets us have it and takes what we write there: plain, in chunks."""
    sock = environ.get("gunicorn.socket")
    takes_chunks = environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and "HTTP_VERSION" not in environ
    return sock if isinstance(sock, ClientSocket) and takes_chunks else None


def _enter(hub: Hub, admission: Admission, request: StreamRequest) -> tuple[Feed, Snapshot]:
    """The job's feed, open, and the job; a place is taken. Looks twice for one: the page may be reloading."""
    enter = partial(admission.enter, request)
    try:
        with suppress(TooManyStreams):
            return hub.open(request.job_id, enter)
        gevent.sleep(SECOND_TRY_SECONDS)
        return hub.open(request.job_id, enter)
    except BaseException:
        admission.leave(request)
        raise


def _now_ms() -> int:
    return int(time.time() * 1000)

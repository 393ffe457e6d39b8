"""Answers a request with a job's event stream."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, g, request

from api import sse
from api.client_socket import ClientSocket
from api.hub import Hub
from api.places import Places
from api.viewer import QueueViewer, SocketViewer
from shared.breadcrumbs import Crumb, leave
from shared.event_log import EventId
from shared.events import Connected
from shared.metrics import api_metrics
from shared.schemas import JobStatus

RETRY_MS = 1000


def stream(hub: Hub, places: Places, place: str, job_id: str, status: JobStatus, cursor: EventId | None) -> Response:
    """The stream of a job. Gives the place back when it ends, however it ends.

    The feed is there before the answer begins: raises redis.RedisError while that can still be a 503.
    """
    try:
        feed = hub.open(job_id)
    except BaseException:
        places.give_back(place)
        raise
    client = _client(request.environ)
    viewer = SocketViewer(client.fileno()) if client else QueueViewer()
    metrics = api_metrics()
    if feed.past.has(cursor):
        metrics.resumes.inc()
    metrics.open_streams.inc()
    leave(Crumb.STREAM_OPENED)

    def body() -> Iterator[bytes]:
        connected = Connected(job_id=job_id, status=status, timestamp=_now_ms())
        yield sse.retry(RETRY_MS) + sse.of_connection(connected)
        feed.join(viewer, cursor, time.time())
        if isinstance(viewer, QueueViewer):
            yield from viewer
        elif client is not None:
            viewer.when_over += when_over
            client.viewer = viewer

    def close() -> None:
        feed.leave(viewer)
        hub.close(feed)
        places.give_back(place)
        metrics.open_streams.dec()
        if viewer.was_cut:
            metrics.viewers_cut_off.inc()

    def close_unless_begun() -> None:
        """A stream that has begun outlives its request."""
        if client is None or client.viewer is None:
            for callback in when_over:
                callback()

    when_over: list[Callable[[], None]] = [close]
    g.when_over = when_over
    response = Response(body(), content_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
    response.call_on_close(close_unless_begun)
    return response


def _client(environ: dict[str, Any]) -> ClientSocket | None:
    """The client's own socket, where the server lets us have it and takes what we write there: plain, in chunks."""
    sock = environ.get("gunicorn.socket")
    takes_chunks = environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and "HTTP_VERSION" not in environ
    return sock if isinstance(sock, ClientSocket) and takes_chunks else None


def _now_ms() -> int:
    return int(time.time() * 1000)

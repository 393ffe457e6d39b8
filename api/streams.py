"""Answers a request with a job's event stream."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

from flask import Response, request

from api import sse
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
    viewer = _viewer(request.environ)
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
        else:
            viewer.wait()

    def close() -> None:
        metrics.open_streams.dec()
        metrics.viewers_cut_off.inc(viewer.was_cut)
        if viewer.was_cut:
            leave(Crumb.VIEWER_CUT_OFF)
        elif not viewer.is_ending:
            leave(Crumb.CLIENT_GONE)
        feed.leave(viewer)
        hub.close(feed)
        places.give_back(place)

    response = Response(body(), content_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
    response.call_on_close(close)
    return response


def _viewer(environ: dict[str, Any]) -> SocketViewer | QueueViewer:
    """A viewer on the client's own socket, where the server gives us one that takes plain bytes."""
    sock = environ.get("gunicorn.socket")
    if sock is None or isinstance(sock, ssl.SSLSocket) or "HTTP_VERSION" in environ:
        return QueueViewer()
    return SocketViewer(sock, is_chunked=environ["SERVER_PROTOCOL"] == "HTTP/1.1")


def _now_ms() -> int:
    return int(time.time() * 1000)

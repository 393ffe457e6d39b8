"""Opens a job's event stream as the answer to a request."""

import random
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
from api.delivery.viewer import QueueViewer, SocketViewer, StreamState
from api.server.client_socket import ClientSocket
from shared.clock import now_ms
from shared.contract.events import Connected
from shared.state.event_log import Snapshot
from shared.telemetry import breadcrumbs
from shared.telemetry.breadcrumbs import Crumb
from shared.telemetry.metrics import api_metrics

RETRY_MS = (500, 1500)
"""Each client is told a random time within these to reconnect after, so that not all reconnect at once."""
SECOND_TRY_SECONDS = 0.25


class Client(NamedTuple):
    """Represents a client's socket, where the server lets us write to it directly."""

    sock: ClientSocket
    is_chunked: bool


class Stream(NamedTuple):
    """Represents the open stream of a job. `close` has to be called when the request is over."""

    body: Iterator[bytes]
    close: Callable[[], None]
    when_over: list[Callable[[], None]]
    """The calls to make when the stream is over, which may be long after the request."""


def open_stream(hub: Hub, admission: Admission, request: StreamRequest, client: Client | None) -> Stream:
    """Returns the stream of a job. The user's slot is released when the stream ends, for whatever reason.

    The feed is opened before the answer begins, so that another answer is possible where it fails. Raises what
    Admission.enter raises, and redis.RedisError.
    """
    feed, job = _enter(hub, admission, request)
    viewer = SocketViewer(client.sock.fileno(), is_chunked=client.is_chunked) if client else QueueViewer()
    metrics = api_metrics()
    if feed.knows(request.cursor):
        metrics.resumes.inc()
    breadcrumbs.add(Crumb.STREAM_OPENED)

    def body() -> Iterator[bytes]:
        connected = Connected(job_id=request.job_id, status=job.status, timestamp=now_ms())
        yield sse.retry(random.randint(*RETRY_MS)) + sse.encode_event(connected)  # noqa: S311
        feed.join(viewer, request.cursor)
        if hub.is_draining:
            hub.end_stream(viewer)
        if isinstance(viewer, QueueViewer):
            yield from viewer
        elif client is not None:
            viewer.when_over += when_over
            client.sock.viewer = viewer

    def close() -> None:
        feed.leave(viewer)
        hub.close(feed)
        admission.leave(request)
        if viewer.state is StreamState.CUT:
            metrics.viewers_cut_off.inc()

    def close_unless_hijacked() -> None:
        """Closes the stream, unless it has taken over its client's socket: then it outlives its request."""
        if client is None or client.sock.viewer is None:
            for callback in when_over:
                callback()

    when_over: list[Callable[[], None]] = [close]
    return Stream(body(), close_unless_hijacked, when_over)


def client_of(environ: WSGIEnvironment) -> Client | None:
    """Returns the client's socket if the server offers it, which it does for HTTP/1 without TLS; else None."""
    sock, protocol = environ.get("gunicorn.socket"), environ.get("SERVER_PROTOCOL")
    is_http1 = protocol in ("HTTP/1.0", "HTTP/1.1") and "HTTP_VERSION" not in environ
    return Client(sock, protocol == "HTTP/1.1") if isinstance(sock, ClientSocket) and is_http1 else None


def _enter(hub: Hub, admission: Admission, request: StreamRequest) -> tuple[Feed, Snapshot]:
    """Takes a slot, and returns the job's open feed and the job. It tries twice, since the page may be reloading."""
    enter = partial(admission.enter, request)
    try:
        with suppress(TooManyStreams):
            return hub.open(request.job_id, enter)
        gevent.sleep(SECOND_TRY_SECONDS)
        return hub.open(request.job_id, enter)
    except BaseException:
        admission.leave(request)
        raise

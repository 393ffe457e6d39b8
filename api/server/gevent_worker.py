"""Extends gunicorn's gevent worker so that it can stop with streams open.

gunicorn has no hook before its graceful wait, and would wait for streams that never end by themselves and for
idle connections. It is loaded by the master, before gevent patches the workers: import nothing heavy here.
"""

import _socket
import gc
import logging
import random
import re
import socket
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from types import FrameType
from typing import Any

import gevent
import gevent.socket
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from api.server import error_response
from api.server.bounded_request import BoundedRequest
from api.server.client_socket import ClientSocket
from api.server.protocols import ServedApp, ServedStream

log = logging.getLogger(__name__)

LISTENER_SECONDS = 1.5
"""gunicorn checks once a second whether it has to stop, then closes its listener. A client whose stream ended earlier
could reconnect to this process."""
SPREAD_SECONDS, SPREAD_STEPS = 2.5, 250
"""The streams end spread over this time, in this many steps, so that their clients do not all reconnect at once."""
SAME_SIGNAL_SECONDS = 1.0
"""Signals this close together count as one."""

PROBES = re.compile(rb"(?:GET|HEAD) /(?:healthz|metrics)[ ?]")
MOST_PROBES, PROBE_SECONDS = 16, 1.0
"""A process that has as many connections as it takes still answers /healthz and /metrics: the latest of this many
connections, whose request line arrives within this time. Otherwise its platform would restart it, which would end all
its streams, and no alert could show why. /readyz gets the 503 of all others: new clients should go to another process.
"""

ACCEPTS_AT_ONCE = 8
"""Connections accepted in one turn of the event loop. With gevent's default of 100, requests under way would wait for
new ones; with one or two, few commands would be sent to Redis together."""


class DrainingWorker(GeventWorker):  # type: ignore[misc]
    """Serves connections with limits on each, and ends the open streams before it stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: set[ClientSocket | ServedStream] = set()
        """The open connections: each has a request under way, a stream, or is idle."""
        self._idle: dict[ClientSocket, None] = {}
        """Connections without a request, the one that has been idle for longest first."""
        self._probes: dict[ClientSocket, None] = {}
        """The connections beyond MAX_CONNECTIONS, the oldest first; each is closed after one request of a probe."""
        self._drain_began: float | None = None
        self._has_drained = False

    @property
    def _planner(self) -> ServedApp:
        planner: ServedApp = self.wsgi.extensions["planner"]
        return planner

    def init_process(self) -> None:
        # gunicorn itself answers requests that are no HTTP; only this function can change what it writes.
        util.write_error = error_response.write
        RequestParser.mesg_class = BoundedRequest
        StreamServer.max_accept = ACCEPTS_AT_ONCE
        super().init_process()

    def run(self) -> None:
        self._planner.start()
        # What has been imported and built stays for good, so the garbage collector need not examine it.
        gc.collect()
        gc.freeze()
        super().run()
        # gunicorn has waited for requests, but streams go on after their requests.
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while (self._open or not self._has_drained) and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(0.05)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM: the process becomes unready and accepts no connections; then the streams end.

        Each stream tells its client when to reconnect.
        """
        super().handle_exit(sig, frame)
        self._start_draining()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGINT, and SIGQUIT from an interrupted master, like SIGTERM; a second one ends the process at once.

        After Ctrl-C in a terminal both signals come, at the same time.
        """
        if self._drain_began is None or time.monotonic() - self._drain_began < SAME_SIGNAL_SECONDS:
            self.handle_exit(sig, frame)
        else:
            super().handle_quit(sig, frame)

    def _start_draining(self) -> None:
        if self._drain_began is None:
            self._drain_began = time.monotonic()
            gevent.spawn(self._drain)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Disables gunicorn's time-out, which counts from the last answer even when the next request has begun."""
        return nullcontext()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        settings = self._planner.settings
        sock = self._client_socket(client)
        if len(self._open) >= settings.max_connections and not self._evict():
            self._handle_probe(listener, sock, addr)
            return
        self._open.add(sock)
        self._idle[sock] = None
        try:
            super().handle(listener, sock, addr)
        finally:
            self._idle.pop(sock, None)
            self._open.discard(sock)

    def _handle_probe(self, listener: Any, sock: ClientSocket, addr: Any) -> None:
        """Serves one request if it is a probe's, although the process is full; else answers 503."""
        if len(self._probes) >= MOST_PROBES:
            # The oldest one sends slowly or nothing: it must not take the place of a probe.
            oldest = next(iter(self._probes))
            del self._probes[oldest]
            _hang_up(oldest)
        sock.is_probe = True
        self._probes[sock] = None
        try:
            is_probe = PROBES.match(sock.peek(PROBE_SECONDS))
            if is_probe:
                super().handle(listener, sock, addr)
        finally:
            self._probes.pop(sock, None)
        if not is_probe:
            self._refuse(sock)

    def _client_socket(self, sock: gevent.socket.socket) -> ClientSocket:
        request_seconds = self._planner.settings.request_seconds
        return ClientSocket(sock, idle_seconds=self.cfg.keepalive, request_seconds=request_seconds)

    def _refuse(self, sock: ClientSocket) -> None:
        """Answers 503; otherwise the client would wait for a connection that is not accepted."""
        self._planner.count_refused_connection()
        sock.may_still_send = True
        with suppress(OSError), sock:
            error_response.write(sock, 503)

    def _evict(self) -> bool:
        """Closes the connection that has been idle for longest. Returns False where no connection is idle."""
        sock = next(iter(self._idle), None)
        if sock is None:
            return False
        del self._idle[sock]
        self._open.discard(sock)
        _hang_up(sock)
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers a request that is no HTTP or exceeds a limit; gunicorn would log its contents."""
        client.may_still_send = True
        status = error_response.status_of(exc)
        if status is None:
            super().handle_error(req, client, addr, exc)
            return
        log.info(
            "a request was refused that breaks HTTP or a limit", extra={"status": status, "reason": type(exc).__name__}
        )
        with suppress(OSError):
            error_response.write(client, status)

    def handle_request(self, listener_name: Any, req: Any, sock: ClientSocket, addr: Any) -> Any:
        self._idle.pop(sock, None)
        if sock.is_probe:
            req.force_close()
        try:
            answer = super().handle_request(listener_name, req, sock, addr)
        finally:
            if sock.viewer is not None:
                self._hijack(sock, sock.viewer, is_read=req.is_read)
            else:
                sock.may_still_send = not req.is_read
                if not sock.is_probe:
                    self._idle[sock] = None
                sock.clear_deadline()
            if not self.alive:  # gunicorn itself ends this way (--max-requests), and closes the connection
                self._start_draining()
        if sock.viewer is not None or sock.timed_out or not self.alive:
            # By raising this, gunicorn ends the connection.
            raise StopIteration
        # Other clients get a turn before the next request of one that sends without a pause.
        gevent.sleep(0)
        return answer

    def _hijack(self, sock: ClientSocket, stream: ServedStream, *, is_read: bool) -> None:
        """Hands the connection to the stream, which needs no greenlet. The connection serves no other request.

        `is_read` says whether the whole request was read.
        """
        fd = sock.detach()
        if fd < 0:  # the request ended with an error, which closed the socket
            stream.start(None)
            return
        raw = _socket.socket(sock.family, sock.type, sock.proto, fileno=fd)
        raw.setblocking(False)

        def close() -> None:
            may_still_send = not is_read or _has_unread(raw)
            client = self._client_socket(gevent.socket.socket(raw.family, raw.type, raw.proto, fileno=raw.detach()))
            client.may_still_send = may_still_send
            client.close()
            self._open.discard(stream)

        self._open.add(stream)
        stream.when_over.append(close)
        stream.start(raw)

    def _drain(self) -> None:
        self._planner.stop_being_ready()
        gevent.sleep(LISTENER_SECONDS)
        for client in tuple(self._idle):
            _hang_up(client)
        viewers = self._planner.start_draining()
        log.info(
            "stopping: the open streams are ended, and their clients reconnect elsewhere",
            extra={"streams": len(viewers)},
        )
        random.shuffle(viewers)
        steps = min(len(viewers), SPREAD_STEPS)
        for step in range(steps):
            for viewer in viewers[step::steps]:
                self._planner.end_stream(viewer)
            gevent.sleep(SPREAD_SECONDS / steps)
        self._has_drained = True


def _hang_up(client: ClientSocket) -> None:
    """Ends what the client's greenlet waits for, as if the client had disconnected."""
    # It uses a duplicate descriptor: through gevent's socket the waiting greenlet would get an error.
    with suppress(OSError), socket.fromfd(client.fileno(), client.family, client.type) as twin:
        twin.shutdown(socket.SHUT_RD)


def _has_unread(raw: _socket.socket) -> bool:
    """Returns whether the client has sent data that was not read."""
    try:
        return bool(raw.recv(1, socket.MSG_PEEK))
    except OSError:
        return False

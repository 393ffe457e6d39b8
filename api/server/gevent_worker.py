"""gunicorn's gevent worker, which knows how to stop with streams open.

gunicorn has no hook before its graceful wait, and would wait for streams that never end by themselves and for
connections that nobody uses. Loaded by the master, before gevent patches the workers: import nothing heavy here.
"""

import _socket
import gc
import logging
import random
import socket
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from types import FrameType
from typing import Any

import gevent
import gevent.socket
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker

from api.server import error_response
from api.server.client_socket import ClientSocket
from api.server.protocols import ServedApp, ServedStream

log = logging.getLogger(__name__)

LISTENER_SECONDS = 1.5
"""gunicorn looks once a second whether it is to stop, then closes its listener. A stream that ends before that would
send its client back to us."""
SPREAD_SECONDS, SPREAD_STEPS = 2.5, 250
"""The streams end over this time, so that their clients do not all come back at once; a sleep a stream would add up."""

ACCEPTS_AT_ONCE = 8
"""Connections taken in one turn of the loop. With gevent's hundred, those of a storm that have begun wait for ever more
that begin; with one or two little would travel to Redis together."""
GOODBYE_SECONDS = 1.0
"""A client that is refused may take this long to read why."""


class DrainingWorker(GeventWorker):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: set[ClientSocket | ServedStream] = set()
        """A connection each: at a request, or a stream."""
        self._idle: set[ClientSocket] = set()
        self._has_drained = False

    @property
    def _planner(self) -> ServedApp:
        planner: ServedApp = self.wsgi.extensions["planner"]
        return planner

    def init_process(self) -> None:
        # gunicorn answers what is no HTTP itself, and has no other way to change what it writes.
        util.write_error = error_response.write
        StreamServer.max_accept = ACCEPTS_AT_ONCE
        super().init_process()

    def run(self) -> None:
        self._planner.start()
        # All that has been imported and built stays; the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        super().run()
        # gunicorn has waited for requests; streams have outlived theirs.
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while (self._open or not self._has_drained) and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(0.05)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: not ready any more, nothing new, then the streams end, each with a time to come back after."""
        super().handle_exit(sig, frame)
        gevent.spawn(self._drain)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """None of gunicorn's: it counts from the last answer, whether the next request has begun or not."""
        return nullcontext()

    def handle(self, listener: Any, client: Any, addr: Any, unread: bytes = b"") -> None:
        settings = self._planner.settings
        sock = ClientSocket(
            client, idle_seconds=self.cfg.keepalive, request_seconds=settings.request_seconds, unread=unread
        )
        sock.listener = listener
        if len(self._open) >= settings.max_connections:
            self._refuse(sock)
            return
        self._open.add(sock)
        self._idle.add(sock)
        try:
            super().handle(listener, sock, addr)
        finally:
            self._idle.discard(sock)
            self._open.discard(sock)

    def _refuse(self, sock: ClientSocket) -> None:
        """Answers 503; otherwise the client would wait in a queue that nobody looks at."""
        self._planner.count_refused_connection()
        with suppress(OSError), sock:
            error_response.write(sock, 503)
            sock.shutdown(socket.SHUT_WR)
            # Closing with the request unread would be a reset, which takes our answer away from the client.
            sock.set_deadline(GOODBYE_SECONDS)
            while sock.recv(8192) and not sock.timed_out:
                pass

    def handle_request(self, listener_name: Any, req: Any, sock: ClientSocket, addr: Any) -> Any:
        self._idle.discard(sock)
        try:
            answer = super().handle_request(listener_name, req, sock, addr)
        finally:
            if sock.viewer is not None:
                self._hijack(sock, sock.viewer, req, addr)
            else:
                self._idle.add(sock)
                sock.clear_deadline()
        if sock.viewer is not None or sock.timed_out or not self.alive:
            # gunicorn's way of saying that the connection is not to be kept.
            raise StopIteration
        return answer

    def _hijack(self, sock: ClientSocket, viewer: ServedStream, req: Any, addr: Any) -> None:
        """Lets the stream go on without a greenlet; the connection comes back for its next request after it."""
        listener, fd = sock.listener, sock.detach()
        if fd < 0:  # the request ended in an error that closed it
            viewer.start(None)
            return
        raw = _socket.socket(sock.family, sock.type, sock.proto, fileno=fd)
        raw.setblocking(False)
        unread = req.unreader.take_buffered()
        # What nobody has read of a body would be taken for the next request.
        may_stay = not req.should_close() and not _has_body(req)

        def take_back() -> None:
            self._open.discard(viewer)
            if viewer.is_whole and may_stay and self.alive:
                client = gevent.socket.socket(raw.family, raw.type, raw.proto, fileno=raw.detach())
                self.handle(listener, client, addr, unread)
            else:
                raw.close()

        self._open.add(viewer)
        viewer.when_over.append(take_back)
        viewer.start(raw)

    def _drain(self) -> None:
        self._planner.stop_being_ready()
        gevent.sleep(LISTENER_SECONDS)
        for client in tuple(self._idle):
            # Over a descriptor of its own: through gevent's socket it would look like an error to who waits there.
            with suppress(OSError), socket.fromfd(client.fileno(), client.family, client.type) as twin:
                twin.shutdown(socket.SHUT_RD)
        viewers = self._planner.start_draining()
        log.info("ending the open streams", extra={"streams": len(viewers)})
        random.shuffle(viewers)
        steps = min(len(viewers), SPREAD_STEPS)
        for step in range(steps):
            for viewer in viewers[step::steps]:
                self._planner.send_away(viewer)
            gevent.sleep(SPREAD_SECONDS / steps)
        self._has_drained = True


def _has_body(req: Any) -> bool:
    headers = dict(req.headers)
    return headers.get("CONTENT-LENGTH", "0") != "0" or "TRANSFER-ENCODING" in headers

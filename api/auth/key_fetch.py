"""Fetches the document of a key server, within bounds of time and size."""

import socket
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from threading import Thread
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from shared import __version__

MAX_BYTES = 256 * 1024
"""A document of keys has a few KB."""
USER_AGENT = f"feature-planner/{__version__}"
"""Sent because some providers refuse the default of Python's library."""


class FetchFailed(Exception):
    """Signals that the document cannot be fetched. The message says why, without the URL or texts of the server."""


def fetch(url: str, seconds: float) -> bytes:
    """Returns the document at the URL.

    Raises FetchFailed, after `seconds` at the latest, whatever the server does.
    """
    future: Future[bytes] = Future()
    connections = _Connections()
    # The fetch has its own thread, because resolving a name and the TLS handshake have no overall time-out.
    Thread(target=_run, args=(future, connections, url, seconds), daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        raise FetchFailed(f"gave no whole answer in {seconds:g} s") from None
    except HTTPError as error:
        error.close()
        raise FetchFailed(f"answered {error.code}") from None
    except URLError as error:
        raise FetchFailed(f"could not be reached: {_name(error.reason)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise FetchFailed(f"could not be read: {_name(error)}") from None
    finally:
        connections.hang_up()


def _run(future: "Future[bytes]", connections: "_Connections", url: str, seconds: float) -> None:
    try:
        request = Request(url, headers={"User-Agent": USER_AGENT, "Accept": "application/json"})  # noqa: S310
        with connections.opener().open(request, timeout=seconds) as response:
            body = response.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise FetchFailed(f"gave more than {MAX_BYTES} bytes")
        future.set_result(body)
    except BaseException as error:
        future.set_exception(error)


def _name(error: object) -> str:
    return type(error).__name__ if isinstance(error, BaseException) else "no reason is known"


class _Connections:
    """Holds the connections of one fetch, so that another thread can close them."""

    def __init__(self) -> None:
        self._twins: list[socket.socket] = []
        self._is_over = False

    def opener(self) -> OpenerDirector:
        return build_opener(_Http(self), _Https(self), _SameScheme)

    def connect(self, *args: Any, **keywords: Any) -> socket.socket:
        sock = socket.create_connection(*args, **keywords)
        # TLS takes over the socket's descriptor, so a duplicate is kept.
        self._twins.append(sock.dup())
        if self._is_over:
            self.hang_up()
        return sock

    def hang_up(self) -> None:
        """Closes the connections, which ends all waiting for the server."""
        self._is_over = True
        while self._twins:
            with suppress(OSError), self._twins.pop() as twin:
                twin.shutdown(socket.SHUT_RDWR)


class _Http(HTTPHandler):
    """Opens http URLs over connections that can be closed from outside."""

    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, request: Request) -> Any:
        return self.do_open(self._connection, request)

    def _connection(self, host: str, **keywords: Any) -> HTTPConnection:
        connection = HTTPConnection(host, **keywords)
        connection._create_connection = self._connections.connect  # type: ignore[attr-defined]
        return connection


class _Https(HTTPSHandler):
    """Opens https URLs over connections that can be closed from outside."""

    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def https_open(self, request: Request) -> Any:
        return self.do_open(self._connection, request)

    def _connection(self, host: str, **keywords: Any) -> HTTPSConnection:
        connection = HTTPSConnection(host, **keywords)
        connection._create_connection = self._connections.connect  # type: ignore[attr-defined]
        return connection


class _SameScheme(HTTPRedirectHandler):
    """Refuses redirects that change the scheme."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Follows a redirect, but not from https to http, where the keys could be changed on the way."""
        if urlsplit(newurl).scheme != req.type:
            fp.close()
            raise FetchFailed("redirects to a URL of another scheme")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

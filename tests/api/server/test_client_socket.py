"""A client's socket: what it is given time for."""

from typing import cast

import pytest
from gevent import socket

from api.delivery.admission import Admission, StreamRequest
from api.delivery.stream import open_stream
from api.delivery.viewer import LAST_CHUNK, SocketViewer
from api.server.client_socket import SEND_SECONDS, ClientSocket
from shared.state.event_log import Snapshot
from tests.api.delivery.test_feed import a_hub, entry, snapshot


def test_a_request_that_was_read_already_has_the_time_of_any_other() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=0.05, unread=b"GET / HT") as client:
        client.setblocking(True)  # as gunicorn does
        assert client.recv(100) == b"GET / HT"
        assert client.gettimeout() == SEND_SECONDS
        theirs.sendall(b"TP/1.1\r\n")
        assert client.recv(100) == b"TP/1.1\r\n"
        assert client.recv(100) == b"" and client.timed_out


def test_what_the_server_would_still_write_is_dropped_once_a_viewer_has_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=60) as client:
        client.viewer = object()  # type: ignore[assignment]
        client.sendall(b"0\r\n\r\n")
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


class OpenAdmission:
    """Lets everybody in."""

    def enter(self, stream_request: StreamRequest, head_only: bool) -> Snapshot:
        return snapshot([] if head_only else [entry(1, 1)])

    def leave(self, stream_request: StreamRequest) -> None: ...


def test_a_stream_that_begins_while_the_process_drains_is_sent_away_at_once() -> None:
    hub = a_hub()
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=60) as client:
        try:
            assert hub.start_draining() == []
            stream = open_stream(hub, cast(Admission, OpenAdmission()), StreamRequest("job", "alice", None), client)
            list(stream.body)
            assert isinstance(client.viewer, SocketViewer) and client.viewer.is_ending
            said = theirs.recv(65_536)
        finally:
            hub.stop()
    assert b"id: 1-1" in said and b"retry: " in said and said.endswith(LAST_CHUNK)

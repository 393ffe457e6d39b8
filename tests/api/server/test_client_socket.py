"""Tests the socket of a client: its time limits, and what happens when a viewer hijacks it."""

from _socket import socket as stdlib_socket
from typing import cast

import gevent
import pytest
from gevent import socket

from api.delivery.admission import Admission, StreamRequest
from api.delivery.stream import Client, open_stream
from api.delivery.viewer import LAST_CHUNK, MAX_BACKLOG_BYTES, SocketViewer, StreamState
from api.server.client_socket import SEND_SECONDS, ClientSocket
from shared.state.event_log import Snapshot
from shared.telemetry.metrics import api_metrics
from tests.api.delivery.builders import a_hub, entry, snapshot


def test_the_time_limit_of_a_request_starts_with_its_first_byte_and_an_answer_has_its_own() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=0.05) as client:
        client.setblocking(True)  # gunicorn does the same
        theirs.sendall(b"GET / HT")
        assert client.recv(100) == b"GET / HT"
        assert client.gettimeout() == SEND_SECONDS
        theirs.sendall(b"TP/1.1\r\n")
        assert client.recv(100) == b"TP/1.1\r\n"
        assert client.recv(100) == b"" and client.timed_out


def test_a_client_that_still_sends_is_not_reset_before_it_has_read_the_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        theirs.connect(listener.getsockname())
        accepted, _ = listener.accept()
        client = ClientSocket(accepted, idle_seconds=60, request_seconds=60)
        theirs.sendall(b"x" * 20_000)
        client.sendall(b"the answer")
        client.may_still_send = True
        leaving = gevent.spawn(client.close)
        theirs.settimeout(5)
        assert theirs.recv(100) == b"the answer" and theirs.recv(100) == b""
        theirs.close()
        leaving.join(timeout=5)
        assert leaving.ready()


def test_peeking_shows_the_start_of_a_request_in_pieces_and_does_not_consume_it() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=60) as client:
        assert client.peek(0.01) == b""
        peeking = gevent.spawn(client.peek, 60)
        for piece in (b"HE", b"AD /hea", b"lthz", b" HTTP/1.1\r\n"):
            assert not peeking.ready()
            theirs.sendall(piece)
            gevent.sleep(0.03)
        assert peeking.get(timeout=60).startswith(b"HEAD /healthz ")
        assert client.recv(100) == b"HEAD /healthz HTTP/1.1\r\n"
        theirs.close()
        assert client.peek(60) == b""


def test_what_the_server_writes_after_a_viewer_has_hijacked_the_connection_is_discarded() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=60) as client:
        client.viewer = object()  # type: ignore[assignment]
        client.sendall(b"0\r\n\r\n")
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


class OpenAdmission:
    """Admits every stream."""

    def enter(self, stream_request: StreamRequest, head_only: bool) -> Snapshot:
        return snapshot([] if head_only else [entry(1, 1)])

    def leave(self, stream_request: StreamRequest) -> None: ...


def test_a_stream_that_opens_while_the_process_drains_is_ended_at_once() -> None:
    hub = a_hub()
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours, idle_seconds=60, request_seconds=60) as client:
        try:
            assert hub.start_draining() == []
            stream = open_stream(
                hub, cast(Admission, OpenAdmission()), StreamRequest("job", "alice", None), Client(client, True)
            )
            list(stream.body)
            assert isinstance(client.viewer, SocketViewer) and client.viewer.state is StreamState.ENDING
            raw = stdlib_socket(fileno=client.detach())
            client.viewer.start(raw)
            raw.close()
            said = b"".join(iter(lambda: theirs.recv(65_536), b""))
        finally:
            hub.stop()
    assert b"id: 1-1" in said and b"retry: " in said and said.endswith(LAST_CHUNK)


def test_a_viewer_that_is_cut_off_is_counted() -> None:
    hub, cut_off = a_hub(), api_metrics().viewers_cut_off
    before = cut_off._value.get()
    try:
        stream = open_stream(hub, cast(Admission, OpenAdmission()), StreamRequest("job", "alice", None), None)
        connected, past = next(stream.body), next(stream.body)
        assert b"connected" in connected and b"id: 1-1" in past
        text = b'{"timestamp":1,"text":"%b","totalLength":1}' % (b"x" * 100_000)
        for sequence in range(2, 3 + MAX_BACKLOG_BYTES // 100_000):
            hub._feeds["job"].accept(b"1-%d delta %b" % (sequence, text), 0)
        assert cut_off._value.get() == before
        list(stream.body)
        stream.close()
    finally:
        hub.stop()
    assert cut_off._value.get() == before + 1

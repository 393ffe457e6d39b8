"""Tests a viewer on a real socket pair, whose client is slow, stuck, gone, or sends more than it should."""

import time
from _socket import socket as stdlib_socket
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from api.delivery.sse import chunk
from api.delivery.viewer import LAST_CHUNK, MAX_BACKLOG_BYTES, SocketViewer, StreamState

PIECE = chunk(b"x" * 50_000)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def twin(sock: socket.socket) -> stdlib_socket:
    """Returns a socket of the standard library for the same connection. The fixture closes the given one."""
    raw = stdlib_socket(fileno=sock.dup().detach())
    raw.setblocking(False)
    return raw


class Stream:
    """Represents a viewer that has hijacked a socket, and knows whether its stream is over."""

    def __init__(self, sock: socket.socket) -> None:
        self.viewer = SocketViewer(sock.fileno())
        self.over = Event()
        raw = twin(sock)
        self.viewer.when_over += [raw.close, self.over.set]
        self.viewer.start(raw)

    def is_over(self) -> bool:
        return bool(self.over.wait(5))


def test_a_client_that_does_not_read_is_cut_off_at_the_limit(sockets: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(sockets[0])
    sent = 0
    while stream.viewer.state is StreamState.OPEN:
        stream.viewer.send(PIECE)
        sent += len(PIECE)
        assert sent < MAX_BACKLOG_BYTES + 2_000_000
    assert stream.is_over() and stream.viewer.state is StreamState.CUT
    assert sent > MAX_BACKLOG_BYTES


def test_a_slow_client_gets_every_byte_in_order(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    stream = Stream(ours)
    pieces = [chunk(b"%d" % number * 40_000) for number in range(20)]
    for piece in pieces:
        stream.viewer.send(piece)
    stream.viewer.end()
    expected = b"".join(pieces) + LAST_CHUNK
    got = b""
    while len(got) < len(expected):
        got += theirs.recv(7_000)
    assert got == expected
    assert stream.is_over() and stream.viewer.state is StreamState.ENDED


def test_events_sent_before_the_socket_is_hijacked_are_written_first(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    viewer, over, raw = SocketViewer(ours.fileno()), Event(), twin(ours)
    viewer.when_over += [raw.close, over.set]
    pieces = [chunk(b"%d" % number * 300_000) for number in range(3)]  # the socket takes less than this at once
    for piece in pieces:
        viewer.send(piece)
    viewer.end()
    gevent.sleep(0)
    assert not over.is_set()
    viewer.start(raw)
    expected, got = b"".join(pieces) + LAST_CHUNK, b""
    while len(got) < len(expected):
        got += theirs.recv(100_000)
    assert got == expected and over.wait(5) and viewer.state is StreamState.ENDED


def test_a_client_that_disconnects_is_noticed_at_once(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    stream = Stream(ours)
    theirs.close()
    assert stream.is_over() and stream.viewer.state is StreamState.LEFT


def test_a_client_that_disconnects_before_the_hijack_is_noticed_too(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    viewer, over, raw = SocketViewer(ours.fileno()), Event(), twin(ours)
    viewer.when_over += [raw.close, over.set]
    theirs.close()
    viewer.send(PIECE)
    viewer.start(raw)
    assert over.wait(5) and viewer.state is StreamState.LEFT


def test_bytes_that_the_client_sends_during_its_stream_do_not_wake_the_process_again_and_again(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = sockets
    calls: list[bool] = []
    on_readable = SocketViewer._on_readable

    def count(viewer: SocketViewer) -> None:
        calls.append(True)
        on_readable(viewer)

    monkeypatch.setattr(SocketViewer, "_on_readable", count)
    stream = Stream(ours)
    theirs.sendall(b"GET / HTTP/1.1\r\n")
    deadline = time.monotonic() + 5
    while not calls and time.monotonic() < deadline:
        gevent.sleep(0)
    for _ in range(100):
        gevent.sleep(0)
    assert len(calls) == 1
    stream.viewer.send(chunk(b"event"))
    stream.viewer.end()
    assert stream.is_over() and stream.viewer.state is StreamState.ENDED
    assert theirs.recv(100) == chunk(b"event") + LAST_CHUNK


def test_a_client_without_chunked_coding_gets_the_plain_bytes(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    viewer, raw = SocketViewer(ours.fileno(), is_chunked=False), twin(ours)
    viewer.when_over.append(raw.close)
    viewer.start(raw)
    viewer.send(chunk(b"one"))
    viewer.send(chunk(b"two"))
    viewer.end()
    assert viewer.state is StreamState.ENDED
    assert theirs.recv(100) == b"onetwo" and theirs.recv(1) == b""


def test_a_client_that_is_stuck_at_the_end_is_cut_off(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.delivery.viewer.STUCK_SECONDS", 0.05)
    stream = Stream(sockets[0])
    for _ in range(20):
        stream.viewer.send(PIECE)
    stream.viewer.end()
    assert stream.is_over() and stream.viewer.state is StreamState.CUT


def test_every_callback_runs_once_at_the_end_even_if_another_raises(
    sockets: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    stream = Stream(sockets[0])
    done: list[str] = []
    stream.viewer.when_over[:0] = [lambda: done.append("first"), lambda: 1 // 0, lambda: done.append("last")]
    stream.viewer.end()
    stream.viewer.end()
    assert stream.is_over() and done == ["first", "last"]
    assert "releasing what an ended stream held failed" in caplog.text


def test_nothing_comes_after_the_end_of_the_response(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    stream, big = Stream(ours), chunk(b"x" * 400_000)
    stream.viewer.send(big)  # the socket takes less than this at once
    stream.viewer.end()
    stream.viewer.send(chunk(b"late"))
    stream.viewer.end()
    expected, got = big + LAST_CHUNK, b""
    while len(got) < len(expected):
        got += theirs.recv(100_000)
    assert stream.is_over() and stream.viewer.state is StreamState.ENDED
    assert theirs.recv(1) == b"" and got == expected


def test_a_viewer_whose_socket_was_closed_before_the_hijack_writes_nothing(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    viewer, over = SocketViewer(ours.fileno()), Event()
    viewer.when_over.append(over.set)
    viewer.start(None)
    viewer.send(chunk(b"late"))
    assert over.wait(5) and viewer.state is StreamState.LEFT
    theirs.settimeout(0)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)

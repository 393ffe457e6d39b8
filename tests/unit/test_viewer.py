"""A viewer on a real socket pair: slow, stuck, gone, or sending more than it should."""

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from api.sse import frame, plain
from api.viewer import MAX_BACKLOG_BYTES, SocketViewer

PIECE = frame(b"x" * 50_000)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def waiting(viewer: SocketViewer) -> "gevent.Greenlet[..., None]":
    greenlet = gevent.spawn(viewer.wait)
    gevent.sleep(0)
    return greenlet


def test_a_client_that_does_not_read_is_hung_up_on_past_the_bound(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = sockets
    viewer = SocketViewer(ours, is_chunked=False)
    greenlet = waiting(viewer)
    sent = 0
    while not viewer.was_cut:
        viewer.send(PIECE)
        sent += len(plain(PIECE))
        assert sent < MAX_BACKLOG_BYTES + 2_000_000
    greenlet.join(timeout=5)
    assert greenlet.dead
    assert sent > MAX_BACKLOG_BYTES


def test_a_slow_client_gets_every_byte_in_order(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    viewer = SocketViewer(ours, is_chunked=True)
    greenlet = waiting(viewer)
    expected = b""
    for number in range(20):
        piece = frame(b"%d" % number * 40_000)
        expected += piece
        viewer.send(piece)
    viewer.end()
    got = b""
    while len(got) < len(expected):
        got += theirs.recv(7_000)
    assert got == expected
    greenlet.join(timeout=5)
    assert greenlet.dead
    assert not viewer.was_cut


def test_a_client_that_goes_away_is_noticed_at_once(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    greenlet = waiting(SocketViewer(ours, is_chunked=False))
    theirs.close()
    greenlet.join(timeout=5)
    assert greenlet.dead


def test_pipelined_bytes_are_left_for_the_next_request_and_do_not_spin(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    viewer = SocketViewer(ours, is_chunked=False)
    greenlet = waiting(viewer)
    theirs.sendall(b"GET / HTTP/1.1\r\n")
    while viewer.is_watching:
        gevent.sleep(0)
    viewer.send(frame(b"event"))
    viewer.end()
    greenlet.join(timeout=5)
    assert theirs.recv(100) == b"event"
    assert ours.recv(100) == b"GET / HTTP/1.1\r\n"


def test_a_client_that_is_stuck_at_the_end_is_let_go(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.viewer.STUCK_SECONDS", 0.05)
    ours, _ = sockets
    viewer = SocketViewer(ours, is_chunked=False)
    greenlet = waiting(viewer)
    for _ in range(20):
        viewer.send(PIECE)
    viewer.end()
    greenlet.join(timeout=5)
    assert greenlet.dead
    assert viewer.was_cut

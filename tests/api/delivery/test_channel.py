"""Tests the channel with servers across a network, with options in the URL, and with a listener that fails."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import gevent
import hiredis
import pytest
from gevent import monkey

from api.delivery.channel import Channel
from tests.conftest import RedisServer

real_socket: type[socket.socket] = monkey.get_original("socket", "socket")
Thread: type[threading.Thread] = monkey.get_original("threading", "Thread")
MANY = 4_000
ETHERNET_SEGMENT_BYTES = 1_448
"""A new connection over Ethernet takes far fewer bytes at once than one over loopback."""


class Acknowledging:
    """Stands in for a Redis server across a network, and acknowledges every subscription."""

    def __init__(self) -> None:
        self.listener = real_socket()
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT_BYTES)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ETHERNET_SEGMENT_BYTES)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        requests = hiredis.Reader()
        with connection:
            while received := connection.recv(65_536):
                requests.feed(received)
                while (request := requests.gets()) is not False:
                    answers = [b"+OK\r\n"]
                    if request[0] == b"SUBSCRIBE":
                        answers = [hiredis.pack_command((b"subscribe", name, 1)) for name in request[1:]]  # type: ignore[arg-type]
                    connection.sendall(b"".join(answers))


@pytest.fixture
def far() -> Iterator[Acknowledging]:
    it = Acknowledging()
    yield it
    it.listener.shutdown(socket.SHUT_RDWR)
    it.listener.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        gevent.sleep(0.01)


def test_a_reconnect_subscribes_to_thousands_of_channels_whatever_the_socket_takes_at_once(far: Acknowledging) -> None:
    there: list[int] = []
    channel: Channel[int] = Channel(f"redis://127.0.0.1:{far.port}")
    for number in range(MANY):
        channel.subscribe(f"suggestion:{number:036}:live", number)
    channel.start(lambda *_: None, there.append)
    try:
        wait_until(lambda: len(there) >= MANY)
        assert far.connections == 1 and set(there) == set(range(MANY))
    finally:
        channel.stop()


@pytest.mark.parametrize("option", ["socket_timeout=5", "protocol=3", "max_connections=20", "timeout=3"])
def test_the_channel_connects_whatever_options_the_url_has_for_commands(redis_server: RedisServer, option: str) -> None:
    received: list[bytes] = []
    channel: Channel[str] = Channel(f"{redis_server.url}?{option}")
    channel.start(lambda _, payload: received.append(payload), print)
    channel.subscribe("a channel", "somebody")
    try:
        assert channel.wait_subscribed("a channel", 5)
    finally:
        channel.stop()


def test_a_message_whose_listener_raises_does_not_end_the_connection(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    received: list[bytes] = []

    def receive(listener: str, payload: bytes) -> None:
        if payload == b"odd":
            raise ValueError("an odd one")
        received.append(payload)

    channel: Channel[str] = Channel(redis_server.url)
    channel.start(receive, print)
    channel.subscribe("a channel", "somebody")
    try:
        assert channel.wait_subscribed("a channel", 5)
        with real_socket() as publisher:
            publisher.connect(("127.0.0.1", redis_server.port))
            for payload in (b"odd", b"even"):
                publisher.sendall(hiredis.pack_command((b"PUBLISH", b"a channel", payload)))  # type: ignore[arg-type]
            wait_until(lambda: received == [b"even"])
        assert "lost" not in caplog.text
    finally:
        channel.stop()

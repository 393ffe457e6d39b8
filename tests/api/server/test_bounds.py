"""Tests the limits on what one client of gunicorn can cost the others: bytes, unread bodies, idle connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from api.server.bounded_request import MAX_HEAD_BYTES
from api.server.client_socket import LINGER_BYTES, MAX_REQUEST_BYTES
from tests.api.resources.test_limits import connect, open_stream, rest_of
from tests.conftest import token, wait_until
from tests.stack import JOBS, LIFETIME_SECONDS, Person, Stack, measured, stack

CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_FLIGHT_BYTES = 12 * 1024 * 1024
"""This is more than the system's buffers hold of a loopback connection."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_web(REQUEST_SECONDS="3")
        yield it


def head(line: str, *headers: bytes, is_signed_in: bool = False) -> bytes:
    start = f"{line} HTTP/1.1\r\nHost: localhost\r\n"
    if is_signed_in:
        start += f"Authorization: Bearer {token(lifetime_seconds=LIFETIME_SECONDS)}\r\n"
        start += "Content-Type: application/json\r\n"
    return start.encode() + b"".join(headers) + b"\r\n"


class Attacker:
    """Sends in a thread until the server closes the connection or `stop` is called."""

    def __init__(self, stack: Stack, first: bytes, then: bytes, *, reads: bool = False) -> None:
        self.sent = 0
        self.is_hung_up_on = False
        self._stopping = threading.Event()
        self._sock = connect(stack)
        self._sock.settimeout(0.2)
        self._thread = threading.Thread(target=self._run, args=(first, then, reads))
        self._thread.start()

    def _run(self, first: bytes, then: bytes, reads: bool) -> None:
        with suppress(TimeoutError):
            self._sock.sendall(first)
        while not self._stopping.is_set():
            try:
                self.sent += self._sock.send(then)
                if reads:
                    self._sock.recv(1 << 20)
            except TimeoutError:
                continue
            except OSError:
                self.is_hung_up_on = True
                return

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._sock.close()


ENDLESS = {
    "chunks of a byte": (head("GET /healthz", CHUNKED), b"1\r\nx\r\n" * 2000),
    "a body nobody asked for": (head("GET /healthz", b"Content-Length: 99999999999\r\n"), b"x" * 65536),
    "chunks for an unknown path": (head("POST /nothing", CHUNKED), b"1\r\nx\r\n" * 2000),
    "chunks of one who is not signed in": (head(f"POST {JOBS}", CHUNKED), b"1\r\nx\r\n" * 2000),
    "chunks with extensions": (
        head(f"POST {JOBS}", CHUNKED, is_signed_in=True),
        (b"1;" + b"a=b;" * 1000 + b"a=b\r\nx\r\n") * 10,
    ),
    "large chunks": (head(f"POST {JOBS}", CHUNKED, is_signed_in=True), b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
    "trailers": (head(f"POST {JOBS}", CHUNKED, is_signed_in=True) + b"0\r\n", b"X-Trailer: x\r\n" * 500),
    "headers": (b"GET /healthz HTTP/1.1\r\n", b"X-Header: x\r\n" * 500),
    "one header": (b"GET /healthz HTTP/1.1\r\nX-Header: ", b"x" * 65536),
    "a request line": (b"GET /", b"x" * 65536),
    "empty lines": (b"", b"\r\n" * 4000),
    "no lines": (b"", b"\x00" * 65536),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_client_that_sends_without_end_is_cut_off_and_others_are_answered_meanwhile(web: Stack, name: str) -> None:
    attacker = Attacker(web, *ENDLESS[name])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{web.web_port}") as other:
            assert max(measured(lambda: other.get("/healthz").raise_for_status()) for _ in range(10)) < 6
        wait_until(lambda: attacker.is_hung_up_on)
    finally:
        attacker.stop()
    assert attacker.sent < MAX_REQUEST_BYTES + LINGER_BYTES + IN_FLIGHT_BYTES


@pytest.mark.parametrize("reads", [True, False])
def test_requests_without_a_pause_do_not_starve_other_clients(web: Stack, reads: bool) -> None:
    attackers = [Attacker(web, b"", head("GET /healthz") * 500, reads=reads) for _ in range(3)]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{web.web_port}") as other:
            assert max(measured(lambda: other.get("/healthz").raise_for_status()) for _ in range(10)) < 6
    finally:
        for attacker in attackers:
            attacker.stop()


@pytest.mark.parametrize(
    "start",
    [
        b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 8000) for i in range(50)),
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + (b"Accept-Encoding: " + b"a," * 4000 + b"\r\n") * 60,
    ],
)
def test_a_head_of_half_a_megabyte_is_431_at_once(web: Stack, start: bytes) -> None:
    with connect(web) as sock:
        sock.sendall(start[:400_000])
        assert rest_of(sock).startswith(b"HTTP/1.1 431 ")


def test_a_head_that_arrives_byte_by_byte_is_answered_and_delays_no_other_client(web: Stack) -> None:
    def send_slowly(sock: socket.socket, count: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            sock.sendall(b"x")

    with connect(web) as other, connect(web) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n" + b"X: x\r\n" * 20 + b"X-Long: ")
        sock.settimeout(30)
        send_slowly(sock, 8000)
        other.sendall(head("GET /healthz"))
        assert other.recv(100).startswith(b"HTTP/1.1 200")
        sock.sendall(b"\r\nConnection: close\r\n\r\n")
        assert rest_of(sock).startswith(b"HTTP/1.1 200")


def test_the_longest_allowed_head_is_answered(web: Stack) -> None:
    padding = b"".join(b"X-%d: " % i + b"x" * 8000 + b"\r\n" for i in range(4))
    with connect(web) as sock:
        sock.sendall(head("GET /healthz", b"Connection: close\r\n", padding)[: MAX_HEAD_BYTES + 100])
        assert rest_of(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("line", ["GET /healthz", "DELETE /nothing", f"POST {JOBS}"])
def test_an_answer_to_an_unread_body_arrives_and_says_that_the_connection_closes(web: Stack, line: str) -> None:
    with connect(web) as sock:
        sock.sendall(head(line, b"Content-Length: 200000\r\n") + b"x" * 200_000)
        answer = rest_of(sock)
    assert answer.startswith(b"HTTP/1.1 ") and b"\r\nConnection: close\r\n" in answer and answer.endswith(b"}")


def test_an_answer_arrives_whole_where_the_client_sends_more_than_is_read(web: Stack) -> None:
    for _ in range(20):
        with connect(web) as sock:
            sock.sendall(head("POST /metrics", b"Connection: close\r\n") + b"x" * 100_000)
            answer = b""
            while piece := sock.recv(65536):  # a reset would raise an exception
                answer += piece
        assert answer.startswith(b"HTTP/1.1 405 ") and answer.endswith(b"}")


def test_bytes_after_an_unread_body_are_not_treated_as_a_request(web: Stack) -> None:
    with connect(web) as sock:
        sock.sendall(head("GET /healthz", b"Content-Length: 5\r\n") + b"12345" + head("GET /healthz"))
        assert rest_of(sock).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"-1\r\nx",
        b"0x5\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"ffffffffffffffffffff\r\nx",
        b"5;\x00=1\r\nhello\r\n",
        b"5\nhello\r\n",
        b"\r\n",
        b"0\r\nHost: x\r\n\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_malformed_chunks_are_400_without_a_traceback(web: Stack, body: bytes) -> None:
    with connect(web) as sock:
        sock.sendall(head(f"POST {JOBS}", CHUNKED, is_signed_in=True) + body)
        sock.shutdown(socket.SHUT_WR)
        answer = rest_of(sock)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in answer
    assert not any(process.has_said("Traceback") for process in web.processes)


def test_a_refused_request_is_logged_without_its_content(web: Stack) -> None:
    with connect(web) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nAuthorization : Bearer a-secret-token\r\n\r\n")
        assert rest_of(sock).startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: web.processes[0].has_said("a request was refused"))
    assert not web.processes[0].has_said("a-secret-token")


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "Script_Name", "REMOTE_USER"])
def test_no_header_changes_the_path_of_a_request(web: Stack, name: str) -> None:
    with connect(web) as sock:
        sock.sendall(head("GET /x/metrics", f"{name}: /x\r\n".encode(), b"Connection: close\r\n"))
        assert rest_of(sock).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("count", [2, 5])
def test_a_session_is_found_in_cookies_that_a_proxy_has_split(web: Stack, count: int) -> None:
    session = f"Cookie: __session={token(lifetime_seconds=LIFETIME_SECONDS)}\r\n".encode()
    others = [b"Cookie: a%d=b,c\r\n" % number for number in range(count - 1)]
    for cookies in ([*others, session], [session, *others], [*others[:1], session, *others[1:]]):
        with connect(web) as sock:
            sock.sendall(head("GET /api/feature-planner/options", *cookies, b"Connection: close\r\n"))
            assert rest_of(sock).startswith(b"HTTP/1.1 200 ")


def test_the_connection_that_was_idle_for_longest_is_closed_for_a_new_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_web(MAX_CONNECTIONS="3")
        person = Person(it)
        job_id = person.ask()
        person.close()
        with open_stream(it, "alice", job_id) as stream, connect(it) as silent, connect(it) as used:
            wait_until(lambda: answers(used))
            with connect(it) as newcomer:
                assert answers(newcomer)
                assert silent.recv(1) == b"", "the connection that was idle for longest is still open"
                assert answers(used) and answers(newcomer)
                with connect(it) as second, connect(it) as third:
                    assert answers(second) and answers(third)
                    assert rest_of(used) == rest_of(newcomer) == b""
            stream.settimeout(0.1)
            with suppress(TimeoutError):
                assert stream.recv(65536), "the stream was closed like an idle connection"


def answers(sock: socket.socket) -> bool:
    """Returns whether a request gets 200. It reads the whole answer, whose head and body may arrive separately."""
    sock.sendall(head("GET /healthz"))
    answer = b""
    while not answer.endswith(b"}") and (piece := sock.recv(65536)):
        answer += piece
    return answer.startswith(b"HTTP/1.1 200 ")

"""Tests the limits on time, connections and bytes of a web process, and which other origins may use it."""

import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from flask.testing import FlaskClient

from api import create_app
from tests.conftest import SECRET, ApiSettingsFactory, bearer, opened, token, wait_until
from tests.stack import BODY, JOBS, Person, Stack, stack

ORIGIN = "https://app.example.com"
REQUEST_SECONDS = 0.5
AGENT = "/api/feature-planner/suggestion-agent"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides a web process with a short time limit for requests and a limit of three connections."""
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_web(REQUEST_SECONDS=str(REQUEST_SECONDS), MAX_CONNECTIONS="3", CORS_ORIGINS=ORIGIN)
        yield it


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.web_port), timeout=10)


def rest_of(sock: socket.socket) -> bytes:
    """Returns what the server sends until it closes the connection."""
    received = b""
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def trickle(sock: socket.socket, data: bytes) -> bytes:
    """Sends a byte at a time, each well within the time-out of a single read, until the server answers or closes.

    Returns the whole answer. Fails unless the server answers or closes about when the time limit is over.
    """
    began = time.monotonic()
    sock.settimeout(REQUEST_SECONDS / 5)
    received = b""
    for byte in data:
        try:
            sock.sendall(bytes([byte]))
            if not (piece := sock.recv(65536)):
                break
            received += piece
            break
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            break
    else:
        pytest.fail("the server has accepted all bytes")
    sock.settimeout(10)
    assert REQUEST_SECONDS * 0.9 < time.monotonic() - began < REQUEST_SECONDS + 2
    return received + rest_of(sock)


def open_stream(stack: Stack, name: str, job_id: str) -> socket.socket:
    """Returns a connection on which a stream is open."""
    sock = connect(stack)
    credential = f"Authorization: Bearer {token(name)}\r\nAccept: text/event-stream\r\n"
    sock.sendall(f"GET {JOBS}/{job_id} HTTP/1.1\r\nHost: localhost\r\n{credential}\r\n".encode())
    received = b""
    while b"connected" not in received:
        received += sock.recv(65536)
    return sock


def head(*lines: str) -> bytes:
    start = f"PUT {AGENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\nContent-Type: application/json\r\n"
    return (start + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


def test_a_connection_whose_headers_trickle_in_is_closed(impatient: Stack) -> None:
    with connect(impatient) as sock:
        assert trickle(sock, b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 500) == b""


@pytest.mark.parametrize("header", ["Content-Length: 500", "Transfer-Encoding: chunked"])
def test_a_body_that_trickles_in_is_408_and_the_connection_is_closed(impatient: Stack, header: str) -> None:
    with connect(impatient) as sock:
        sock.sendall(head(header))
        answer = trickle(sock, b"1f4\r\n" * ("chunked" in header) + b" " * 400)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_connection_may_be_idle_for_longer_than_a_request_may_take(impatient: Stack) -> None:
    with connect(impatient) as sock:
        for _ in range(2):
            sock.settimeout(REQUEST_SECONDS * 1.5)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(10)
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_a_stream_may_last_longer_than_a_request_may_take(impatient: Stack) -> None:
    person = Person(impatient, "patient")
    job_id = person.ask()
    with person.stream(job_id) as events:
        assert next(events).name == "connected"
        began = time.monotonic()
        person_elsewhere = Person(impatient, "patient")
        wait_until(lambda: time.monotonic() - began > REQUEST_SECONDS * 2)
        person_elsewhere.cancel(job_id)
        assert [event.name for event in events if event.name != "queued"] == ["cancelled"]
    person.close()
    person_elsewhere.close()


def test_pipelined_requests_are_all_answered(impatient: Stack) -> None:
    with connect(impatient) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            received += sock.recv(65536)


def test_a_connection_above_the_limit_is_503_at_once_and_a_closed_one_makes_room(impatient: Stack) -> None:
    def is_free() -> bool:
        with connect(impatient) as sock:
            sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return rest_of(sock).startswith(b"HTTP/1.1 200")

    wait_until(is_free)
    person = Person(impatient, "busy")
    job_id = person.ask()
    person.close()
    taken = [open_stream(impatient, "busy", job_id) for _ in range(3)]
    with pytest.raises(httpx.HTTPStatusError) as refused:
        httpx.get(f"http://127.0.0.1:{impatient.web_port}/openapi.json").raise_for_status()
    answer = refused.value.response
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.json()["status"] == 503
    for sock in taken:
        sock.close()
    wait_until(is_free)


def test_a_full_process_answers_one_probe_per_connection_and_is_not_ready(impatient: Stack) -> None:
    person = Person(impatient, "probing")
    job_id = person.ask()
    person.close()
    taken: list[socket.socket] = []

    def is_full() -> bool:
        with connect(impatient) as sock:
            sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return rest_of(sock).startswith(b"HTTP/1.1 503")

    while not is_full():
        taken.append(open_stream(impatient, "probing", job_id))
    with httpx.Client(base_url=f"http://127.0.0.1:{impatient.web_port}") as http:
        assert http.get("/readyz").status_code == 503
    for path in ("healthz", "metrics"):
        with connect(impatient) as sock:
            sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = rest_of(sock)
        assert answer.startswith(b"HTTP/1.1 200") and answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in answer.lower()
    assert re.search(rb"^planner_connections_refused_total [1-9]", answer, re.MULTILINE)
    assert is_full()
    silent = [connect(impatient) for _ in range(20)]
    for sock in silent[:18]:
        sock.sendall(b"GET /healthz ")
    with connect(impatient) as sock:
        sock.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert rest_of(sock).startswith(b"HTTP/1.1 200")
    assert rest_of(silent[-1]).startswith(b"HTTP/1.1 503")
    for sock in (*taken, *silent):
        sock.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % i for i in range(70)) + b"\r\n", 431),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"this is no HTTP\r\n\r\n", 400),
    ],
)
def test_a_request_that_gunicorn_refuses_is_answered_by_a_problem(
    impatient: Stack, request_head: bytes, status: int
) -> None:
    with connect(impatient) as sock:
        sock.sendall(request_head)
        answer = rest_of(sock)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b"application/problem+json" in answer


def test_a_stream_may_be_read_by_an_allowed_origin(impatient: Stack) -> None:
    person = Person(impatient, "elsewhere")
    job_id = person.ask()
    with person.http.stream("GET", f"{JOBS}/{job_id}", headers={"Origin": ORIGIN}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Access-Control-Allow-Credentials" not in answer.headers
    person.close()


@pytest.fixture
def cors_client(api_settings: ApiSettingsFactory, redis: object) -> Iterator[FlaskClient]:
    settings = api_settings(auth_mode="jwt", auth_secret=SECRET, cors_origins=(ORIGIN, "http://localhost:5173"))
    for app in opened(create_app(settings)):
        yield app.test_client()


PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


def test_a_preflight_is_answered_without_signing_in(cors_client: FlaskClient) -> None:
    answer = cors_client.options(JOBS, headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "POST", "PUT", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "last-event-id", "idempotency-key", "x-request-id"} == set(allowed)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_an_answer_to_an_allowed_origin_shows_the_headers_a_client_needs(cors_client: FlaskClient) -> None:
    answer = cors_client.post(JOBS, json=BODY, headers={**bearer(token()), "Origin": ORIGIN})
    assert answer.status_code == 202
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {
        "Location",
        "Retry-After",
        "RateLimit-Remaining",
        "Idempotent-Replayed",
        "X-Request-ID",
        "Sign-In-URL",
    } <= exposed


def test_errors_can_be_read_by_an_allowed_origin_too(cors_client: FlaskClient) -> None:
    answer = cors_client.get(f"{JOBS}/nonsense", headers={"Origin": ORIGIN})
    assert answer.status_code == 401 and answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{ORIGIN}.evil.com", "http://app.example.com"])
def test_other_origins_get_no_cors_headers(cors_client: FlaskClient, origin: str) -> None:
    for answer in (
        cors_client.options(JOBS, headers={**PREFLIGHT, "Origin": origin}),
        cors_client.get("/healthz", headers={"Origin": origin}),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.headers["Vary"]


def test_by_default_no_origin_is_allowed_and_a_preflight_is_401(client: FlaskClient) -> None:
    del client.environ_base["HTTP_AUTHORIZATION"]
    answer = client.options(JOBS, headers=PREFLIGHT)
    assert answer.status_code == 401
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_a_cookie_from_an_allowed_origin_still_changes_nothing(cors_client: FlaskClient) -> None:
    cors_client.set_cookie("__session", token())
    answer = cors_client.post(JOBS, json=BODY, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403

"""Tests that gunicorn answers any bytes of a client correctly, errors by problems, and logs no traceback."""

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.server.bounded_request import MAX_FIELD_BYTES, MAX_LIST_BYTES
from tests.api.resources.test_limits import connect
from tests.conftest import token
from tests.stack import BODY, JOBS, LIFETIME_SECONDS, Stack, stack

AGENT = "/api/feature-planner/suggestion-agent"
AGENT_BODY: dict[str, object] = {
    "name": "abc",
    "role": "abcdef",
    "focus": "a" * 20,
    "systemPrompt": "b" * 60,
    "temperature": 0.5,
}
AGENT_BODY |= {"tools": ["Read"], "isActive": True}
UNKNOWN_JOB = f"{JOBS}/06fd4a90-0000-4000-8000-000000000000"
FINAL_STATUSES_ABOVE_499 = {501, 505}
"""A request with an unknown transfer coding or an unknown version of HTTP gets one of these statuses."""

fuzz = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=["jwt", "demo"])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack"), is_quiet=True) as it:
        it.start_web(AUTH_MODE=request.param, MAX_QUEUED_JOBS="1000000", JOBS_PER_MINUTE="1000000", REQUEST_SECONDS="2")
        yield it


def edges(*values: str) -> st.SearchStrategy[bytes]:
    """Draws one of these texts, or any other, as bytes of a header or a path."""
    return (st.sampled_from(values) | st.text(max_size=30)).map(lambda text: text.encode("utf-8", "surrogatepass"))


METHODS = edges(
    *["GET"] * 6, *["POST"] * 4, *["PUT"] * 4, "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "A" * 300
)
PATHS = st.sampled_from(
    f"{JOBS} {UNKNOWN_JOB} {AGENT} /api/feature-planner/options /api/feature-planner/ / /assets/x /docs /favicon.svg "
    "/docs/js/swagger-ui-bundle.js /openapi.json /healthz /readyz /metrics * x http://localhost/ http://[::1/".split()
).map(str.encode)
ENDS = st.just(b"") | edges(
    *["/%00", "/%0d%0a", "/%ff", "/%ed%a0%80", "/..", "/%2e%2e%2f", "//", "\\", "%", "%zz", ";a=b", "\xff", "/" * 4000],
    *["?lastEventId=1-1", "?lastEventId=%00", "?lastEventId=%ff", "?none=204", "?none=x&none[]=1", "?" + "a&" * 4000],
)
NAMES = edges(
    *["Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Authorization", "Content-Type", "Content-Length"],
    *["Content-Encoding", "Transfer-Encoding", "Expect", "Host", "Origin", "Range", "If-Range", "If-None-Match"],
    *["If-Match", "If-Modified-Since", "If-Unmodified-Since", "Cache-Control", "Forwarded", "X-Forwarded-For"],
    *["X-Forwarded-Proto", "X-Request-ID", "Last-Event-ID", "Idempotency-Key", "Sec-Fetch-Site", "Connection"],
    *["Upgrade", "TE", "Access-Control-Request-Method", "SCRIPT_NAME", "X-HTTP-Method-Override", "sentry-trace"],
    *["baggage", "Trailer", "Proxy", "Date"],
)
VALUES = edges(
    *["", "\0", "\r", "\x7f", '"', '"\\', ";" * 900, "," * 900, "=", "a=b;" * 2000, "*", "null", "*/*;q=nan"],
    *["application/json;q=-1,text/event-stream;q=1e309", "text/event-stream", "bytes=0-0", "bytes=-1", "bytes=5-1"],
    *["bytes=99999999999999999999-", "bytes=0-0,1-1", "-1", "0", "9" * 5000, "0x10", "chunked", "gzip, chunked"],
    *["100-continue", "close", "upgrade", "h2c", "Thu, 99 Foo 99999 99:99:99 +9999999", 'W/"', 'W/"x", *', "http://["],
    *["http://[::1", "localhost:99999", "[::1]:x", "xn--ÿ", "Bearer", "Bearer a.b.c", "Bearer " + "." * 2000],
    *["Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJIUzI1NiIsImNyaXQiOlsieCJdfQ.e30.x", "Basic ÿ"],
    *["__session=a.b.c", '__session="\\', "planner_demo=x.y", "planner_demo=ÿ", "cross-site", "application/json"],
    *['application/json; charset="', "application/json; charset*=utf-8''%ff", "multipart/form-data; boundary=x"],
    *["1-1", "1-", "-1--1", "1-" + "9" * 200, "1-1\0", "for=[::1", "sentry-trace_id=ÿ,=;,", "a" * 8100],
)
ODD_VALUES: list[object] = ["\ud800" * 12, "\0" * 12, 1e400, 10**4000, [], {"a": [{}]}, None, True, "x" * 60]
ODD_BODIES = [b"{}", b"[]", b"null", b'"{}"', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b"1" * 9000]
ODD_BODIES += [b"[" * 16000, b'{"a":' * 3000, b'{"a":"\\ud800"}', b'{"\\ud800":1}', b'{"a":"\\u0000"}', b'{"a":"\0"}']
ODD_BODIES += [b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b'{"a":"\xed\xa0\x80"}', b"{" + b" " * 16400]
for good in (BODY, AGENT_BODY):
    ODD_BODIES += [json.dumps(good).encode("utf-16"), json.dumps(good)[:-1].encode() + b',"name":"twice"}']
    ODD_BODIES += [json.dumps({**good, field: value}).encode() for field in ("x\udc00", *good) for value in ODD_VALUES]
BODIES = st.sampled_from(ODD_BODIES) | st.binary(max_size=60)


@st.composite
def requests(draw: st.DrawFn, credential: bytes) -> bytes:
    head = draw(METHODS) + b" " + draw(PATHS) + draw(ENDS) + b" HTTP/1.1\r\n"
    fields = [(b"Host", b"localhost"), credential.split(b": "), (b"Content-Type", b"application/json")]
    fields = [field for field in fields if draw(st.integers(0, 9))]
    fields += draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    body = draw(BODIES)
    match draw(st.sampled_from(["length", "length", "length", "chunked", "less", "none"])):
        case "length":
            fields.append((b"Content-Length", b"%d" % len(body)))
        case "chunked":
            fields.append((b"Transfer-Encoding", b"chunked"))
            body = b"%x\r\n%s%s" % (
                len(body),
                body,
                draw(st.sampled_from([b"\r\n0\r\n\r\n", b"zz\r\n", b"\r\n-1\r\n"])),
            )
        case "less":
            fields.append((b"Content-Length", b"%d" % (len(body) + 5)))
        case "none":
            body = b""
    return (
        head + b"".join(b"%s: %s\r\n" % (name, value) for name, value in fields) + b"Connection: close\r\n\r\n" + body
    )


def exchange(web: Stack, request: bytes) -> bytes:
    """Returns the response, or the first events of a stream."""
    received = b""
    with connect(web) as sock:
        try:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                received += piece
                if b"event: connected" in received:
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass
    return received


def is_fine(answer: bytes) -> bool:
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if status < 400:
        return True
    if b"Content-Type: application/problem+json\r\n" not in head + b"\r\n":
        return False
    says = json.JSONDecoder().raw_decode(body.decode())[0]["status"] if body else status
    return (status < 500 or status in FINAL_STATUSES_ABOVE_499) and says == status


@pytest.fixture(scope="module")
def credential(web: Stack) -> bytes:
    """Provides the header that signs a client in: the demo cookie if the page sets one, else a bearer token."""
    page = exchange(web, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    if cookie := page.partition(b"Set-Cookie: ")[2].partition(b";")[0]:
        return b"Cookie: " + cookie
    return b"Authorization: Bearer " + token(lifetime_seconds=LIFETIME_SECONDS).encode()


def test_any_request_gets_a_correct_answer_and_leaves_no_traceback(web: Stack, credential: bytes) -> None:
    @fuzz
    @given(request=requests(credential))
    def check(request: bytes) -> None:
        assert is_fine(exchange(web, request))

    check()
    assert not [line for process in web.processes for line in process.lines if "Traceback" in line]


def status_of(web: Stack, name: str, count: int, length: int) -> int:
    """Returns the status for a request with `count` headers of that name, each of `length` bytes."""
    fields = b"%s: %s\r\n" % (name.encode(), b"x" * length) * count
    answer = exchange(web, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields + b"\r\n")
    return int(answer.split(b" ")[1])


LISTS = ["Accept", "Accept-Encoding", "Accept-Language", "If-None-Match", "If-Match", "If-Range", "Range"]
LISTS += ["Cache-Control", "Content-Encoding", "Content-Type"]  # two headers named Content-Type are 400 anyway


@pytest.mark.parametrize(
    ("name", "count"), [(name, count) for name in LISTS for count in (1, 3) if (name, count) != ("Content-Type", 3)]
)
def test_a_header_that_is_a_list_is_bounded_however_it_is_sent(web: Stack, name: str, count: int) -> None:
    assert status_of(web, name, count, MAX_LIST_BYTES // count) == 200
    assert status_of(web, name, count, MAX_LIST_BYTES // count + 1) == 431


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "X-Forwarded-For", "Last-Event-ID"])
def test_headers_of_one_name_are_bounded_together(web: Stack, name: str) -> None:
    assert status_of(web, name, 1, MAX_FIELD_BYTES - 100) == 200
    assert status_of(web, name, 3, MAX_FIELD_BYTES // 3 + 1) == 431

"""Parses requests as gunicorn does, with limits on what one costs.

It is loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import re
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.http.message import Request

MAX_HEAD_BYTES = 32 * 1024
"""The most bytes of the request line and all headers; one header may have 8,190 bytes."""
MAX_FIELD_BYTES = 8190
"""The most bytes in the values of all headers of one name. gunicorn limits each, then joins them."""
MAX_LIST_BYTES = 1024
"""The same for headers that werkzeug parses as lists, which takes up to a millisecond for each KB."""
_LISTS = re.compile(r"ACCEPT(-.*)?|IF-.*|RANGE|CACHE-CONTROL|CONTENT-(TYPE|ENCODING)")
_END = b"\r\n\r\n"
_BARE_LINE_FEED = re.compile(rb"(?:\A|[^\r])\n")


class BoundedRequest(Request):  # type: ignore[misc]
    """Limits the head of a request. gunicorn would allow 64 headers of 8 KB and scan all of them with every byte."""

    headers: list[tuple[str, str]]

    def parse(self, unreader: Any) -> bytes:
        """Parses the head once it is whole. Returns what came after it. Raises gunicorn's errors."""
        unreader.unread(_read_head(unreader))
        rest: bytes = super().parse(unreader)
        self.headers = _with_one_cookie_header(self.headers)
        _bound_fields(self.headers)
        return rest

    @property
    def is_read(self) -> bool:
        """Returns whether the next bytes of the connection belong to the next request."""
        if self.body is None:
            return True
        reader = self.body.reader
        return bool(reader.length == 0 if isinstance(reader, LengthReader) else reader.parser is None)

    def should_close(self) -> bool:
        """Returns whether to close the connection, also if the body was not read: gunicorn would read all the rest."""
        return bool(super().should_close()) or not self.is_read


def _read_head(unreader: Any) -> bytes:
    """Returns what has arrived of a request, with its whole head unless the client stops earlier or sends no HTTP."""
    head = bytearray()
    while piece := unreader.read():
        seen = len(head)
        head += piece
        if head.find(_END, max(0, seen - len(_END) + 1)) >= 0:
            break
        if _BARE_LINE_FEED.search(head[max(0, seen - 1) :]):
            break  # which gunicorn refuses
        if len(head) > MAX_HEAD_BYTES:
            raise LimitRequestHeaders("head") if b"\r\n" in head else LimitRequestLine(len(head), MAX_HEAD_BYTES)
    return bytes(head)


def _bound_fields(headers: list[tuple[str, str]]) -> None:
    """Raises LimitRequestHeaders where the headers of one name are longer than the limit."""
    lengths: dict[str, int] = {}
    for name, value in headers:
        lengths[name] = length = lengths.get(name, 0) + len(value)
        if length > MAX_LIST_BYTES and (length > MAX_FIELD_BYTES or _LISTS.fullmatch(name)):
            raise LimitRequestHeaders(name)


def _with_one_cookie_header(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Joins Cookie headers, which a proxy may split as HTTP/2 allows; gunicorn would join them with commas."""
    cookies = [value for name, value in headers if name == "COOKIE"]
    if len(cookies) < 2:
        return headers
    return [*(header for header in headers if header[0] != "COOKIE"), ("COOKIE", "; ".join(cookies))]

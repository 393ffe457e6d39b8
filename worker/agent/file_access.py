"""Opens files of a project without following links, and reads them. This module is run as a program.

It answers requests from its standard input until that is closed. A request is a list of fields, separated by NUL:
`read`, ROOT, PATH, FIRST, LAST is answered by one dict as a Python literal, with `text` and what there is to say about
it, or `error`; `keep`, ROOT and paths is answered by those of the paths that could be opened, separated by NUL. Each
request and each answer begins with its length in bytes. The module imports only what Python has loaded anyway, so that
it starts in 12 ms: `json` alone would double that, and `collections.abc` add a quarter, hence `_collections_abc`.

A file must be a regular one with a single name. A second name (a hard link) may lie outside of the project, which
cannot be found out here, so such files are not opened.
"""

import codecs
import os
import stat
import sys
import time
from _collections_abc import Iterator

MAX_CHARACTERS = 30_000
"""The text in one answer has at most this many characters."""
MAX_LINE_CHARACTERS = 2_000
BLOCK_BYTES = 1 << 20
SNIFFED_BYTES = 8_192
READ_SECONDS = 4.0
"""After this time a reading returns what it has found; the caller kills the process a little later."""
LENGTH_BYTES = 4
"""A length is a big-endian number of so many bytes."""
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x08\x1b")


class NotOpened(Exception):
    """Signals that a file is not opened. The message says why, without a path of this machine."""


def open_beneath(root: str, path: str) -> int:
    """Returns a descriptor of the regular file of that path beneath the root. Raises NotOpened."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise NotOpened("is not a path beneath the root")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *folders, name = path.split("/")
    try:
        for each in folders:
            inner = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (OSError, ValueError) as error:
        raise NotOpened(_reason(error)) from None
    finally:
        os.close(folder)
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        os.close(opened)
        raise NotOpened("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    if status.st_nlink != 1:
        os.close(opened)
        raise NotOpened("has a second name (a hard link), which may lie outside of the project")
    return opened


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "cannot be read by this server"
    return "is not there"


def read(opened: int, first: int, last: int | None) -> dict[str, object]:
    """Returns the lines from `first` to `last`, as far as they fit. Raises NotOpened for a file that is no text."""
    encoding, until = _encoding(os.pread(opened, SNIFFED_BYTES, 0)), time.monotonic() + READ_SECONDS
    try:
        return _Lines(first, last).read(opened, encoding, until)
    except UnicodeDecodeError:
        # Any sequence of bytes is Latin-1, so this cannot fail.
        return _Lines(first, last).read(opened, "latin-1", until)


def _encoding(beginning: bytes) -> str:
    """Returns the encoding that the beginning of the file suggests. Raises NotOpened when the file is no text."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in beginning:
        even, odd = beginning[::2].count(0), beginning[1::2].count(0)
        half = len(beginning) // 2
        # Text in UTF-16 of languages written in Latin letters: every second byte is 0, and no other one.
        if half and odd > 0.6 * half and even < 0.05 * half:
            return "utf-16-le"
        if half and even > 0.6 * half and odd < 0.05 * half:
            return "utf-16-be"
        raise NotOpened("is not a text file")
    if len(beginning) - len(beginning.translate(None, _CONTROL)) > len(beginning) // 10:
        raise NotOpened("is not a text file")
    return "utf-8-sig"


class _Lines:
    """Collects lines of a file that is read in blocks, so that neither its length nor that of a line matters."""

    def __init__(self, first: int, last: int | None) -> None:
        self.first, self.last = max(1, first), last
        self.lines: list[str] = []
        self.number = 1
        """The number of the line that is being read."""
        self.length = 0
        self.pieces: list[str] = []
        self.kept = 0
        """How many characters of that line are in `pieces`."""
        self.dropped = 0
        self.cut_lines = 0
        self.is_full = False

    def read(self, opened: int, encoding: str, until: float) -> dict[str, object]:
        """Returns the lines collected until then, by the monotonic clock, and what there is to say about them."""
        is_late, is_whole, is_empty = False, True, True
        for block in _blocks(opened, encoding):
            is_empty = False
            self._take(block)
            is_late = time.monotonic() > until
            if self.is_full or is_late:
                is_whole = False
                break
        # Text after the last line break is a line as well.
        if (is_whole or is_late) and (self.kept or self.dropped):
            self._end_line()
        return {
            "text": "\n".join(self.lines),
            "encoding": encoding,
            "first": self.first,
            "last": self.first + len(self.lines) - 1,
            "has_more": not is_whole,
            "is_late": is_late,
            "is_empty": is_empty,
            "cut_lines": self.cut_lines,
            "line_count": self.number - 1 if is_whole else None,
        }

    def _take(self, block: str) -> None:
        position = 0
        if self.number < self.first:
            position = self._skip(block)
        while position < len(block):
            self.is_full = self.is_full or (self.last is not None and self.number > self.last)
            if self.is_full:
                return
            end = block.find("\n", position)
            stop = len(block) if end < 0 else end
            if self.number >= self.first:
                room = MAX_LINE_CHARACTERS - self.kept
                piece = block[position : min(stop, position + room)]
                self.pieces.append(piece)
                self.kept += len(piece)
                self.dropped += stop - position - len(piece)
            else:
                self.dropped += stop - position
            if end >= 0:
                self._end_line()
            position = stop + 1

    def _skip(self, block: str) -> int:
        """Skips the lines before the first one wanted. Returns where in the block that one begins."""
        missing = self.first - self.number
        breaks = block.count("\n")
        if breaks < missing:
            self.number += breaks
            self.dropped = 1 if not block.endswith("\n") else 0
            return len(block)
        position = 0
        for _ in range(missing):
            position = block.find("\n", position) + 1
        self.number, self.dropped = self.first, 0
        return position

    def _end_line(self) -> None:
        line = "".join(self.pieces).removesuffix("\r")
        if self.dropped and self.number >= self.first:
            line += f" [{self.dropped} more characters in this line]"
            self.cut_lines += 1
        if self.number >= self.first:
            if self.length + len(line) > MAX_CHARACTERS:
                self.is_full = True
                return
            self.lines.append(line)
            self.length += len(line) + 1
        self.number += 1
        self.pieces, self.kept, self.dropped = [], 0, 0


def _blocks(opened: int, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace" if encoding.startswith("utf-16") else "strict")
    os.lseek(opened, 0, os.SEEK_SET)
    while block := os.read(opened, BLOCK_BYTES):
        yield decoder.decode(block)
    if rest := decoder.decode(b"", final=True):
        yield rest


def keep(root: str, paths: list[str]) -> list[str]:
    """Returns those of the paths that can be opened."""
    kept = []
    for path in paths:
        try:
            os.close(open_beneath(root, path))
        except (NotOpened, OSError):
            continue
        kept.append(path)
    return kept


def answer(command: bytes, root: bytes, *more: bytes) -> bytes:
    """Returns the answer to a request."""
    folder = os.fsdecode(root)
    if command == b"keep":
        return b"\0".join(os.fsencode(path) for path in keep(folder, [os.fsdecode(path) for path in more]))
    path, first, last = more
    found: dict[str, object]
    try:
        opened = open_beneath(folder, os.fsdecode(path))
        try:
            found = read(opened, int(first), int(last) if int(last) > 0 else None)
        finally:
            os.close(opened)
    except NotOpened as error:
        found = {"error": str(error)}
    except OSError as error:
        found = {"error": f"cannot be read: {error.strerror}"}
    return ascii(found).encode()


def main() -> None:
    """Answers requests one after the other, until standard input is closed."""
    while length := sys.stdin.buffer.read(LENGTH_BYTES):
        request = sys.stdin.buffer.read(int.from_bytes(length))
        given = answer(*request.split(b"\0"))
        sys.stdout.buffer.write(len(given).to_bytes(LENGTH_BYTES) + given)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

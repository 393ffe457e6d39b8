"""Reads the values of settings from the environment, or from the files that it names."""

import stat
from collections.abc import Collection, Mapping
from pathlib import Path

FILE_BYTES = 64 * 1024
"""No key and no address is longer; what is longer is not the file that was meant."""


class Unusable(Exception):
    """Signals that a value cannot be read. The message says why, without the setting's name and without the value."""


def read(
    names: Collection[str], names_with_files: Collection[str], environment: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Returns the values of those names that have one, trimmed, and a line for each value that cannot be read.

    A value that is empty counts as not set. For `names_with_files`, NAME_FILE may name a file that holds the value.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for name in names:
        source = name
        try:
            value = _trimmed(environment.get(name, ""))
            if name in names_with_files and (path := _trimmed(environment.get(f"{name}_FILE", ""))):
                source = f"{name}_FILE"
                if value:
                    raise Unusable(f"and {name} are both set")
                value = _content(Path(path))
        except Unusable as problem:
            problems.append(f"{source} {problem}")
            continue
        if value:
            values[name] = value
    return values, problems


def _trimmed(value: str) -> str:
    """Takes spaces and line ends off both ends. Raises Unusable where what is left cannot be a setting."""
    value = value.strip()
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable("is not UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise Unusable("has a line end or another control character inside")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        # What Docker makes of NAME='value' in an environment file.
        raise Unusable("is in quotes, which would be part of the value")
    return value


def _content(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("does not name a regular file")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES:
        raise Unusable(f"names a file of more than {FILE_BYTES // 1024} KiB")
    try:
        value = _trimmed(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unusable("names a file that is not UTF-8") from None
    if not value:
        raise Unusable("names a file that is empty")
    return value

"""Writes docs/settings.md and .env.example from shared/settings.py, the one place where settings are described.

`--check` writes nothing, and fails when a file is not what the settings make of it.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic.fields import FieldInfo

from shared.settings import NAMES_WITH_FILES, ApiSettings, Settings, WorkerSettings

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/settings.md"
EXAMPLE = ROOT / ".env.example"

TABLE_HEAD = """# Settings

<!-- Made by scripts/generate_settings.py from shared/settings.py; do not edit. -->

Every setting is an environment variable. Spaces and line ends around a value are removed, and a blank value counts
as not set. A setting that is unknown to a process is ignored; one that is missing or malformed stops it, by name.
`feature-planner web --check` and `feature-planner worker --check` say what is wrong with an environment.

Secrets may be read from files, as Docker and Kubernetes provide them: `NAME_FILE` names the file that holds the
value, for {files}. Setting both is an error.
"""
EXAMPLE_HEAD = """\
# Every setting; made by scripts/generate_settings.py from shared/settings.py.
#
# No process reads this file by itself. Copy it to .env, fill in what is required, and give it to the processes:
#   set -a; . ./.env; set +a          in a shell, before `make run` or a command of the Procfile
#   docker run --env-file .env ...    or `env_file: .env` in compose, or EnvironmentFile= in a systemd unit
# Docker takes a value as it stands, quotes and comments included, so write neither. A shell does not: percent-encode
# what is special to it (& ; $ # ( ) and quotes) in an address, and put such a secret into a file (AUTH_SECRET_FILE).
# A line that begins with # is left out; its setting has the default that stands there.
"""
GROUPS: tuple[tuple[str, type[Settings]], ...] = (
    ("Both processes", Settings),
    ("web", ApiSettings),
    ("worker", WorkerSettings),
)


class Described(NamedTuple):
    """Describes a setting as the generated files show it."""

    name: str
    is_required: bool
    default: str
    """As the environment would have it; empty where there is none."""
    meaning: str


def described(kind: type[Settings]) -> Iterator[Described]:
    """Yields the settings that this class adds to its base, in their order."""
    for name, field in kind.model_fields.items():
        if kind is Settings or name not in Settings.model_fields:
            yield _described(name.upper(), field)


def _described(name: str, field: FieldInfo) -> Described:
    default = "" if field.is_required() or field.default is None else field.default
    if isinstance(default, tuple):
        default = ",".join(default)
    return Described(name, field.is_required(), str(default), " ".join((field.description or "").split()))


def table() -> str:
    """Returns the text of docs/settings.md."""
    files = " and ".join(", ".join(f"`{name}`" for name in NAMES_WITH_FILES).rsplit(", ", 1))
    parts = [TABLE_HEAD.format(files=files)]
    for title, kind in GROUPS:
        parts.append(f"\n## {title}\n\n| name | default | unit and meaning |\n|---|---|---|\n")
        for setting in described(kind):
            default = "required" if setting.is_required else f"`{setting.default}`" if setting.default else "none"
            parts.append(f"| `{setting.name}` | {default} | {setting.meaning} |\n")
    return "".join(parts)


def example() -> str:
    """Returns the text of .env.example."""
    parts = [EXAMPLE_HEAD]
    for title, kind in GROUPS:
        parts.append(f"\n# --- {title}\n")
        for setting in described(kind):
            mark, note = ("", "Required. ") if setting.is_required else ("# ", "")
            lines = textwrap.wrap(note + setting.meaning, 118)
            parts.append("\n" + "".join(f"# {line}\n" for line in lines) + f"{mark}{setting.name}={setting.default}\n")
    return "".join(parts)


def main() -> int:
    """Writes the files, or compares them where `--check` is given. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate_settings", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only fail when a file is stale")
    is_check = parser.parse_args().check
    is_stale = False
    for path, content in ((TABLE, table()), (EXAMPLE, example())):
        if is_check and (not path.exists() or path.read_text() != content):
            print(f"{path.name} is stale: run python -m scripts.generate_settings", file=sys.stderr)
            is_stale = True
        elif not is_check:
            path.write_text(content)
    return 1 if is_stale else 0


if __name__ == "__main__":
    sys.exit(main())

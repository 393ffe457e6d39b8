"""Tests that the files that describe the settings are generated from the settings, and can be used as they are."""

import re
import subprocess
from pathlib import Path

import pytest

from scripts import generate_settings
from shared.settings import NAMES_WITH_FILES, ApiSettings, WorkerSettings, load

EXAMPLE = generate_settings.EXAMPLE.read_text()
REQUIRED = {"REDIS_URL": "redis://localhost:6379/0", "AUTH_MODE": "demo", "ANTHROPIC_API_KEY": "sk-ant-x"}


def read_as_docker_does(text: str) -> dict[str, str]:
    """Returns the variables that `docker run --env-file` reads from a file.

    Docker takes each line literally, unless the line is empty or begins with #.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_as_a_shell_does(text: str, folder: Path) -> dict[str, str]:
    """Returns the variables that `set -a; . ./.env` adds to the environment."""
    (folder / ".env").write_text(text)
    done = subprocess.run(
        ["sh", "-euc", "set -a; . ./.env; env -0"], cwd=folder, env={}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    variables = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    return {name: value for name, value in variables.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")}


def with_all_settings(text: str) -> str:
    return re.sub(r"^# (?=[A-Z_]+=)", "", text, flags=re.MULTILINE)


def test_the_files_are_up_to_date_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["generate_settings", "--check"])
    assert generate_settings.main() == 0, capsys.readouterr().err
    monkeypatch.setattr(generate_settings, "TABLE", tmp_path / "settings.md")
    assert generate_settings.main() == 1
    monkeypatch.setattr("sys.argv", ["generate_settings"])
    assert generate_settings.main() == 0
    assert (tmp_path / "settings.md").read_text() == generate_settings.table()


def test_every_setting_is_described_and_listed_in_both_files() -> None:
    table, example = generate_settings.table(), with_all_settings(EXAMPLE)
    for _, kind in generate_settings.GROUPS:
        for setting in generate_settings.described(kind):
            assert len(setting.meaning) > 10 and setting.meaning.endswith("."), setting.name
            assert table.count(f"| `{setting.name}` |") == 1 and example.count(f"\n{setting.name}=") == 1
    assert all(f"`{name}`" in table for name in NAMES_WITH_FILES)


@pytest.mark.parametrize("is_whole", [False, True])
def test_the_example_file_gives_the_defaults_in_docker_and_in_a_shell(tmp_path: Path, is_whole: bool) -> None:
    text = with_all_settings(EXAMPLE) if is_whole else EXAMPLE
    by_docker = read_as_docker_does(text)
    assert read_as_a_shell_does(text, tmp_path) == by_docker
    assert len(by_docker) == (len(ApiSettings.model_fields | WorkerSettings.model_fields) if is_whole else 3)
    assert {name for name, value in by_docker.items() if not value} >= set(REQUIRED)
    for kind in (ApiSettings, WorkerSettings):
        assert load(kind, by_docker | REQUIRED) == load(kind, REQUIRED)


def test_the_table_names_no_unknown_setting() -> None:
    known = {name.upper() for name in ApiSettings.model_fields | WorkerSettings.model_fields}
    known |= {f"{name}_FILE" for name in NAMES_WITH_FILES} | {"NAME_FILE"}
    table = generate_settings.TABLE.read_text()
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", table)) <= known

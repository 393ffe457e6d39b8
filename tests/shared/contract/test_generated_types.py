"""Tests that the page's TypeScript types are those of the Python models."""

import pytest

from scripts import generate_types


def test_the_types_of_the_page_are_up_to_date() -> None:
    assert generate_types.TARGET.read_text() == generate_types.Page().write(), "run python scripts/generate_types.py"


def test_the_check_option_reports_stale_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["generate_types.py", "--check"])
    assert generate_types.main() == 0
    monkeypatch.setattr(generate_types, "TARGET", generate_types.TARGET.with_name("nothing.ts"))
    assert generate_types.main() == 1
    assert "is stale" in capsys.readouterr().err

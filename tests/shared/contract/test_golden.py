"""Tests that recorded streams fold to the same job as in the page (api/web/tests/fold.test.ts)."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from shared.contract.events import Transcript, decode, fold

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDINGS = sorted(GOLDEN.glob("*.jsonl"))


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_stream_folds_to_the_job_it_led_to(recording: Path) -> None:
    job = Transcript()
    for line in recording.read_text().strip().split("\n"):
        entry = json.loads(line)
        job = fold(job, decode(entry["event"], json.dumps(entry["data"])), entry["id"])
    fields = TypeAdapter(Transcript).dump_python(job, mode="json", by_alias=True)
    expected = json.loads(recording.with_suffix(".expected.json").read_text())
    assert {to_camel(name): value for name, value in fields.items()} == expected


def test_every_scenario_and_outcome_of_a_job_has_been_recorded() -> None:
    names = {path.stem for path in RECORDINGS}
    assert names >= {
        "happy-path",
        "second-attempt",
        "queued-then-started",
        "late-join",
        "reconnected",
        "unicode",
        "waited-and-partial",
    }
    outcomes = {json.loads(path.with_suffix(".expected.json").read_text())["status"] for path in RECORDINGS}
    assert outcomes == {"completed", "failed", "cancelled", "in_progress"}

"""The examples of docs/protocol.md are such as the models make them."""

import json
import re
from pathlib import Path

import pytest

from shared.contract.events import EVENTS
from shared.contract.schemas import JobView, Problem, Wire

TEXT = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", TEXT, re.DOTALL)
MODELS: dict[str, type[Wire]] = {"problem": Problem, "complete": EVENTS["complete"], "job": JobView}


def test_each_kind_of_answer_has_an_example() -> None:
    assert [name for name, _ in EXAMPLES] == list(MODELS)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_has_all_fields_of_its_model_and_no_other(name: str, example: str) -> None:
    model = MODELS[name].model_validate_json(example)
    assert json.loads(model.model_dump_json()) == json.loads(example)
    if name == "job":
        assert isinstance(model, JobView) and model.error is not None
        assert model.error.message == model.error.code.message

"""Tests that the examples in docs/protocol.md are as the models encode them."""

import json
import re
from pathlib import Path

import pytest
from flask_openapi3.openapi import OpenAPI

from shared.contract import examples
from shared.contract.events import EVENTS
from shared.contract.schemas import JobView, Problem, Wire

TEXT = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
EXAMPLES = re.findall(r"```json ([a-z]+)\n(.*?)```", TEXT, re.DOTALL)
WHOLE = re.findall(r"```json ([A-Z]\w+)\n(.*?)```", TEXT, re.DOTALL)
STREAMS = re.findall(r"```sse\n(.*?)```", TEXT, re.DOTALL)
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


@pytest.mark.parametrize(("name", "example"), WHOLE)
def test_a_body_is_the_example_of_the_openapi_document(name: str, example: str) -> None:
    assert json.loads(example) == examples.EXAMPLES[name]


def test_every_event_is_documented_as_it_is_sent() -> None:
    shown = re.findall(r"^event: (\w+)\ndata: (.*)$", "".join(STREAMS), re.MULTILINE)
    sent = [*examples.JOB_EVENTS, examples.STARTED_AGAIN, examples.FAILED, examples.CANCELLED]
    assert shown == [(event.event, event.model_dump_json()) for event in sent]
    assert {name for name, _ in shown} == set(EVENTS)


def test_every_status_has_advice_for_clients(app: OpenAPI) -> None:
    advised = {status for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.MULTILINE) for status in row.split(", ")}
    operations = [operation for path in app.api_doc["paths"].values() for operation in path.values()]
    statuses = {status for operation in operations for status in operation["responses"]}
    # 414 and 431 are sent before a request reaches an operation.
    assert "202" in statuses and statuses | {"414", "431"} <= advised

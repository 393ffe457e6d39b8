"""Tests the rules for fields in docs/protocol.md: sections 1 (a job) and 4 (an agent)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contract.examples import EXAMPLES
from shared.contract.schemas import Body, SuggestFeatureRequest, SuggestionAgentBody
from shared.contract.values import ErrorCode, JobStatus

JOB: dict[str, Any] = {"pageOrComponent": "Checkout page", "featureType": "enhancement", "priorityLevel": "high"}
AGENT = EXAMPLES["SuggestionAgentBody"]
ASTRAL = "\U0001d4b3"
SPACE = " \t\r\n\u00a0\u2003\u3000"
NO_STRINGS: tuple[object, ...] = (True, False, 1, 0, 1.5, [], ["Checkout"], {}, {"a": "b"}, b"bytes")
JOB_STRINGS = ("pageOrComponent", "featureType", "priorityLevel", "additionalContext", "customModel")
AGENT_STRINGS = {"name": (3, 100), "role": (5, 100), "focus": (10, 500), "systemPrompt": (50, 5000)}


def wrong(kind: type[Body], body: object) -> set[str]:
    """Returns the names of the fields that violate their rules."""
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body)
    return {".".join(map(str, problem["loc"])) for problem in refused.value.errors(include_url=False)}


def job(**fields: Any) -> SuggestFeatureRequest:
    return SuggestFeatureRequest.model_validate({**JOB, **fields})


def agent(**fields: Any) -> SuggestionAgentBody:
    return SuggestionAgentBody.model_validate({**AGENT, **fields})


@pytest.mark.parametrize("length", [1, 200])
@pytest.mark.parametrize("character", ["x", "é", ASTRAL])
def test_a_page_has_1_to_200_code_points_after_trimming(length: int, character: str) -> None:
    page = character * length
    assert job(pageOrComponent=SPACE + page + SPACE).page_or_component == page


@pytest.mark.parametrize("page", ["", " ", SPACE, SPACE * 99, "x" * 201, ASTRAL * 201, "x" + " " * 199 + "x"])
def test_a_page_of_another_length_is_refused(page: str) -> None:
    assert wrong(SuggestFeatureRequest, {**JOB, "pageOrComponent": page}) == {"pageOrComponent"}


def test_joined_emoji_count_as_all_their_code_points() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert job(pageOrComponent=family * 40).page_or_component == family * 40
    assert wrong(SuggestFeatureRequest, {**JOB, "pageOrComponent": family * 40 + "x"}) == {"pageOrComponent"}


@given(st.text(max_size=1100))
def test_a_context_is_kept_as_it_is_up_to_1000_code_points(context: str) -> None:
    body = {**JOB, "additionalContext": context}
    if len(context) <= 1000:
        assert SuggestFeatureRequest.model_validate(body).additional_context == context
    else:
        assert wrong(SuggestFeatureRequest, body) == {"additionalContext"}


@pytest.mark.parametrize("character", ["x", ASTRAL, " "])
def test_a_context_of_1000_code_points_fits_and_one_more_does_not(character: str) -> None:
    assert job(additionalContext=character * 1000).additional_context == character * 1000
    assert wrong(SuggestFeatureRequest, {**JOB, "additionalContext": character * 1001}) == {"additionalContext"}


def test_optional_fields_may_be_left_out_or_null() -> None:
    assert (job().additional_context, job().custom_model) == (None, None)
    assert (job(additionalContext=None, customModel=None).additional_context, job().custom_model) == (None, None)


@pytest.mark.parametrize("field", ["pageOrComponent", "featureType", "priorityLevel"])
def test_required_fields_may_be_neither_left_out_nor_null(field: str) -> None:
    assert wrong(SuggestFeatureRequest, {name: value for name, value in JOB.items() if name != field}) == {field}
    assert wrong(SuggestFeatureRequest, {**JOB, field: None}) == {field}


@pytest.mark.parametrize("kind", ["enhancement", "new-capability", "optimization", "ui-improvement", "integration"])
@pytest.mark.parametrize("priority", ["low", "medium", "high", "critical"])
def test_every_feature_type_and_priority_is_accepted(kind: str, priority: str) -> None:
    assert job(featureType=kind, priorityLevel=priority).feature_type.value == kind


@pytest.mark.parametrize("value", ["", "Enhancement", " high", "HIGH", "new_capability", "high\n", "critical\0"])
def test_an_unknown_feature_type_or_priority_is_refused(value: str) -> None:
    for field in ("featureType", "priorityLevel"):
        assert wrong(SuggestFeatureRequest, {**JOB, field: value}) == {field}


@pytest.mark.parametrize("value", NO_STRINGS, ids=repr)
@pytest.mark.parametrize("field", JOB_STRINGS)
def test_other_types_are_not_accepted_as_strings(field: str, value: object) -> None:
    assert wrong(SuggestFeatureRequest, {**JOB, field: value}) == {field}


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", "\ude00\ud83d"], ids=ascii)
@pytest.mark.parametrize("field", JOB_STRINGS)
def test_a_lone_surrogate_is_refused(field: str, value: str) -> None:
    assert json.loads(json.dumps(value)) == value  # JSON can contain such text
    assert wrong(SuggestFeatureRequest, {**JOB, field: value}) == {field}


@pytest.mark.parametrize("name", ["page", "page_or_component", "feature_type", "userId", "", "__proto__", "jobId"])
def test_an_unknown_field_is_refused(name: str) -> None:
    assert wrong(SuggestFeatureRequest, {**JOB, name: "x"}) == {name}
    assert wrong(SuggestionAgentBody, {**AGENT, name: "x"}) == {name}


def test_python_names_of_fields_are_refused() -> None:
    body = {"page_or_component": "x", "feature_type": "enhancement", "priority_level": "high"}
    assert {"pageOrComponent", "featureType", "priorityLevel"} <= wrong(SuggestFeatureRequest, body)


def test_every_field_that_is_wrong_is_named() -> None:
    body = {"pageOrComponent": "", "featureType": 1, "additionalContext": "x" * 1001, "more": 1}
    assert wrong(SuggestFeatureRequest, body) == {*body, "priorityLevel"}
    assert wrong(SuggestionAgentBody, {}) == set(AGENT) - {"temperature"}


@pytest.mark.parametrize("body", [None, [], "x", 1, True, [JOB], json.dumps(JOB)])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    wrong(SuggestFeatureRequest, body)


@pytest.mark.parametrize("model", ["", "  ", "x" * 101])
def test_the_name_of_a_custom_model_has_1_to_100_characters_after_trimming(model: str) -> None:
    assert wrong(SuggestFeatureRequest, {**JOB, "customModel": model}) == {"customModel"}
    assert job(customModel=" claude-opus-5-5 ").custom_model == "claude-opus-5-5"


@pytest.mark.parametrize("field", AGENT_STRINGS)
@pytest.mark.parametrize("character", ["x", ASTRAL])
def test_the_length_of_an_agents_text_is_counted_in_code_points_after_trimming(field: str, character: str) -> None:
    least, most = AGENT_STRINGS[field]
    for length in (least, most):
        taken = agent(**{field: SPACE + character * length + SPACE}).model_dump(by_alias=True)
        assert taken[field] == character * length
    for length in (0, least - 1, most + 1):
        assert wrong(SuggestionAgentBody, {**AGENT, field: SPACE + character * length + SPACE}) == {field}


@pytest.mark.parametrize("field", AGENT_STRINGS)
@pytest.mark.parametrize("value", [*NO_STRINGS, None, "\ud800" * 60], ids=ascii)
def test_other_types_are_not_accepted_as_an_agents_text(field: str, value: object) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, field: value}) == {field}


@pytest.mark.parametrize("temperature", [0, 1, 0.0, 1.0, 0.25, -0.0, None])
def test_a_temperature_is_from_0_to_1_or_null(temperature: float | None) -> None:
    assert agent(temperature=temperature).temperature == temperature


@pytest.mark.parametrize(
    "temperature", [-0.01, 1.01, 2, -1, "0.5", "", True, False, [], [0.5], {}, float("nan"), float("inf"), 10**400]
)
def test_a_temperature_out_of_range_or_of_another_type_is_refused(temperature: object) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, "temperature": temperature}) == {"temperature"}


@pytest.mark.parametrize("tools", [[], ["Read"], ["Glob", "Read"], ["Read", "Grep", "Glob"]])
def test_an_agent_may_have_any_of_the_three_tools(tools: list[str]) -> None:
    assert agent(tools=tools).tools == tools


@pytest.mark.parametrize("tool", ["read", "READ", "Bash", "Write", "Read ", "", None, 1, True, ["Read"], "\ud800"])
def test_an_unknown_tool_is_refused(tool: object) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, "tools": ["Read", tool]}) == {"tools.1"}


@pytest.mark.parametrize("tools", [None, "Read", {"Read": True}, True, 1, ["Read"] * 4])
def test_tools_are_a_list_of_three_at_most(tools: object) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, "tools": tools}) == {"tools"}


@pytest.mark.parametrize("value", [1, 0, "true", "false", "", None, [], {}])
def test_is_active_is_true_or_false(value: object) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, "isActive": value}) == {"isActive"}
    assert agent(isActive=False).is_active is False


@pytest.mark.parametrize("name", ["agentId", "createdAt", "updatedAt"])
def test_fields_that_the_server_sets_cannot_be_put(name: str) -> None:
    assert wrong(SuggestionAgentBody, {**AGENT, name: "1"}) == {name}


def test_statuses_and_codes_are_those_of_the_contract() -> None:
    assert [status.value for status in JobStatus] == ["pending", "in_progress", "completed", "failed", "cancelled"]
    assert [status for status in JobStatus if not status.is_final] == [JobStatus.PENDING, JobStatus.IN_PROGRESS]
    assert [code.value for code in ErrorCode] == [
        *("TIMEOUT", "WORKER_LOST", "MODEL_OVERLOADED", "MODEL_UNAVAILABLE", "MODEL_REJECTED", "MODEL_REFUSED"),
        *("BAD_OUTPUT", "EXPIRED", "INTERNAL"),
    ]

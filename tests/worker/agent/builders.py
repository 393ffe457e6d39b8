"""Builds requests and custom agents for the tests of the agent."""

from typing import Any

from shared.contract.schemas import JobInput, SuggestionAgent
from shared.contract.values import FeatureType, PriorityLevel


def job(page: str, context: str | None = None) -> JobInput:
    return JobInput(
        page_or_component=page,
        feature_type=FeatureType.ENHANCEMENT,
        priority_level=PriorityLevel.HIGH,
        additional_context=context,
    )


def custom(**fields: Any) -> SuggestionAgent:
    """Returns a custom agent with these fields in place of the default ones."""
    given = {
        "agent_id": "1",
        "name": "Ada",
        "role": "Accessibility expert",
        "focus": "What people with low vision need",
        "system_prompt": "You look at every page as somebody who uses a screen reader would.",
        "temperature": None,
        "tools": ["Read", "Grep", "Glob"],
        "is_active": True,
        "created_at": 0,
        "updated_at": 0,
    }
    return SuggestionAgent.model_validate({**given, **fields})

"""Lists the models that describe bodies and answers, for the OpenAPI document and the page's types."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from shared.contract import schemas

BODIES: tuple[type[BaseModel], ...] = (schemas.SuggestFeatureRequest, schemas.SuggestionAgentBody)
"""What clients send; a field with a default may be left out."""
ANSWERS: tuple[type[BaseModel], ...] = (
    schemas.JobCreated,
    schemas.JobList,
    schemas.JobView,
    schemas.Options,
    schemas.Problem,
    schemas.SuggestionAgent,
)


class UntitledJsonSchema(GenerateJsonSchema):
    """Leaves out titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

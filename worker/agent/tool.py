"""Defines the base of a tool: its definition for the model, and the answer to a call."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from shared.contract.schemas import ToolName
from worker.agent.project import OpenProject
from worker.agent.tool_arguments import ARGUMENTS, Arguments

MAX_OUTPUT_CHARACTERS = 30_000
"""Longest answer of a tool, in characters; what the model is given counts as input of every later call."""

A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True)
class ToolAnswer:
    """Holds the text for the model, and the files of the project that it has thereby seen."""

    text: str
    paths: frozenset[str] = frozenset()


class Tool(ABC, Generic[A]):
    """Represents a tool of one job."""

    name: ClassVar[ToolName]
    description: ClassVar[str]

    def __init__(self, project: OpenProject) -> None:
        self._project = project

    def to_dict(self) -> dict[str, Any]:
        """Returns the definition that goes into the request."""
        schema = ARGUMENTS[self.name].schema_for_model()
        return {"name": self.name, "description": self.description, "input_schema": schema}

    async def call(self, given: object) -> ToolAnswer:
        """Returns the answer to a call. Raises ToolError, whose text is meant for the model."""
        arguments: Any = ARGUMENTS[self.name].read(self.name, given)
        return await self._call(arguments)

    @abstractmethod
    async def _call(self, arguments: A) -> ToolAnswer: ...


def clipped(text: str) -> str:
    """Returns a tool's answer, shortened to the limit."""
    if len(text) <= MAX_OUTPUT_CHARACTERS:
        return text
    return text[:MAX_OUTPUT_CHARACTERS] + f"\n[cut at {MAX_OUTPUT_CHARACTERS} characters]"


def with_notes(text: str, notes: list[str]) -> str:
    """Returns the text, with the notes about it in brackets at its end."""
    return "\n".join([*([text] if text else []), *(f"[{note}]" for note in notes)])

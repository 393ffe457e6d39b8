"""Translates pydantic's errors into sentences for the person who filled in the form."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from shared.contract.schemas import FieldProblem

FIELD_MAX_LENGTH = 100
"""The length at which a field's name is cut; the contract has no longer ones."""
MOST_PROBLEMS = 100
"""The most fields that are named one by one; the contract has fewer."""


def _characters(count: int) -> str:
    return f"{count} character" if count == 1 else f"{count} characters"


_MESSAGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a known field",
    "invalid_key": lambda _: "is not a known field",
    "string_type": lambda _: "must be a string",
    "string_unicode": lambda _: "must be valid Unicode text",
    "string_too_short": lambda context: f"must have at least {_characters(context['min_length'])}",
    "string_too_long": lambda context: f"must have at most {_characters(context['max_length'])}",
    "literal_error": lambda context: f"must be {context['expected']}",
    "enum": lambda context: f"must be {context['expected']}",
    "bool_type": lambda _: "must be true or false",
    "float_type": lambda _: "must be a number",
    "int_type": lambda _: "must be a whole number",
    "finite_number": lambda _: "must be a finite number",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "list_type": lambda _: "must be a list",
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "model_type": lambda _: "must be a JSON object",
    "model_attributes_type": lambda _: "must be a JSON object",
    "value_error": lambda context: str(context.get("error", "is not valid")),
}


def field_problems(error: ValidationError) -> list[FieldProblem]:
    """Returns a problem for each error, with its field's name on the wire. It repeats no values of the request."""
    return [
        FieldProblem(field=_name(problem["loc"]), message=_message(problem["type"], problem.get("ctx", {})))
        for problem in error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
    ]


def _name(location: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, location)) or "body"
    return name.encode("utf-8", "replace").decode()[:FIELD_MAX_LENGTH]


def _message(kind: str, context: dict[str, Any]) -> str:
    message = _MESSAGES.get(kind)
    return message(context) if message else "is not valid"

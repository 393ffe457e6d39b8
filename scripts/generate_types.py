"""Writes api/web/src/client/types.gen.ts: the page's types, from the pydantic models that the API validates with.

`--check` writes nothing, and fails when the file is not what the models make of it.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from shared.contract import events, schemas
from shared.contract.json_schemas import ANSWERS, BODIES, UntitledJsonSchema

TARGET = Path(__file__).resolve().parent.parent / "api/web/src/client/types.gen.ts"

CHOICES = {"FEATURE_TYPES": "FeatureType", "PRIORITY_LEVELS": "PriorityLevel", "TOOL_NAMES": "ToolName"}
"""The page offers these types' values to choose from, so their lists are exported."""
PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


class Page:
    """Builds the text of the file from the schemas it refers to."""

    NAMED: ClassVar[dict[str, list[Any]]] = {"ToolName": TypeAdapter(schemas.ToolName).json_schema()["enum"]}
    """Literals that the schemas write out wherever they are used."""

    def __init__(self) -> None:
        models = [(model, "validation") for model in BODIES]
        models += [(model, "serialization") for model in (*ANSWERS, *events.EVENTS.values())]
        _, document = models_json_schema(models, schema_generator=UntitledJsonSchema)  # type: ignore[arg-type]
        self._schemas: dict[str, Any] = {name: document["$defs"][name] for name in sorted(document["$defs"])}

    def write(self) -> str:
        """Returns the text of the whole file."""
        parts = ["// Made by scripts/generate_types.py from the Python models; do not edit."]
        parts += [f"export type {name} = {_alternatives(values)}" for name, values in self.NAMED.items()]
        parts += [self._declaration(name, schema) for name, schema in self._schemas.items()]
        parts.append(self._union())
        parts += [f"export const {constant} = {self._list(name)} as const" for constant, name in CHOICES.items()]
        parts.append(f"export const FINAL_EVENTS: ReadonlySet<string> = new Set({_strings(sorted(events.FINAL))})")
        parts += [self._bounds(model.__name__) for model in BODIES]
        return "\n\n".join(parts) + "\n"

    def _declaration(self, name: str, schema: dict[str, Any]) -> str:
        if "properties" not in schema:
            return f"export type {name} = {self._type(schema)}"
        lines = [
            f"  {field}{'?' if self._may_be_absent(name, field) else ''}: {self._type(inner)}"
            for field, inner in schema["properties"].items()
        ]
        return "\n".join([f"export interface {name} {{", *lines, "}"])

    def _may_be_absent(self, name: str, field: str) -> bool:
        """Returns whether a field may be missing: in answers and events only the `errors` of a problem may."""
        if (name, field) == (schemas.Problem.__name__, "errors"):
            return True
        is_body = any(name == model.__name__ for model in BODIES)
        return is_body and field not in self._schemas[name].get("required", ())

    def _type(self, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return str(schema["$ref"]).rsplit("/", 1)[1]
        if "anyOf" in schema:
            return " | ".join(self._type(option) for option in schema["anyOf"])
        if "enum" in schema:
            return self._values(schema["enum"])
        if schema["type"] == "array":
            inner = self._type(schema["items"])
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        if schema["type"] == "object":
            return "Record<string, unknown>"
        return PRIMITIVES[schema["type"]]

    def _values(self, values: list[Any]) -> str:
        for name, named in self.NAMED.items():
            if values == named:
                return name
        return _alternatives(values)

    def _union(self) -> str:
        members = [f"  | {{ event: '{name}'; data: {kind.__name__} }}" for name, kind in events.EVENTS.items()]
        return "\n".join(["/** One event of a stream, by its name. */", "export type JobEvent =", *members])

    def _list(self, name: str) -> str:
        return _strings(self.NAMED.get(name) or self._schemas[name]["enum"])

    def _bounds(self, name: str) -> str:
        """Returns the limits that a form checks before it sends: the least and the greatest length, or number."""
        rows = []
        for field, schema in self._schemas[name]["properties"].items():
            options = [option for option in schema.get("anyOf", [schema]) if option.get("type") in ("string", "number")]
            if not options or "enum" in options[0]:
                continue
            least = options[0].get("minLength", options[0].get("minimum", 0))
            greatest = options[0].get("maxLength", options[0].get("maximum"))
            rows.append(f"  {field}: {{ least: {least:g}, greatest: {greatest:g} }},")
        return "\n".join([f"export const {_constant(name)}_BOUNDS = {{", *rows, "} as const"])


def _constant(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).removeprefix("_")


def _alternatives(values: list[Any]) -> str:
    return " | ".join(f"'{value}'" for value in values)


def _strings(values: list[Any]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def main() -> int:
    """Writes the file, or compares it where `--check` is given. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether the file is up to date")
    is_check = parser.parse_args().check
    text = Page().write()
    if not is_check:
        TARGET.write_text(text)
    elif not TARGET.is_file() or TARGET.read_text() != text:
        print(f"{TARGET.name} is stale: run python scripts/generate_types.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

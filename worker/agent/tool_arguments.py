"""Defines the arguments of the tools, and reads the model's calls: in any spelling of the names, and with errors that
tell the model what to change."""

import json
import re
from typing import Annotated, Any, ClassVar, Literal

from anthropic.lib.tools import ToolError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.contract.schemas import ToolName

JsonObject = dict[str, Any]

MAX_HEAD_LIMIT = 500
MAX_CONTEXT_LINES = 20
_UNSENDABLE = re.compile(r"[\0\ud800-\udfff]")
"""Matches characters that no argument of a program can contain."""
_NO_LETTER = re.compile(r"[^a-z0-9]")


def _spelling(name: str) -> str:
    return _NO_LETTER.sub("", name.lower())


def _from_text(value: object) -> object:
    """Reads a list that came as its JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class Arguments(BaseModel):
    """Holds the arguments of one tool. The model is sent the description of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    other_names: ClassVar[dict[str, str]] = {}
    """Maps the names that models give to an argument, in small letters and digits, to the argument."""

    @classmethod
    def canonical(cls, given: JsonObject) -> JsonObject:
        """Returns the same arguments under our names.

        Arguments that are null are left out; unknown ones are kept.
        """
        ours = {_spelling(name): name for name in cls.model_fields}
        named = {
            ours.get(_spelling(name)) or cls.other_names.get(_spelling(name)) or name: each
            for name, each in given.items()
        }
        return {name: each for name, each in named.items() if each is not None}

    @classmethod
    def read(cls, tool: str, given: object) -> "Arguments":
        """Returns the arguments of a call. Raises ToolError, which tells the model what to change."""
        if not isinstance(given, dict):
            raise ToolError(f"{tool}: the input must be a JSON object")
        for name, each in given.items():
            if isinstance(each, str) and _UNSENDABLE.search(each):
                raise ToolError(f"{tool}: `{name[:50]}` has NUL or half a surrogate pair in it")
        try:
            return cls.model_validate(cls.canonical(given))
        except ValidationError as error:
            problems = "; ".join(dict.fromkeys(_problem(each) for each in error.errors()[:5]))
            raise ToolError(f"{tool}: {problems}. It takes {cls.summary()}") from None

    @classmethod
    def summary(cls) -> str:
        """Returns the names of the arguments, those that are needed first."""
        needed = [f"`{name}`" for name, field in cls.model_fields.items() if field.is_required()]
        optional = [f"`{name}`" for name, field in cls.model_fields.items() if not field.is_required()]
        return ", ".join(needed) + (f", and optionally {', '.join(optional)}" if optional else "")

    @classmethod
    def schema_for_model(cls) -> JsonObject:
        """Returns the JSON schema that the model sees: short, since it is part of every request."""
        properties = {}
        for name, each in cls.model_json_schema()["properties"].items():
            kind = next((option for option in each.get("anyOf", []) if option.get("type") != "null"), each)
            properties[name] = {
                key: value
                for key, value in {**kind, "description": each.get("description")}.items()
                if key in ("type", "description", "enum", "items", "minItems", "maxItems") and value is not None
            }
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _problem(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "missing":
            return f"`{name}` is missing"
        case "extra_forbidden":
            return f"there is no argument `{name[:50]}`"
        case _:
            message = str(error["msg"])
            return f"`{name}` is wrong: {message[0].lower()}{message[1:]}"


Pattern = Annotated[str, Field(max_length=1_000)]


class ReadArguments(Arguments):
    other_names = {
        "path": "file_path",
        "file": "file_path",
        "filename": "file_path",
        "lines": "view_range",
        "range": "view_range",
        "start": "offset",
    }

    file_path: str = Field(description="Relative to the project's root.", min_length=1)
    view_range: Annotated[list[int] | None, BeforeValidator(_from_text), Field(min_length=2, max_length=2)] = Field(
        default=None, description="[first line, last line], from 1; -1 is the last line of the file."
    )
    offset: int | None = None
    limit: int | None = None

    @classmethod
    def schema_for_model(cls) -> JsonObject:
        schema = super().schema_for_model()
        # These are accepted from models that are used to them, but not offered.
        schema["properties"] = {name: schema["properties"][name] for name in ("file_path", "view_range")}
        return schema

    @property
    def first(self) -> int:
        return max(1, self.view_range[0] if self.view_range else self.offset or 1)

    @property
    def last(self) -> int | None:
        """Returns the number of the last line to read; None for the end of the file."""
        if self.view_range:
            return self.view_range[1] if self.view_range[1] >= 0 else None
        return self.first + self.limit - 1 if self.limit and self.limit > 0 else None


Mode = Literal["lines", "files", "counts"]
_MODES = {"content": "lines", "fileswithmatches": "files", "count": "counts", "line": "lines", "file": "files"}


def _mode(value: object) -> object:
    return _MODES.get(_spelling(value), value.lower()) if isinstance(value, str) else value


class GrepArguments(Arguments):
    other_names = {
        "regex": "pattern",
        "query": "pattern",
        "dir": "path",
        "directory": "path",
        "folder": "path",
        "include": "glob",
        "outputmode": "mode",
        "i": "ignore_case",
        "caseinsensitive": "ignore_case",
        "c": "context",
        "a": "context",
        "b": "context",
        "contextlines": "context",
        "limit": "head_limit",
        "maxresults": "head_limit",
        "n": "line_numbers",
    }

    pattern: Pattern = Field(description="A regular expression in ripgrep's syntax, without look-around.", min_length=1)
    path: str | None = Field(default=None, description="A folder or file to search in.")
    glob: Pattern | None = Field(default=None, description="Only files whose path matches, such as *.{ts,tsx}.")
    mode: Annotated[Mode, BeforeValidator(_mode)] = Field(
        default="lines", description="What to show: matching lines, only the files, or matching lines per file."
    )
    ignore_case: bool = Field(default=False, description="Match in any case.")
    context: Annotated[int, Field(ge=0, le=MAX_CONTEXT_LINES)] = Field(
        default=0, description="Lines to show before and after each match."
    )
    head_limit: Annotated[int, Field(ge=1)] = Field(
        default=100, description="How many lines or files to show; lines are shared out fairly over the files."
    )
    line_numbers: bool = True

    @classmethod
    def schema_for_model(cls) -> JsonObject:
        schema = super().schema_for_model()
        del schema["properties"]["line_numbers"]
        return schema


class GlobArguments(Arguments):
    other_names = {"glob": "pattern", "dir": "path", "directory": "path", "folder": "path", "limit": "head_limit"}

    pattern: Pattern = Field(
        description="Such as **/*.py; without a slash it matches names at any depth.", min_length=1
    )
    path: str | None = Field(default=None, description="The folder the pattern is relative to; the root by default.")
    head_limit: Annotated[int, Field(ge=1)] = Field(default=200)

    @classmethod
    def schema_for_model(cls) -> JsonObject:
        schema = super().schema_for_model()
        del schema["properties"]["head_limit"]
        return schema


ARGUMENTS: dict[ToolName, type[Arguments]] = {"Read": ReadArguments, "Grep": GrepArguments, "Glob": GlobArguments}
ALL_TOOLS: tuple[ToolName, ...] = tuple(ARGUMENTS)


def tool_name(name: str) -> ToolName | None:
    """Returns the tool of that name, whatever its case; None for one that is not ours."""
    return next((each for each in ALL_TOOLS if each.lower() == name.strip().lower()), None)


def as_shown(name: ToolName, given: JsonObject) -> JsonObject:
    """Returns a call's input with the arguments under our names, as viewers see it."""
    return ARGUMENTS[name].canonical(given)

"""Completes the OpenAPI document that flask-openapi3 makes of the views.

The stream is described by `itemSchema`, which came with OpenAPI 3.2. Schemas of bodies, answers and events are made
from the pydantic models that validate and send them, all in one go, so that each has one form and one name.
"""

from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.delivery.sse import MEDIA_TYPE
from api.http.documented_headers import REQUEST_PARAMETERS, RESPONSE_HEADERS, header_references
from api.resources.health import Health, Readiness
from shared.contract import json_schemas
from shared.contract.events import EVENTS
from shared.contract.examples import EXAMPLES
from shared.contract.json_schemas import UntitledJsonSchema

Json = dict[str, Any]

VERSION = "3.2.0"
ANSWERS: tuple[type[BaseModel], ...] = (*json_schemas.ANSWERS, Health, Readiness)
_PARAMETERS = {
    "createJob": ("RequestId", "IdempotencyKey"),
    "readJob": ("RequestId", "LastEventId", "LastEventIdQuery"),
}
"""The header parameters of each operation; operations that are not listed have only X-Request-Id."""
_REFERENCE = "#/components/schemas/{model}"


def completed(made: Json) -> Json:
    """Returns the whole document, made from flask-openapi3's."""
    components = {
        **made["components"],
        "schemas": component_schemas(),
        "headers": RESPONSE_HEADERS,
        "parameters": REQUEST_PARAMETERS,
    }
    paths = {path: {method: _operation(each) for method, each in item.items()} for path, item in made["paths"].items()}
    more = {"openapi": VERSION, "servers": [{"url": "/"}], "components": components, "paths": paths}
    return {**made, **more}


def component_schemas() -> Json:
    """Returns the schema of each body, answer and event, with an example where there is one."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in json_schemas.BODIES]
    models += [(model, "serialization") for model in (*ANSWERS, *EVENTS.values())]
    _, document = models_json_schema(models, schema_generator=UntitledJsonSchema, ref_template=_REFERENCE)
    made: Json = document["$defs"]
    for name, schema in made.items():
        for field in schema.get("required", ()):
            schema["properties"][field].pop("default", None)  # the field is always sent, so a default would mislead
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    named = {f"{kind.__name__}Event": _named_event(kind.event, kind.__name__) for kind in EVENTS.values()}
    return dict(sorted({**made, **named, "JobEvent": _job_event(), "StreamItem": _stream_item()}.items()))


def _named_event(event: str, model: str) -> Json:
    return {
        "type": "object",
        "description": f"The event `{event}` with its data parsed.",
        "properties": {"event": {"type": "string", "const": event}, "data": {"$ref": _REFERENCE.format(model=model)}},
        "required": ["event", "data"],
    }


def _job_event() -> Json:
    """Returns the schema of a parsed event, for code generators: few of them read `contentSchema`."""
    mapping = {name: _REFERENCE.format(model=f"{kind.__name__}Event") for name, kind in EVENTS.items()}
    return {
        "description": "One event of the stream with its data parsed, told from others by its name.",
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "event", "mapping": mapping},
    }


def _stream_item() -> Json:
    """Returns the schema of one event in the stream, where data is text."""
    choices = [
        {
            "title": name,
            "required": ["event", "data"],
            "properties": {
                "event": {"const": name},
                "data": {
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": _REFERENCE.format(model=kind.__name__)},
                },
            },
        }
        for name, kind in EVENTS.items()
    ]
    event_id = {
        "type": "string",
        "description": "`<attempt>-<sequence>`; left out where the event belongs to the connection alone.",
        "pattern": r"^(0|[1-9]\d{0,8})-[1-9]\d{0,8}$",
    }
    properties = {
        "id": event_id,
        "event": {"type": "string"},
        "data": {"type": "string"},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back, in the first lines."},
    }
    return {
        "type": "object",
        "description": "One event as it stands in the stream.",
        "properties": properties,
        "oneOf": choices,
    }


def _operation(made: Json) -> Json:
    references = _PARAMETERS.get(made["operationId"], ("RequestId",))
    parameters = [_without_title(parameter) for parameter in made.get("parameters", ())]
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in references]
    responses = {
        status: {"headers": header_references(), **response}
        for status, response in made["responses"].items()
        if not _is_invented(status, response)
    }
    if made["operationId"] == "readJob":
        responses["200"] = _with_stream(responses["200"])
    operation = {"security": [], **made, "parameters": parameters, "responses": responses}
    if "description" in made:  # flask-openapi3 joins several lines as HTML
        operation["description"] = " ".join(made["description"].replace("<br/>", " ").split())
    return operation


def _with_stream(response: Json) -> Json:
    stream = {"itemSchema": {"$ref": _REFERENCE.format(model="StreamItem")}}
    return {
        **response,
        "description": "The event stream, or the job as it stands, by what `Accept` names.",
        "headers": header_references("Cache-Control", "X-Accel-Buffering"),
        "content": {MEDIA_TYPE: stream, **response["content"]},
    }


def _without_title(parameter: Json) -> Json:
    schema = {name: value for name, value in parameter["schema"].items() if name != "title"}
    return {**parameter, "schema": schema}


def _is_invented(status: str, response: Json) -> bool:
    """Returns whether flask-openapi3 added this 422, of a shape that is not ours, to a route that declares none."""
    return status == "422" and "application/json" in cast(Json, response.get("content", {}))

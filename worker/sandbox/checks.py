"""What the real API checks in a request, as far as a client is likely to get it wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any

from worker.sandbox.wire import ApiError, JsonObject, RequestRefused

# Models from 4.7 on answer 400 to any temperature. A long second number is a date: claude-sonnet-4-20250514.
_MODEL_VERSION = re.compile(r"claude-(?:opus|sonnet|haiku)-(\d+)(?:-(\d{1,2})(?!\d))?")
_FIRST_WITHOUT_TEMPERATURE = (4, 7)


def refuse(message: str) -> RequestRefused:
    """A 400 with this message."""
    return RequestRefused(ApiError(400, "invalid_request_error", message))


def check_key(headers: dict[bytes, bytes]) -> None:
    """Any key will do, none will not."""
    if not (headers.get(b"x-api-key") or headers.get(b"authorization")):
        raise RequestRefused(ApiError(401, "authentication_error", "x-api-key header is required"))


def check_body(raw_body: bytes) -> JsonObject:
    """The request body, if the API would take it."""
    try:
        body = json.loads(raw_body)
    except ValueError as error:
        raise refuse(f"The request body is not valid JSON: {error}") from None
    check_unicode(body)
    if not isinstance(body, dict):
        raise refuse("Input should be an object")
    if not isinstance(body.get("model"), str) or not body["model"].strip():
        raise refuse("model: Field required")
    max_tokens = body.get("max_tokens")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise refuse("max_tokens: Field required, an integer of at least 1")
    _check_messages(body.get("messages"))
    _check_temperature(body["model"], body.get("temperature"))
    _check_tools(body.get("tools") or [])
    for field in ("output_config", "tool_choice"):
        if not isinstance(body.get(field) or {}, dict):
            raise refuse(f"{field}: Input should be an object")
    _check_format((body.get("output_config") or {}).get("format"))
    return body


def check_unicode(value: object) -> None:
    """JSON can spell half a surrogate pair, which no text may hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise refuse("The request body is not valid JSON: no low surrogate in string") from None


def text_of(content: object) -> str:
    """The text of a message or tool result, which may be a string or a list of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in blocks_of(content, "text"))


def blocks_of(content: object, kind: str) -> list[JsonObject]:
    """The blocks of one type in a message."""
    if not isinstance(content, list):
        return []
    return [block for block in content if isinstance(block, dict) and block.get("type") == kind]


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise refuse("messages: at least one message is required")
    called: set[str] = set()
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise refuse(f'messages.{number}.role: Input should be "user" or "assistant"')
        content = message.get("content")
        if not isinstance(content, (str, list)):
            raise refuse(f"messages.{number}.content: Input should be a string or a list of blocks")
        if message["role"] == "user" and not content:
            raise refuse(f"messages.{number}: user messages must have non-empty content")
        answered = {str(block.get("tool_use_id")) for block in blocks_of(content, "tool_result")}
        if answered != called:
            raise refuse(f"messages.{number}: `tool_use` and `tool_result` blocks do not match")
        called = {str(block.get("id")) for block in blocks_of(content, "tool_use")}
    if messages[0]["role"] != "user":
        raise refuse('messages: first message must use the "user" role')


def _check_temperature(model: str, temperature: object) -> None:
    if temperature is None:
        return
    found = _MODEL_VERSION.match(model)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    if version >= _FIRST_WITHOUT_TEMPERATURE or model.startswith(("claude-fable", "claude-mythos")):
        raise refuse("`temperature` is deprecated for this model.")
    if not isinstance(temperature, (int, float)) or not 0 <= temperature <= 1:
        raise refuse("temperature: Input should be a number between 0 and 1")


def _check_tools(tools: object) -> None:
    if not isinstance(tools, list):
        raise refuse("tools: Input should be a list")
    for number, tool in enumerate(tools):
        is_server_tool = isinstance(tool, dict) and tool.get("type") not in (None, "custom")
        if is_server_tool:
            continue
        if not isinstance(tool, dict) or not (tool.get("name") and isinstance(tool.get("input_schema"), dict)):
            raise refuse(f"tools.{number}: name and input_schema are required")


def _check_format(output_format: Any) -> None:
    if output_format is None:
        return
    if not isinstance(output_format, dict) or output_format.get("type") != "json_schema":
        raise refuse('output_config.format.type: Input should be "json_schema"')
    if not isinstance(output_format.get("schema"), dict):
        raise refuse("output_config.format.schema: Field required")
    if any(found.get("additionalProperties") is not False for found in _objects(output_format["schema"])):
        raise refuse(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )


def _objects(schema: object) -> Iterator[JsonObject]:
    if isinstance(schema, list):
        for item in schema:
            yield from _objects(item)
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for item in schema.values():
            yield from _objects(item)

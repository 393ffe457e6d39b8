"""Checks in a request what the real API checks, as far as a client is likely to get it wrong."""

import json
from collections.abc import Iterator
from typing import Any

from worker.sandbox.models import EFFORTS, Model, rules_for
from worker.sandbox.wire import ApiError, JsonObject, RequestRefused

_SAMPLING = ("temperature", "top_p", "top_k")
_FORCING = ("any", "tool")
_DISPLAYS = (None, "summarized", "omitted", "updates")
_NOT_WITHOUT_THINKING = ("xhigh", "max")


def refuse(message: str) -> RequestRefused:
    """Returns the refusal of a request: a 400 with this message."""
    return RequestRefused(ApiError(400, "invalid_request_error", message))


def check_key(headers: dict[bytes, bytes]) -> None:
    """Checks that there is a key; any will do."""
    if not (headers.get(b"x-api-key") or headers.get(b"authorization")):
        raise RequestRefused(ApiError(401, "authentication_error", "x-api-key header is required"))


def check_body(raw_body: bytes) -> JsonObject:
    """Returns the parsed request body. Raises RequestRefused where the API would not accept it."""
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
    _check_tools(body.get("tools") or [])
    for field in ("output_config", "tool_choice", "thinking"):
        if not isinstance(body.get(field) or {}, dict):
            raise refuse(f"{field}: Input should be an object")
    _check_model_rules(body, rules_for(body["model"]))
    _check_format((body.get("output_config") or {}).get("format"))
    return body


def check_unicode(value: object) -> None:
    """Refuses unpaired surrogates, which JSON can express but no valid text contains."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise refuse("The request body is not valid JSON: no low surrogate in string") from None


def text_of(content: object) -> str:
    """Returns the text of a message or tool result, which may be a string or a list of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in blocks_of(content, "text"))


def blocks_of(content: object, kind: str) -> list[JsonObject]:
    """Returns the blocks of one type in a message."""
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


def _check_model_rules(body: JsonObject, rules: Model) -> None:
    """Refuses parameters that this model does not accept, although others may."""
    if rules.lifecycle == "retired":
        raise RequestRefused(ApiError(404, "not_found_error", f"model: {body['model']}"))
    if body["max_tokens"] > rules.max_tokens:
        raise refuse(f"max_tokens: {body['max_tokens']} > {rules.max_tokens}, the maximum for this model")
    for name in _SAMPLING:
        if body.get(name) is not None and not rules.takes_sampling:
            raise refuse(f"`{name}` is deprecated for this model.")
    temperature = body.get("temperature")
    if temperature is not None and not (isinstance(temperature, (int, float)) and 0 <= temperature <= 1):
        raise refuse("temperature: Input should be a number between 0 and 1")
    if rules.is_current and (body.get("tool_choice") or {}).get("type") in _FORCING:
        raise refuse("tool_choice: forced tool use is not supported for this model; use `auto` or `none`")
    if rules.is_current and body["messages"][-1]["role"] == "assistant":
        raise refuse("This model does not support assistant message prefill. End with a user message.")
    _check_thinking_config(body.get("thinking") or {}, (body.get("output_config") or {}).get("effort"), rules)


def _check_thinking_config(thinking: JsonObject, effort: object, rules: Model) -> None:
    if effort is not None and effort not in EFFORTS:
        raise refuse(f"output_config.effort: Input should be one of {', '.join(EFFORTS)}")
    if effort is not None and effort not in rules.efforts:
        raise refuse(f"output_config.effort: this model does not support the effort level {effort}")
    if not thinking:
        return
    kind = thinking.get("type")
    if kind not in rules.thinking:
        raise refuse(f"thinking.type: `{kind}` is not supported for this model")
    if thinking.get("display") not in _DISPLAYS:
        raise refuse("thinking.display: Input should be `summarized`, `omitted` or `updates`")
    if kind == "between_tools" and (thinking.get("display") or effort in _NOT_WITHOUT_THINKING):
        raise refuse("thinking: `between_tools` takes no display, and no effort of `xhigh` or `max`")


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

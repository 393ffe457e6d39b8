"""Runs a sandbox for the tests, and sends requests to it through the real SDK."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool
from anthropic.lib.tools import agent_toolset

from tests.forks import FORKS

JsonObject = dict[str, Any]


class Sandbox:
    """Represents a running sandbox and the requests that it has recorded."""

    def __init__(self, *options: str) -> None:
        self.process = FORKS.start("worker.sandbox", "--port", "0", *options, env=os.environ)
        line = self.process.stdout.readline()
        assert line.startswith("sandbox: listening on http://127.0.0.1:"), line
        self.url = line.removeprefix("sandbox: listening on ").strip()

    def requests(self, page: str) -> list[JsonObject]:
        """Returns the recorded requests about this page."""
        noted = cast(list[JsonObject], httpx.get(f"{self.url}/sandbox/requests").json())
        return [request for request in noted if request["page"] == page]

    def wait_for(self, page: str, is_so: Callable[[JsonObject], bool]) -> JsonObject:
        """Returns the last request about this page, as soon as `is_so` accepts it. Raises AssertionError after 5 s."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            noted = self.requests(page)
            if noted and is_so(noted[-1]):
                return noted[-1]
        raise AssertionError(f"not within 5 s: {self.requests(page)}")

    def stop(self) -> int:
        """Stops the sandbox by SIGTERM, as an operator would, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            self.process.stdout.close()


@contextmanager
def running_sandbox(*, chars: int) -> Iterator[Sandbox]:
    """Runs a sandbox that writes `chars` characters every millisecond. Fails unless the exit code is 0."""
    running = Sandbox("--chars", str(chars), "--interval-ms", "1")
    yield running
    assert running.stop() == 0


def client_of(sandbox: Sandbox) -> Anthropic:
    """Returns an SDK client for the sandbox."""
    return Anthropic(api_key="any", base_url=sandbox.url, max_retries=0, timeout=5)


def ask(page: str, feature_type: str = "enhancement", context: str | None = None, **more: Any) -> JsonObject:
    """Returns the parameters of a request as the planner sends it."""
    asked = {
        "pageOrComponent": page,
        "featureType": feature_type,
        "priorityLevel": "high",
        "additionalContext": context,
    }
    block = json.dumps(asked).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    message = {"role": "user", "content": [{"type": "text", "text": f"<request>\n{block}\n</request>"}]}
    return {"model": "sandbox", "max_tokens": 16384, "system": "Plan.", "messages": [message], **more}


def text_of(message: Any) -> str:
    """Returns the text of a message's last block."""
    return cast(str, message.content[-1].text)


def streamed(client: Anthropic, params: JsonObject) -> Any:
    """Reads a stream to its end and returns the final message."""
    with client.beta.messages.stream(**params) as stream:
        return stream.get_final_message()


def file_tools(project: Path, *names: str) -> list[Any]:
    """Returns the SDK's own file tools under the names of the planner's tools."""
    context = agent_toolset.AgentToolContext(workdir=project)
    tools = {
        "Read": agent_toolset.beta_read_tool(context),
        "Grep": agent_toolset.beta_grep_tool(context),
        "Glob": agent_toolset.beta_glob_tool(context),
    }
    return [
        beta_async_tool(tools[name].func, name=name, description=name, input_schema=tools[name].input_schema)
        for name in names
    ]


async def _turns(sandbox: Sandbox, tools: list[Any], params: JsonObject) -> AsyncIterator[Any]:
    async with AsyncAnthropic(api_key="any", base_url=sandbox.url, max_retries=0, timeout=5) as pointed:
        runner = pointed.beta.messages.tool_runner(stream=True, thread=False, tools=tools, **params)
        try:
            async for stream in runner:
                yield await stream.get_final_message()
        finally:
            await runner.close()


def run_tools(sandbox: Sandbox, tools: list[Any], params: JsonObject) -> list[Any]:
    """Returns all messages of a run with tools."""

    async def collected() -> list[Any]:
        return [message async for message in _turns(sandbox, tools, params)]

    return asyncio.run(collected())


def calls_of(messages: list[Any]) -> list[list[tuple[str, JsonObject]]]:
    """Returns the tool calls of each message."""
    return [
        [(block.name, block.input) for block in message.content if block.type == "tool_use"] for message in messages
    ]

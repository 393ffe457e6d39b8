"""Runs one job with the agent of the first version, as a script within that version's tree, and prints JSON.

`python agent_before.py URL PROJECT MODEL PAGE`, with the root of the first version as the working directory.
"""

import asyncio
import json
import sys
import time
from typing import Any

sys.path.insert(0, ".")


async def run(url: str, project: str, model: str, page: str) -> dict[str, Any]:
    # These modules are in the other tree, where this tree's type checker cannot find them.
    from importlib import import_module

    schemas, agent = import_module("shared.schemas"), import_module("worker.agent")
    job = schemas.JobInput(pageOrComponent=page, featureType="enhancement", priorityLevel="high")
    client = import_module("worker.model_client").model_client("none", url)
    tools = import_module("worker.tools")
    told: dict[str, Any] = {"tools": [], "first_sign": None, "first_suggestion": None, "end": None}
    written, began = "", time.monotonic()
    async for event in agent.FeatureAgent(client, tools.Project(project)).suggest(job, model, None):
        now = time.monotonic() - began
        match type(event).__name__:
            case "UsedTool":
                told["tools"].append(event.name)
                told["first_sign"] = told["first_sign"] or now
            case "Wrote":
                written += event.piece
                told["first_sign"] = told["first_sign"] or now
                # When the second title begins, the first suggestion is complete.
                if written.count('"title"') > 1:
                    told["first_suggestion"] = told["first_suggestion"] or now
            case "Spent":
                told["usage"] = event.usage.model_dump(by_alias=True)
            case "Answered":
                told["end"] = now
    await client.close()
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(*sys.argv[1:]))))

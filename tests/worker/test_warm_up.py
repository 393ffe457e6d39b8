"""Tests that a worker that says it is ready has loaded what its first job needs, without calling the model."""

import select
import socket
import subprocess
import sys
from pathlib import Path

from shared.state.scripts import script
from tests.conftest import clean_environment
from tests.stack import ROOT, Stack, stack
from worker.warm_up import SCRIPTS

FIRST_JOB = """
import asyncio, sys
import worker.parts as main
from shared.contract.schemas import JobInput
from shared.contract.values import FeatureType, PriorityLevel
from worker.agent.conversation import Conversation

job = JobInput(page_or_component="fast", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW)

async def work():
    async with main.model_client("none", sys.argv[1]) as client:
        agent = main.FeatureAgent(client, None)
        await agent.prepare(("sandbox",))
        main.warm_up()
        await agent._catalogue.capabilities("sandbox")
        loaded = set(sys.modules)
        *_, last = [event async for event in agent.suggest(job, "sandbox", None, Conversation())]
        assert last.answer.suggestions
        print(*sorted(set(sys.modules) - loaded))

asyncio.run(work())
"""


def connections(system: Stack) -> int:
    return len(system.redis.client_list())


def test_a_worker_that_starts_requests_the_models_capabilities_and_opens_its_redis_connections(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as model, stack(tmp_path) as system:
        before = connections(system)
        worker = system.start_worker(ANTHROPIC_BASE_URL=f"http://127.0.0.1:{model.getsockname()[1]}")
        assert not any(worker.has_said(text) for text in ("warning", "attempt"))
        assert connections(system) - before == 9
        assert all(system.redis.script_exists(*(script(name).sha for name in SCRIPTS)))
        assert worker.stop() == 0
        asked = []
        while select.select([model], [], [], 0)[0]:
            connection, _ = model.accept()
            with connection:
                asked.append(connection.recv(4096).split(b" HTTP")[0])
        # The HTTP client may have opened another connection when the stop closed the first one.
        assert set(asked) - {b""} == {b"GET /v1/models/sandbox"}


def test_after_the_warm_up_a_job_imports_no_more_modules(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        system.start_sandbox()
        command = [sys.executable, "-c", FIRST_JOB, system.sandbox_url]
        done = subprocess.run(
            command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == []

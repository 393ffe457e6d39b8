"""A job that nobody sees, before the first real one, which finds loaded, made and connected what it needs.

The model's part is played here and the log is nowhere: a worker that starts costs no tokens and needs no network but
Redis's.
"""

import asyncio
import json
from contextlib import aclosing
from datetime import datetime

import httpx2
from anthropic import AsyncAnthropic
from redis import Redis
from redis.connection import Connection

from shared.contract.schemas import FeatureType, JobInput, JobStatus, PriorityLevel
from shared.state.outcomes import AttemptStatus
from shared.state.scripts import script
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import FeatureAgent
from worker.agent.project import Project
from worker.agent.turn import Wrote
from worker.publishing.log_writer import Append, LogWriter
from worker.publishing.publisher import Lifetimes, Publisher

SCRIPTS = ("start", "append", "renew", "again", "release", "suspects", "requeue")
"""Those a worker calls."""

_JOB = JobInput(page_or_component="Stage", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW)
_SUGGESTION = {"title": "A", "rationale": "B", "description": "C", "implementationConsiderations": ["D"]}
_ANSWER = json.dumps({"context": "A stage.", "suggestions": [_SUGGESTION] * 3})
_USAGE = {"input_tokens": 1, "output_tokens": 1}
_EVENTS: tuple[dict[str, object], ...] = (
    {"type": "message_start", "message": {"usage": _USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": _ANSWER}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
    {"type": "message_stop"},
)


def connect_all(*clients: Redis) -> None:
    """Makes all connections of these clients, and has Redis know our scripts. Raises redis.RedisError."""
    for client in clients:
        pool, made = client.connection_pool, list[Connection]()
        try:
            while len(made) < pool.max_connections:
                made.append(pool.get_connection())
        finally:
            for connection in made:
                pool.release(connection)
    for name in SCRIPTS:
        clients[0].script_load(script(name).text)


async def rehearse(project: Project | None) -> None:
    """From the request, through the SDK and its stream, to the events of the log."""
    datetime.strptime("2026", "%Y")  # RQ reads dates so; the first call imports what it does that with
    publisher = Publisher(
        _Nowhere(), "", 1, lifetimes=Lifetimes(0, _no_time), interval_seconds=0, on_answer=lambda answer: None
    )
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(_play_the_model))
    async with AsyncAnthropic(api_key="none", base_url="http://stage", http_client=http_client) as client:
        agent = FeatureAgent(client, project)
        async with aclosing(agent.suggest(_JOB, "stage", None, Conversation())) as events:
            async for event in events:
                if isinstance(event, Wrote):
                    publisher.write(event.piece)
                    await asyncio.sleep(0)
        await publisher.stop()


def _play_the_model(request: httpx2.Request) -> httpx2.Response:
    if request.method == "GET":
        return httpx2.Response(200, json={"id": "stage", "capabilities": None})
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _EVENTS)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=body)


def _no_time(status: JobStatus) -> int:
    return 0


class _Nowhere(LogWriter):
    """Takes events to no log."""

    def __init__(self) -> None:
        """Needs no Redis."""

    def append(self, event: Append) -> asyncio.Future[AttemptStatus]:
        answer: asyncio.Future[AttemptStatus] = asyncio.get_running_loop().create_future()
        answer.set_result(AttemptStatus.CURRENT)
        return answer

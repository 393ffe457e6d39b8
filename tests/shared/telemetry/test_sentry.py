"""Tests what is sent to Sentry: one trace through the whole system, errors with context, and no text of users."""

import gzip
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sentry_sdk
from pydantic import ValidationError
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.contract.schemas import JobInput
from shared.contract.values import FeatureType, PriorityLevel
from shared.state.agent_store import AgentStore
from shared.state.gate_store import GateStore
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Created
from shared.telemetry import breadcrumbs
from shared.telemetry.breadcrumbs import Crumb
from shared.telemetry.scrubbing import FILTERED, scrub_breadcrumb, scrub_event
from shared.telemetry.sentry import options
from tests.conftest import ApiSettingsFactory, RedisServer, wait_until
from tests.stack import JOBS, Person, Stack, stack
from worker.agent.feature_agent import AgentEvent
from worker.agent.turn import UsedTool
from worker.jobs.job_runner import JobRunner
from worker.jobs.loop_thread import LoopThread
from worker.jobs.slot import Slot
from worker.publishing.log_writer import LogWriter

SECRET_WORDS = "the bishop's unannounced merger"
API_KEY = "sk-ant-api03-not-a-real-key"

Item = dict[str, Any]


class StandIn:
    """Stands in for Sentry: accepts envelopes and keeps their items."""

    def __init__(self) -> None:
        self.raw: list[str] = []
        self.items: list[Item] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                stand_in.take(body.decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.dsn = f"http://public@127.0.0.1:{self._server.server_port}/1"

    def take(self, envelope: str) -> None:
        self.raw.append(envelope)
        _, *lines = [line for line in envelope.splitlines() if line]
        for head, body in zip(lines[::2], lines[1::2], strict=False):
            self.items.append({"kind": json.loads(head)["type"], **json.loads(body)})

    def of(self, kind: str, **fields: Any) -> list[Item]:
        return [item for item in list(self.items) if item["kind"] == kind and fields.items() <= item.items()]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def sentry() -> Iterator[StandIn]:
    it = StandIn()
    yield it
    it.close()


@pytest.fixture(scope="module")
def reported(sentry: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(
        tmp_path_factory.mktemp("stack"),
        ANTHROPIC_API_KEY=API_KEY,
        SENTRY_DSN=sentry.dsn,
        SENTRY_TRACES_SAMPLE_RATE="1",
        SENTRY_ENVIRONMENT="tests",
    ) as it:
        it.start_sandbox(chars=200)
        it.start_web()
        it.start_worker()
        yield it


@pytest.fixture(scope="module")
def answered(reported: Stack, sentry: StandIn) -> str:
    """Provides the id of a completed job whose whole trace has arrived."""
    person = Person(reported)
    job_id = person.ask("Checkout page, fast", additionalContext=SECRET_WORDS)
    assert person.watch(job_id)[-1].name == "complete"
    person.close()
    wait_until(lambda: bool(sentry.of("transaction", transaction="worker.jobs.suggest_features")))
    return job_id


def transaction(sentry: StandIn, part: str) -> Item:
    """Returns the first transaction whose name contains `part`."""
    wait_until(lambda: any(part in item["transaction"] for item in sentry.of("transaction")))
    return next(item for item in sentry.of("transaction") if part in item["transaction"])


def test_one_trace_leads_from_the_request_through_the_queue_to_the_model(answered: str, sentry: StandIn) -> None:
    created = transaction(sentry, "create_job")
    ran = transaction(sentry, "suggest_features")
    assert ran["contexts"]["trace"]["trace_id"] == created["contexts"]["trace"]["trace_id"]
    (call, *_) = [span for span in ran["spans"] if span["op"] == "gen_ai.chat"]
    assert call["trace_id"] == created["contexts"]["trace"]["trace_id"]
    assert call["data"]["gen_ai.request.model"] == "sandbox"
    assert call["data"]["gen_ai.usage.input_tokens"] > 0 and call["data"]["gen_ai.usage.output_tokens"] > 0
    assert all(span["timestamp"] for span in ran["spans"])


def test_a_transaction_names_its_job_and_the_user(answered: str, sentry: StandIn) -> None:
    for part in ("create_job", "suggest_features"):
        item = transaction(sentry, part)
        assert item["tags"]["job"] == answered and item["user"] == {"id": "alice"}
        assert item["release"] and item["environment"] == "tests"
    assert transaction(sentry, "suggest_features")["tags"]["attempt"] == "1"


class FailingAgent:
    """Uses a tool, then raises an unexpected error whose message contains an API key."""

    def turns_kept(self, model: str, agent: object, conversation: object) -> int:
        return 0

    async def suggest(
        self, job: JobInput, model: str, agent: object, conversation: object, gate: object = None
    ) -> AsyncGenerator[AgentEvent, None]:
        yield UsedTool("Read", {"file_path": "a.py"})
        raise LookupError(f"no idea what to do with {API_KEY}")


async def redis_writer(url: str) -> LogWriter:
    writer = LogWriter(AsyncRedis.from_url(url))
    writer.start()
    return writer


@pytest.fixture
def runner(redis: Redis, redis_server: RedisServer, api_settings: ApiSettingsFactory) -> Iterator[JobRunner]:
    """Provides a job runner in this process, as a worker has it, with an agent that fails."""
    loop = LoopThread()
    loop.start()
    writer, gates = loop.run(redis_writer(redis_server.url)), GateStore(AsyncRedis.from_url(redis_server.url))
    yield JobRunner(
        name="here",
        store=JobStore(redis, api_settings()),
        agents=AgentStore(redis),
        agent=FailingAgent(),
        gates=gates,
        writer=writer,
        loop=loop,
        models=("sandbox",),
        timeout_seconds=5,
        interval_seconds=0.1,
    )
    loop.run(writer.stop())
    loop.run(gates.close())
    loop.stop()


def test_an_error_of_an_attempt_names_the_attempt_and_what_led_to_it(
    runner: JobRunner, redis: Redis, api_settings: ApiSettingsFactory, sentry: StandIn
) -> None:
    settings = api_settings(sentry_dsn=sentry.dsn)
    job = JobInput(
        page_or_component=SECRET_WORDS, feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW
    )
    created = JobStore(redis, settings).create("bob", job, None, CreateLimits(10, 10))
    assert isinstance(created, Created)
    client = sentry_sdk.Client(**options(settings, [], trusts_parent_sampling=True))
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        breadcrumbs.tag(job=created.job_id)
        runner.run(created.job_id, Slot(runner, "execution"))
    client.close()
    (error,) = sentry.of("event")
    assert error["tags"] == {"job": created.job_id, "attempt": "1"} and error["user"] == {"id": "bob"}
    assert error["exception"]["values"][0]["value"] == f"no idea what to do with {FILTERED}"
    frames = error["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "suggest" and not any("vars" in frame for frame in frames)
    points = [crumb for crumb in error["breadcrumbs"]["values"] if crumb["type"] == "default"]
    assert [crumb["message"] for crumb in points] == ["attempt started", "tool used"]
    known = {crumb.value for crumb in Crumb}
    assert all((crumb["category"], crumb["level"], crumb["message"]) in known for crumb in points)


def test_nothing_that_is_sent_contains_text_of_users_tokens_or_keys(answered: str, sentry: StandIn) -> None:
    for envelope in sentry.raw:
        for secret in (SECRET_WORDS, "merger", "eyJ", API_KEY, "Bearer"):
            assert secret not in envelope


def event(**fields: Any) -> Any:
    return scrub_event(fields, {})


def test_a_request_keeps_its_method_and_path_and_loses_what_identifies_the_user(sentry: StandIn) -> None:
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "User-Agent": "curl", "X-Forwarded-For": "1.2.3.4"}
    request = {
        "method": "POST",
        "url": f"http://h{JOBS}?lastEventId=1-2",
        "headers": headers,
        "data": {"pageOrComponent": SECRET_WORDS},
        "cookies": {"a": "b"},
        "env": {"REMOTE_ADDR": "1.2.3.4"},
        "query_string": "lastEventId=1-2",
    }
    assert event(request=request) == {
        "request": {"method": "POST", "url": f"http://h{JOBS}", "headers": {"User-Agent": "curl"}}
    }


def test_the_message_of_an_exception_that_quotes_its_input_is_removed() -> None:
    with pytest.raises(ValidationError) as raised:
        JobInput.model_validate({"page_or_component": {"a": SECRET_WORDS}})
    values = [{"type": "ValidationError", "module": "pydantic_core._pydantic_core", "value": str(raised.value)}]
    assert SECRET_WORDS in values[0]["value"]
    assert event(exception={"values": values})["exception"]["values"][0]["value"] == FILTERED


@pytest.mark.parametrize(
    "text",
    [
        f"the key {API_KEY} is wrong",
        "Authorization: Bearer abc.def",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
        "redis://user:hunter2@redis:6379/0 is away",
    ],
)
def test_secrets_are_removed_from_any_text(text: str) -> None:
    scrubbed = event(logentry={"message": text, "params": [text]}, extra={"note": {"deep": [text]}}, message=text)
    assert FILTERED in str(scrubbed)
    for secret in (API_KEY, "abc.def", "eyJ", "hunter2"):
        assert secret not in str(scrubbed)


def test_values_with_private_names_are_removed_at_any_depth() -> None:
    private = {"systemPrompt": "x", "additional_context": "x", "api_key": "x", "Set-Cookie": "x", "session_token": "x"}
    scrubbed = event(extra={"a": [{"b": private}]}, contexts={"c": private})
    assert {*scrubbed["extra"]["a"][0]["b"].values(), *scrubbed["contexts"]["c"].values()} == {FILTERED}
    kept = {"gen_ai.usage.input_tokens": 3, "job": "j", "attempt": 1}
    assert event(extra=kept)["extra"] == kept


def test_a_librarys_breadcrumb_is_dropped_and_ours_is_kept() -> None:
    ours = {"category": "job", "level": "info", "message": "job created", "data": {"job_id": "j"}}
    assert scrub_breadcrumb(ours, {}) == ours
    assert scrub_breadcrumb({"category": "httplib", "type": "http", "data": {"url": "http://x?q=y"}}, {}) is None

"""Tests the OpenTelemetry trace from the POST to the model's call as a collector receives it, and without one."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import clean_environment, free_port
from tests.stack import ROOT, Person, Watcher, stack

PAGE = "a page that no span may name"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, Span]], list[bytes]]]:
    """Provides an OTLP receiver over HTTP: its URL, the spans with their service's name, and the raw bodies."""
    spans: list[tuple[str, Span]] = []
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            bodies.append(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
                spans.extend((service, span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans, bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_trace_leads_from_the_request_to_the_calls_of_the_model(tmp_path: Path) -> None:
    with collector() as (url, spans, bodies), stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url) as system:
        system.start_sandbox(interval_ms=1)
        processes = [system.start_web(), system.start_worker()]
        person = Person(system)
        job_id = person.ask(PAGE)
        assert Watcher(system, job_id).join().status == "completed"
        person.close()
        # A process sends its remaining spans when it stops.
        assert [process.stop() for process in processes] == [0, 0]
        by_name = {span.name.split()[0]: (service, span) for service, span in spans}
        (web, post), (worker, job), (_, chat) = by_name["POST"], by_name["job"], by_name["chat"]
        assert (web, worker) == ("feature-planner-web", "feature-planner-worker")
        assert post.trace_id == job.trace_id == chat.trace_id
        assert (post.parent_span_id, job.parent_span_id, chat.parent_span_id) == (b"", post.span_id, job.span_id)
        tokens = {each.key: each.value.int_value for each in chat.attributes}
        assert tokens["gen_ai.usage.output_tokens"] > 0
        assert not any(PAGE.encode() in body for body in bodies)


def test_a_collector_that_is_away_fails_no_job_and_fills_no_log(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="50") as system:
        system.start_sandbox(interval_ms=1)
        processes = [system.start_web(), system.start_worker()]
        person = Person(system)
        jobs = [person.ask(f"{PAGE} {number}") for number in range(3)]
        assert [Watcher(system, job_id).join().status for job_id in jobs] == ["completed"] * 3
        person.close()
        for process in processes:
            assert process.stop() == 0
            assert not any(text in line for line in process.lines for text in ("Traceback", "warning", "error "))


def test_without_an_endpoint_no_tracing_package_is_imported() -> None:
    """Looks for the SDK and the exporters only, since redis-py imports the API of OpenTelemetry if it is installed."""
    code = """
import sys
import worker.process, worker.agent.model_call, shared.state.job_queue
from shared.telemetry import tracing
from shared.settings import WorkerSettings, load
tracing.start(load(WorkerSettings), "worker")
with tracing.Span("job", "CONSUMER", "00-1-1-01").current():
    assert tracing.carrier() == {}
print([name for name in sys.modules if name.startswith("opentelemetry.sdk.trace") or "otlp" in name])
"""
    environment = clean_environment(REDIS_URL="redis://127.0.0.1:1", ANTHROPIC_API_KEY="none")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("half", ["api", "worker"])
def test_an_endpoint_without_the_packages_is_refused_by_name(half: str) -> None:
    code = f"""
import sys
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed
from shared.settings import ApiSettings, WorkerSettings, load
from shared.errors import SettingsError
try:
    load({"ApiSettings" if half == "api" else "WorkerSettings"})
except SettingsError as error:
    print(error)
"""
    needed = {"REDIS_URL": "redis://127.0.0.1:1", "ANTHROPIC_API_KEY": "none", "AUTH_MODE": "demo"}
    environment = clean_environment(**needed, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "OTEL_EXPORTER_OTLP_ENDPOINT needs pip install 'feature-planner[otel]'", done.stderr

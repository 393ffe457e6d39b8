"""Tests the metrics that the processes serve as Prometheus text, and the lines that they log."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared import __version__
from tests.conftest import free_port, wait_until
from tests.stack import JOBS, Person, Process, Stack, children, stack

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Provides two web processes behind one port, a worker and the sandbox."""
    metrics_port = free_port()
    with stack(tmp_path_factory.mktemp("stack"), LOG_FORMAT="json", METRICS_PORT=str(metrics_port)) as it:
        it.start_sandbox(chars=60)
        it.start_web(GUNICORN_CMD_ARGS="--workers 2")
        it.start_worker()
        yield it


def process(stack: Stack, name: str) -> Process:
    return next(process for process in stack.processes if process.name == name)


def scraped(port: int) -> Samples:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    """Returns the value of a metric. One without labels must exist; one with labels is 0 until it counts something."""
    return samples.get((name, frozenset(labels.items())), 0.0) if labels else samples[(name, frozenset())]


def of_web(stack: Stack, name: str, **labels: str) -> float:
    return value(scraped(stack.web_port), name, **labels)


def of_worker(stack: Stack, name: str, **labels: str) -> float:
    return value(scraped(int(stack.settings["METRICS_PORT"])), name, **labels)


def lines(process: Process, **fields: Any) -> list[dict[str, Any]]:
    """Returns the log lines that have these fields."""
    parsed = [json.loads(line) for line in list(process.lines) if line.startswith("{")]
    return [line for line in parsed if fields.items() <= line.items()]


@pytest.fixture(scope="module")
def job_id(busy: Stack) -> str:
    """Provides a job that was created with a request id and was watched to its end."""
    person = Person(busy)
    job_id = person.ask(headers={"X-Request-ID": "asked-once"})
    seen = person.watch(job_id)
    assert seen[-1].name == "complete"
    middle = next(event for event in seen if event.name == "delta")
    assert person.watch(job_id, middle.id)[-1].name == "complete"
    person.close()
    wait_until(lambda: of_web(busy, "planner_open_streams") == 0)
    return job_id


def test_the_web_processes_have_metrics_of_jobs_and_streams(busy: Stack, job_id: str) -> None:
    samples = scraped(busy.web_port)
    assert value(samples, "planner_job_creation_seconds_count", outcome="created") == 1
    assert value(samples, "planner_stream_resumes_total") == 1
    assert value(samples, "planner_publish_seconds_count") > 1
    assert 0 < value(samples, "planner_publish_seconds_sum") / value(samples, "planner_publish_seconds_count") < 0.5
    assert value(samples, "planner_viewers_cut_off_total") == 0 == value(samples, "planner_holes_filled_total")
    assert value(samples, "planner_redis_up") == 1 == value(samples, "planner_workers")
    assert value(samples, "planner_redis_connections") > 2
    jobs = "/api/feature-planner/suggest-feature"
    assert value(samples, "planner_requests_total", route=jobs, status="202") == 1
    assert value(samples, "planner_requests_total", route=f"{jobs}/<jobId>", status="200") == 2
    assert value(samples, "planner_build_info", version=__version__) == 1
    assert abs(value(samples, "planner_clock_ahead_seconds")) < 5
    assert ("planner_queue_jobs", frozenset()) in samples and ("planner_queue_oldest_seconds", frozenset()) in samples


def test_the_worker_has_metrics_of_attempts_tokens_and_outcomes(busy: Stack, job_id: str) -> None:
    wait_until(lambda: of_worker(busy, "planner_tokens_total", kind="output", model="sandbox") > 0)
    samples = scraped(int(busy.settings["METRICS_PORT"]))
    assert value(samples, "planner_jobs_ended_total", status="completed", code="") == 1
    assert value(samples, "planner_attempts_total", cause="first") == 1
    for name in ("queue_wait", "first_delta", "streaming"):
        assert value(samples, f"planner_{name}_seconds_count") == 1
        assert 0 <= value(samples, f"planner_{name}_seconds_sum") < 10
    assert value(samples, "planner_slots_used") == 0
    assert value(samples, "planner_slots_free") == 100


def test_a_failed_job_is_counted_by_its_code(busy: Stack, job_id: str) -> None:
    person = Person(busy)
    code = person.watch(person.ask("Context window, fast"))[-1].data["code"]
    person.close()
    wait_until(lambda: of_worker(busy, "planner_jobs_ended_total", status="failed", code=code) == 1)


def test_no_label_has_an_unbounded_number_of_values(busy: Stack, job_id: str) -> None:
    for port in (busy.web_port, int(busy.settings["METRICS_PORT"])):
        ours = [labels for name, labels in scraped(port) if name.startswith("planner_")]
        assert {name for labels in ours for name, _ in labels} <= {
            *("cause", "code", "kind", "le", "model", "outcome", "route", "status", "version")
        }
        assert job_id not in str(ours) and "alice" not in str(ours)


def test_any_web_process_reports_for_all_and_without_the_gauges_of_killed_ones(busy: Stack, job_id: str) -> None:
    created = of_web(busy, "planner_job_creation_seconds_count", outcome="created")
    web = process(busy, "web")
    before = set(children(web.pid))
    with ExitStack() as opened:
        people = [Person(busy) for _ in range(6)]
        for person in people:
            opened.callback(person.close)
            next(opened.enter_context(person.stream(person.ask("Slow page"))))
        # Each process publishes its values once a second.
        wait_until(lambda: of_web(busy, "planner_open_streams") == 6)
        # Either process may answer a scrape.
        assert {of_web(busy, "planner_open_streams") for _ in range(6)} == {6}
        assert of_web(busy, "planner_job_creation_seconds_count", outcome="created") == created + 6
        for pid in before:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(children(web.pid)) - before) == 2)
    wait_until(lambda: is_zero_streams(busy))
    assert of_web(busy, "planner_job_creation_seconds_count", outcome="created") == created + 6


def is_zero_streams(stack: Stack) -> bool:
    try:
        return of_web(stack, "planner_open_streams") == 0
    except httpx.TransportError:
        return False


def test_a_request_has_one_log_line_with_its_id_and_without_its_user(busy: Stack, job_id: str) -> None:
    web = process(busy, "web")
    (line,) = lines(web, message="request", request_id="asked-once")
    assert line | {"method": "POST", "route": JOBS, "status": 202, "job_id": job_id} == line
    assert line["duration_ms"] > 0 and "alice" not in json.dumps(line)


def test_a_stream_has_one_log_line_when_it_ends_and_probes_have_none(busy: Stack, job_id: str) -> None:
    web = process(busy, "web")
    streams = lines(web, message="request", method="GET", job_id=job_id)
    assert len(streams) == 2 and max(line["duration_ms"] for line in streams) > 20
    assert {line["route"] for line in streams} == {f"{JOBS}/<jobId>"}
    assert not lines(web, route="/metrics") and not lines(web, route="/healthz")


def test_an_attempt_has_a_log_line_at_its_start_and_one_at_its_end(busy: Stack, job_id: str) -> None:
    logged = lines(process(busy, "worker"), job_id=job_id)
    assert [line["message"] for line in logged] == ["attempt started", "attempt ended"]
    assert all(line["attempt"] == 1 and line["request_id"] == "asked-once" for line in logged)
    assert logged[1]["outcome"] == "completed" and logged[1]["tokens"] > 0


def test_without_redis_the_other_metrics_are_still_served(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_web()
        it.redis_server.process.kill()
        it.redis_server.process.wait()
        samples = scraped(it.web_port)
        assert value(samples, "planner_redis_up") == 0
        assert ("planner_open_streams", frozenset()) in samples
        assert ("planner_queue_jobs", frozenset()) not in samples


def test_the_folder_of_the_metrics_is_deleted_with_the_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tmp")
    with stack(tmp_path_factory.mktemp("stack"), TMPDIR=str(folder)) as it:
        web = it.start_web()
        assert len(list(folder.glob("planner-metrics-*"))) == 1
        assert web.stop() == 0
        assert list(folder.glob("planner-metrics-*")) == []


def test_a_metrics_port_that_is_taken_stops_the_worker_with_one_line(busy: Stack) -> None:
    second = busy.fork("second", "worker")
    assert second.wait() == 1
    assert second.has_said(f"worker: METRICS_PORT {busy.settings['METRICS_PORT']} cannot be used")


def test_a_worker_serves_its_metrics_on_loopback_unless_a_host_is_set(busy: Stack) -> None:
    # On Linux all of 127.0.0.0/8 is loopback: a server on all addresses would accept connections to this one too.
    elsewhere = "127.0.0.2"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{elsewhere}:{busy.settings['METRICS_PORT']}/metrics")
    port = free_port()
    busy.start_worker(METRICS_PORT=str(port), METRICS_HOST=elsewhere)
    assert httpx.get(f"http://{elsewhere}:{port}/metrics").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")

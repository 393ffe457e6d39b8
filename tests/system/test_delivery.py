"""Tests the way of a job from the POST to a finished stream, through real HTTP, Redis, RQ and the SDK."""

import json
import re
import socket
import threading
from itertools import pairwise

import httpx
import pytest

from tests.conftest import wait_until
from tests.stack import BODY, JOBS, Person, Stack, Watcher, folded, own_events, stack

RETRY = re.compile(rb"retry: (\d+)\n")


def test_a_job_is_streamed_from_its_start_to_its_answer(alice: Person) -> None:
    events = alice.watch(alice.ask())
    assert events[0].name == "connected"
    own = own_events(events)
    assert own[0].id == "1-1"
    assert own[0].data | {"timestamp": 0} == {
        "attempt": 1,
        "model": "sandbox",
        "agent": "default",
        "cause": None,
        "turnsKept": 0,
        "timestamp": 0,
    }
    complete = own[-1]
    assert complete.name == "complete"
    assert 3 <= len(complete.data["suggestions"]) <= 5
    assert complete.data["retryCount"] == 0
    assert complete.data["tokenUsage"]["totalTokens"] > 0
    suggestions = [event.data["suggestion"] for event in own if event.name == "suggestion"]
    assert suggestions == complete.data["suggestions"]


def test_the_sequence_has_no_holes_and_total_length_counts_code_points(alice: Person) -> None:
    events = own_events(alice.watch(alice.ask("unicode")))
    assert [event.id for event in events] == [f"1-{n}" for n in range(1, len(events) + 1)]
    text = ""
    for event in events:
        if event.name == "delta":
            text += event.data["text"]
            assert event.data["totalLength"] == len(text)
    assert any(ord(character) > 0xFFFF for character in text)
    for suggestion in events[-1].data["suggestions"]:
        assert suggestion["description"] in text


def test_the_first_delta_goes_out_at_once_and_later_ones_100_ms_apart(alice: Person) -> None:
    events = alice.watch(alice.ask())
    times = [event.data["timestamp"] for event in events if event.name == "delta"]
    gaps = [b - a for a, b in pairwise(times)]
    # The final event flushes the last delta, and rounding takes up to a millisecond.
    assert min(gaps[:-1]) >= 99


def test_a_viewer_that_joins_after_the_end_gets_the_whole_answer_merged(alice: Person) -> None:
    job_id = alice.ask()
    live = alice.watch(job_id)
    late = alice.watch(job_id)
    assert folded(late) == folded(live)
    names = [event.name for event in own_events(late)]
    assert all(not (a == b == "delta") for a, b in pairwise(names))
    assert late[-1] == live[-1]


def test_a_viewer_that_reconnects_gets_the_events_that_it_missed_and_no_others(alice: Person) -> None:
    job_id = alice.ask()
    live = own_events(alice.watch(job_id))
    for cursor in range(1, len(live)):
        rest = own_events(alice.watch(job_id, live[cursor - 1].id))
        assert folded(live[:cursor] + rest) == folded(live)


def test_the_cursor_may_come_in_the_query(alice: Person) -> None:
    job_id = alice.ask()
    live = own_events(alice.watch(job_id))
    with alice.http.stream("GET", f"{JOBS}/{job_id}", params={"lastEventId": live[-2].id}) as answer:
        text = answer.read().decode()
    assert text.count("\nid: ") + text.startswith("id: ") == 1


@pytest.mark.parametrize("cursor", ["0-5", "1-99999", "7-1", "nonsense", "1-0", "-1", "1-1-1", "\u0663-\u0661"])
def test_an_invalid_cursor_gets_the_attempt_from_its_start(alice: Person, cursor: str) -> None:
    job_id = alice.ask()
    alice.watch(job_id)
    with alice.http.stream("GET", f"{JOBS}/{job_id}", headers={b"Last-Event-ID": cursor.encode()}) as answer:
        assert "\nid: 1-1\nevent: started" in answer.read().decode()


def test_a_viewer_that_has_seen_the_final_event_gets_204(alice: Person) -> None:
    job_id = alice.ask()
    last = alice.watch(job_id)[-1]
    answer = alice.http.get(f"{JOBS}/{job_id}", headers={"Last-Event-ID": last.id})
    assert (answer.status_code, answer.content) == (204, b"")


def test_viewers_who_join_at_any_time_see_the_same(system: Stack, alice: Person) -> None:
    job_id = alice.ask()
    watchers = []
    with alice.stream(job_id) as events:
        for number, _ in enumerate(events):
            if number % 3 == 0:
                watchers.append(Watcher(system, job_id))
    jobs = [watcher.join() for watcher in watchers]
    assert len(jobs) > 4
    assert all(job == jobs[0] for job in jobs)


def test_the_stream_has_the_headers_that_keep_it_unbuffered(alice: Person) -> None:
    job_id = alice.ask()
    with alice.http.stream("GET", f"{JOBS}/{job_id}") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["connection"] == "keep-alive"
        assert answer.headers["x-accel-buffering"] == "no"
        assert RETRY.match(next(answer.iter_raw()))


def test_streams_state_different_retry_times_to_their_clients(alice: Person) -> None:
    job_id = alice.ask("fast")
    alice.watch(job_id)
    seen = [RETRY.match(alice.http.get(f"{JOBS}/{job_id}").content) for _ in range(12)]
    times = [int(match[1]) for match in seen if match]
    assert len(times) == 12 and all(500 <= time <= 1500 for time in times) and len(set(times)) > 3


def test_an_http_1_0_client_gets_the_same_bytes_without_chunks(system: Stack, alice: Person) -> None:
    import socket

    job_id = alice.ask()
    with socket.create_connection(("127.0.0.1", system.web_port)) as sock:
        request = f"GET {JOBS}/{job_id} HTTP/1.0\r\nAuthorization: {alice.http.headers['authorization']}\r\n\r\n"
        sock.sendall(request.encode())
        raw = b"".join(iter(lambda: sock.recv(65536), b""))
    body = raw.split(b"\r\n\r\n", 1)[1]
    assert RETRY.match(body)
    assert body.endswith(b"\n\n")
    assert b"\r\n" not in body


def test_the_job_as_json_agrees_with_its_events(alice: Person) -> None:
    job_id = alice.ask(additionalContext="many guests")
    events = alice.watch(job_id)
    job, seen = alice.read(job_id), folded(events)
    assert job["status"] == "completed"
    assert job["text"] == seen.text
    assert job["suggestions"] == events[-1].data["suggestions"]
    assert job["lastEventId"] == events[-1].id
    assert job["input"] == {**BODY, "additionalContext": "many guests", "customModel": None}
    assert (job["attempt"], job["error"], job["queuePosition"]) == (1, None, None)


def test_a_running_job_is_cancelled_and_the_model_stops(system: Stack, alice: Person) -> None:
    page = "cancelled while it runs, slow"
    job_id = alice.ask(page)
    watcher = Watcher(system, job_id)
    wait_until(lambda: watcher.saw("delta"))
    assert alice.cancel(job_id).status_code in (200, 202)
    job = watcher.join()
    assert job.status == "cancelled"
    assert job.token_usage is not None
    assert job.token_usage.total_tokens > 0
    wait_until(lambda: [request["outcome"] for request in system.requests_for(page)] == ["closed"])
    again = alice.cancel(job_id)
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


@pytest.mark.parametrize(
    ("trouble", "code", "is_retryable"),
    [
        ("refusal", "MODEL_REFUSED", False),
        ("cut off", "BAD_OUTPUT", True),
        ("bad json", "BAD_OUTPUT", True),
        ("bad output", "BAD_OUTPUT", True),
        ("rejected", "MODEL_REJECTED", False),
        ("too long", "MODEL_REJECTED", False),
        ("context window", "MODEL_REJECTED", False),
        ("wrong key", "MODEL_UNAVAILABLE", False),
        ("forbidden", "MODEL_UNAVAILABLE", False),
        ("no such model", "MODEL_UNAVAILABLE", False),
    ],
)
def test_a_failure_that_is_not_worth_retrying_ends_the_job_at_once(
    alice: Person, trouble: str, code: str, is_retryable: bool
) -> None:
    job_id = alice.ask(f"{trouble} fast")
    events = own_events(alice.watch(job_id))
    assert events[-1].name == "error"
    assert events[-1].data["code"] == code
    assert events[-1].data["retryable"] is is_retryable
    assert [event.data["attempt"] for event in events if event.name == "started"] == [1]
    assert "sandbox" not in events[-1].data["message"].lower()
    job = alice.read(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize("trouble", ["overloaded once", "rate limited once", "unavailable once", "bad gateway once"])
def test_a_failure_of_the_model_before_the_answer_uses_up_no_attempt(alice: Person, trouble: str) -> None:
    events = own_events(alice.watch(alice.ask(f"{trouble} fast")))
    assert [event.name for event in events].count("started") == 1
    assert (events[-1].name, events[-1].data["retryCount"]) == ("complete", 0)


@pytest.mark.parametrize("trouble", ["error event once", "broken stream once", "early end once"])
def test_an_answer_that_breaks_gets_another_attempt_that_completes(alice: Person, trouble: str) -> None:
    events = own_events(alice.watch(alice.ask(f"{trouble} fast")))
    started = [event for event in events if event.name == "started"]
    assert [(event.id, event.data["cause"]) for event in started] == [("1-1", None), ("2-1", "model_error")]
    complete = events[-1]
    assert complete.name == "complete"
    assert complete.data["retryCount"] == 1
    text = folded(events).text
    assert text is not None
    assert text.count(complete.data["suggestions"][0]["description"]) == 1


def test_three_suggestions_of_a_truncated_answer_are_delivered_as_a_partial_answer(alice: Person) -> None:
    job_id = alice.ask("cut after three fast")
    last = own_events(alice.watch(job_id))[-1]
    assert last.name == "complete" and last.data["isPartial"] is True
    assert len(last.data["suggestions"]) == 3 and last.data["context"]
    assert alice.read(job_id)["isPartial"] is True


def test_answers_that_break_use_up_the_attempts(system: Stack, alice: Person) -> None:
    events = own_events(alice.watch(alice.ask("broken stream fast")))
    assert [event.data["attempt"] for event in events if event.name == "started"] == [1, 2, 3]
    assert events[-1].data["code"] == "MODEL_UNAVAILABLE"
    assert len(system.requests_for("broken stream fast")) == 3


def test_a_custom_agent_is_used_for_the_prompt_and_shown(system: Stack, alice: Person) -> None:
    agent = {
        "name": "Growth lead",
        "role": "Head of growth",
        "focus": "Activation of new users",
        "systemPrompt": "You know how people find their way into a product. " * 2,
        "temperature": 0.5,
        "tools": [],
        "isActive": True,
    }
    assert alice.http.put("/api/feature-planner/suggestion-agent", json=agent).status_code == 200
    try:
        events = alice.watch(alice.ask("agent's page fast"))
        assert next(event for event in events if event.name == "started").data["agent"] == "Growth lead"
        (request,) = system.requests_for("agent's page fast")
        system_prompt = json.dumps(request["body"]["system"])
        assert "Activation of new users" in system_prompt
        assert "implementationConsiderations" in system_prompt
    finally:
        alice.http.delete("/api/feature-planner/suggestion-agent")


def test_a_custom_model_is_used_and_shown(alice: Person) -> None:
    events = alice.watch(alice.ask("fast", customModel="claude-opus-5-5"))
    assert next(event for event in events if event.name == "started").data["model"] == "claude-opus-5-5"
    assert events[-1].data["model"] == "claude-opus-5-5"


def test_the_same_idempotency_key_makes_one_job_however_often_it_is_sent(system: Stack) -> None:
    headers = {"Idempotency-Key": "the-key"}
    answers: list[httpx.Response] = []

    def post() -> None:
        person = Person(system, "eve")
        answers.append(person.http.post(JOBS, json={**BODY, "pageOrComponent": "one of eight fast"}, headers=headers))
        person.close()

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 7


def test_eight_jobs_run_at_once(system: Stack, alice: Person) -> None:
    pages = [f"page {number} slow" for number in range(8)]
    jobs = [alice.ask(page) for page in pages]
    running = lambda: [r for r in system.sandbox_requests() if r["outcome"] == "running" and r["page"] in pages]  # noqa: E731
    wait_until(lambda: len(running()) == 8)
    for job_id in jobs:
        alice.cancel(job_id)
    wait_until(lambda: not running())


def test_a_client_with_a_connection_pool_can_send_a_request_right_after_a_stream(alice: Person) -> None:
    job_id = alice.ask()
    for _ in range(20):  # the first stream is live, the others are replayed
        assert "\nevent: complete\n" in alice.http.get(f"{JOBS}/{job_id}").text
        # No client repeats a POST by itself, so it must not be sent on a connection that is about to close.
        alice.ask("fast")


@pytest.mark.parametrize("is_live", [True, False])
def test_a_connection_closes_after_its_stream_and_a_pipelined_request_is_not_answered(
    system: Stack, alice: Person, is_live: bool
) -> None:
    job_id = alice.ask("fast")
    if not is_live:
        alice.watch(job_id)
    token = alice.http.headers["authorization"]
    requests = f"GET {JOBS}/{job_id} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nAuthorization: {token}\r\n\r\n"
    requests += f"DELETE {JOBS}/{job_id} HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", system.web_port), timeout=40) as sock:
        sock.sendall(requests.encode())
        got = b"".join(iter(lambda: sock.recv(65536), b""))
    assert got.startswith(b"HTTP/1.1 200 OK\r\n") and b"\nevent: complete\n" in got
    assert got.endswith(b"\r\n0\r\n\r\n") and got.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_connection_is_closed_after_the_stream_if_the_client_asks_for_it(
    system: Stack, alice: Person, version: str
) -> None:
    job_id, token = alice.ask("fast"), alice.http.headers["authorization"]
    head = f"GET {JOBS}/{job_id} {version}\r\nHost: h\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", system.web_port), timeout=40) as sock:
        sock.sendall(head.encode())
        got = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"\nevent: complete\n" in got
    assert got.endswith(b"\r\n0\r\n\r\n") is (version == "HTTP/1.1")


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_the_body_of_a_stream_request_is_not_read_as_the_next_request(
    system: Stack, alice: Person, accept: str
) -> None:
    job_id, token = alice.ask("fast"), alice.http.headers["authorization"]
    body = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    head = f"GET {JOBS}/{job_id} HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\nAccept: {accept}\r\n"
    with socket.create_connection(("127.0.0.1", system.web_port), timeout=40) as sock:
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        got = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"\nevent: complete\n" in got and got.count(b"HTTP/1.1 ") == 1


def test_a_model_that_falls_silent_for_longer_than_the_setting_allows_is_asked_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_sandbox()
        it.start_web()
        it.start_worker(MODEL_SILENCE_SECONDS="1")
        person = Person(it)
        events = own_events(person.watch(person.ask("stall once")))
        person.close()
    first, second = (event.data for event in events if event.name == "started")
    assert (first["cause"], second["cause"]) == (None, "model_error")
    assert second["timestamp"] - first["timestamp"] < 30_000, (
        "it should take far less than the 75 s without the setting"
    )
    assert events[-1].name == "complete"

"""Tests that events fold to the same job from a snapshot, from a merged replay and from the whole log."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.delivery.history import History
from shared.contract.events import (
    EVENTS,
    FINAL,
    LOGGED,
    Cancelled,
    Complete,
    Connected,
    Delta,
    Event,
    Failed,
    Note,
    Queued,
    Started,
    SuggestionReady,
    Transcript,
    Waiting,
    decode,
    fold,
)
from shared.contract.schemas import JobInput, JobView, TokenUsage, Wait
from shared.contract.values import JobStatus, WaitReason
from shared.state.event_log import EventId
from tests import strategies

Log = list[tuple[EventId, Event]]
Runs = list[Log]

of_connection: st.SearchStrategy[Event] = st.one_of(
    st.builds(Connected, job_id=strategies.text, status=st.sampled_from(JobStatus), timestamp=strategies.times),
    st.builds(Queued, position=st.integers(1, 999), workers=st.integers(0, 99), timestamp=strategies.times),
)
any_event = st.one_of(strategies.attempts().map(lambda runs: runs[-1][-1][1]), strategies.middles, of_connection)


def folded(log: Log, job: Transcript | None = None) -> Transcript:
    return reduce(lambda seen, item: fold(seen, item[1], str(item[0])), log, job or Transcript())


def as_view(job: Transcript) -> JobView:
    return JobView(
        job_id="j",
        status=job.status,
        created_at=0,
        attempt=job.attempt,
        last_event_id=job.last_event_id,
        input=JobInput.model_validate({"pageOrComponent": "p", "featureType": "integration", "priorityLevel": "low"}),
        text=job.text,
        suggestions=list(job.suggestions) if job.suggestions is not None else None,
        is_partial=job.is_partial,
        token_usage=job.token_usage,
        error=job.error,
        queue_position=job.queue_position,
        waiting=job.waiting,
    )


def from_view(wire: str) -> Transcript:
    """Returns the job as a client knows it from the JSON, before it continues with the stream."""
    view = JobView.model_validate_json(wire)
    return Transcript(
        status=view.status,
        attempt=view.attempt,
        last_event_id=view.last_event_id,
        text=view.text,
        suggestions=tuple(view.suggestions) if view.suggestions is not None else None,
        is_partial=view.is_partial,
        token_usage=view.token_usage,
        error=view.error,
        queue_position=view.queue_position,
        waiting=view.waiting,
    )


def flat(runs: Runs) -> Log:
    return [item for run in runs for item in run]


@given(strategies.attempts())
def test_started_forgets_all_that_earlier_attempts_showed(runs: Runs) -> None:
    assert folded(flat(runs)) == folded(runs[-1])


@given(strategies.attempts(most=2), st.data())
def test_a_snapshot_and_the_events_after_it_make_the_same_job_as_all_of_them(runs: Runs, data: st.DataObject) -> None:
    log = flat(runs)
    at = data.draw(st.integers(0, len(log)))
    snapshot = as_view(folded(log[:at])).model_dump_json()
    assert folded(log[at:], from_view(snapshot)) == folded(log)


@given(strategies.attempts(most=1), st.data())
def test_a_merged_replay_from_any_cursor_folds_to_the_same_job(runs: Runs, data: st.DataObject) -> None:
    log = runs[-1]
    at = data.draw(st.integers(0, len(log)))
    history = History(log[0][0].attempt)
    for entry in strategies.entries(log):
        history.add(entry.name.encode(), entry.data)
    replayed = [(e.id, decode(e.name, e.data)) for e in history.after(log[at - 1][0] if at else None)]
    assert folded(replayed, folded(log[:at])) == folded(log)


@given(strategies.attempts(most=1))
def test_the_folded_text_is_every_delta_and_as_long_as_the_last_one_says(runs: Runs) -> None:
    job, deltas = folded(runs[-1]), [event for _, event in runs[-1] if isinstance(event, Delta)]
    assert (job.text or "") == "".join(delta.text for delta in deltas)
    assert len(job.text or "") == (deltas[-1].total_length if deltas else 0)


@given(strategies.attempts(most=1, is_ended=True))
def test_a_final_event_says_how_it_ended_and_leaves_what_was_shown(runs: Runs) -> None:
    before, job, final = folded(runs[-1][:-1]), folded(runs[-1]), runs[-1][-1][1]
    assert job.status is final.final_status and job.status.is_final
    assert job.text == before.text and job.last_event_id == str(runs[-1][-1][0])
    match final:
        case Complete():
            assert job.suggestions == tuple(final.suggestions) and job.token_usage == final.token_usage
        case Failed():
            assert job.error is not None and job.error.code is final.code and job.suggestions == before.suggestions
        case Cancelled():
            assert job.token_usage == final.token_usage and job.suggestions == before.suggestions


@given(any_event)
def test_every_event_is_decoded_as_it_was_encoded(event: Event) -> None:
    data = event.encode()
    assert decode(event.event, data) == event == decode(event.event, data.decode())
    assert b"\n" not in data and b"\r" not in data


@given(st.lists(of_connection, max_size=5), strategies.attempts(most=1))
def test_events_of_the_connection_never_touch_the_cursor_or_the_text(events: list[Event], runs: Runs) -> None:
    job = folded(runs[-1])
    after = reduce(fold, events, job)
    assert (after.last_event_id, after.text, after.suggestions) == (job.last_event_id, job.text, job.suggestions)


def test_a_position_in_the_queue_is_shown_until_the_next_other_event() -> None:
    job = fold(Transcript(), Queued(position=3, workers=1, timestamp=0))
    assert (job.queue_position, job.status) == (3, JobStatus.PENDING)
    started = Started(attempt=1, model="m", agent="default", cause=None, timestamp=0)
    assert fold(job, started, "1-1") == Transcript(JobStatus.IN_PROGRESS, attempt=1, last_event_id="1-1")


def test_a_job_that_is_cancelled_while_it_waits_ends_with_the_id_0_1() -> None:
    job = fold(Transcript(), Cancelled(token_usage=TokenUsage(), timestamp=0), "0-1")
    assert (job.status, job.last_event_id, job.attempt) == (JobStatus.CANCELLED, "0-1", None)


def test_the_events_are_those_of_the_contract() -> None:
    numbered = ["started", "waiting", "note", "delta", "tool", "suggestion", "complete", "error", "cancelled"]
    assert list(EVENTS) == ["connected", "queued", *numbered]
    assert set(FINAL) == {"complete", "error", "cancelled"}
    assert [kind.event for kind in LOGGED] == numbered


FIELDS = {
    "connected": {"jobId", "status"},
    "queued": {"position", "workers"},
    "started": {"attempt", "model", "agent", "cause", "turnsKept"},
    "waiting": {"reason", "until"},
    "note": {"text"},
    "delta": {"text", "totalLength"},
    "tool": {"name", "input"},
    "suggestion": {"index", "suggestion"},
    "complete": {"suggestions", "context", "isPartial", "tokenUsage", "model", "executionTimeMs", "retryCount"},
    "error": {"message", "code", "retryable"},
    "cancelled": {"tokenUsage"},
}


@given(any_event)
def test_an_event_has_the_fields_of_the_contract_and_no_others(event: Event) -> None:
    assert set(event.model_dump(mode="json")) == FIELDS[event.event] | {"timestamp"}


def test_unknown_and_malformed_events_are_refused() -> None:
    with pytest.raises(KeyError):
        decode("message", b"{}")
    for data in (b"", b"{}", b"[]", b'{"text": 1, "totalLength": 1, "timestamp": 1}'):
        with pytest.raises(ValueError, match="Delta"):
            decode("delta", data)


@given(strategies.suggestions)
def test_a_suggestion_has_the_wire_names_of_the_contract(suggestion: object) -> None:
    event = SuggestionReady.model_validate({"index": 0, "suggestion": suggestion, "timestamp": 0})
    fields = event.model_dump(mode="json")["suggestion"]
    assert set(fields) == {"title", "rationale", "description", "implementationConsiderations", "files"}


def test_a_wait_lasts_until_the_next_event_of_another_kind_and_through_a_reconnection() -> None:
    waiting = fold(Transcript(), Waiting(reason=WaitReason.OVERLOADED, until=9, timestamp=0), "1-2")
    assert waiting.waiting == Wait(reason=WaitReason.OVERLOADED, until=9)
    greeted = fold(waiting, Connected(job_id="j", status=JobStatus.IN_PROGRESS, timestamp=0))
    assert greeted.waiting == waiting.waiting
    assert fold(greeted, Note(text="Reading on.", timestamp=0), "1-3").waiting is None


def test_events_of_the_previous_version_are_decoded() -> None:
    started = decode("started", '{"timestamp":1,"attempt":1,"model":"m","agent":"default","cause":null}')
    assert isinstance(started, Started) and started.turns_kept == 0

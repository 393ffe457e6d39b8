"""Provides the strategies of the property tests: text that is hard to encode, suggestions, and whole logs of jobs."""

from hypothesis import strategies as st

from shared.contract.events import (
    Cancelled,
    Complete,
    Delta,
    Event,
    Failed,
    Note,
    Started,
    SuggestionReady,
    Tool,
    Waiting,
)
from shared.contract.schemas import SuggestedFile, Suggestion, TokenUsage
from shared.contract.values import Cause, ErrorCode, WaitReason
from shared.state.event_log import Entry, EventId

NASTY = (
    *'"\\{}[]:,<>&/\n\r\t\0\x7f\x85\u2028\u2029\ufeff\ufffd ',
    "é",
    "ע",
    "\U0001d4b3",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301",
    "\\u0041",
    "\\ud83d",
    "\r\n",
    "data: ",
    "\nid: 9-9\n\n",
    '"}]}',
)
text = st.one_of(st.text(max_size=8), st.lists(st.sampled_from(NASTY), max_size=5).map("".join))
suggestions = st.builds(
    Suggestion,
    title=text,
    rationale=text,
    description=text,
    implementation_considerations=st.lists(text, max_size=3),
    files=st.lists(st.builds(SuggestedFile, path=text, why=text), max_size=2),
)
usages = st.builds(
    TokenUsage,
    **{name: st.integers(0, 10**12) for name in TokenUsage.model_fields},
)
times = st.integers(0, 2**53)


def _started(attempt: int) -> st.SearchStrategy[Event]:
    causes = st.none() if attempt == 1 else st.sampled_from(Cause)
    return st.builds(
        Started,
        attempt=st.just(attempt),
        model=text,
        agent=text,
        cause=causes,
        turns_kept=st.integers(0, 9),
        timestamp=times,
    )


middles: st.SearchStrategy[Event] = st.one_of(
    st.builds(Delta, text=text, total_length=st.just(0), timestamp=times),
    st.builds(Delta, text=text, total_length=st.just(0), timestamp=times),
    st.builds(
        Tool,
        name=st.sampled_from(["Read", "Grep", "Glob"]),
        input=st.dictionaries(st.sampled_from(["pattern", "path"]), text),
        timestamp=times,
    ),
    st.builds(Waiting, reason=st.sampled_from(WaitReason), until=times, timestamp=times),
    st.builds(Note, text=text, timestamp=times),
    st.builds(SuggestionReady, index=st.integers(0, 4), suggestion=suggestions, timestamp=times),
)
finals: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Complete,
        suggestions=st.lists(suggestions, min_size=3, max_size=5),
        context=st.none() | text,
        is_partial=st.booleans(),
        token_usage=usages,
        model=text,
        execution_time_ms=times,
        retry_count=st.integers(0, 9),
        timestamp=times,
    ),
    st.builds(Failed, message=text, code=st.sampled_from(ErrorCode), retryable=st.booleans(), timestamp=times),
    st.builds(Cancelled, token_usage=usages, timestamp=times),
)


@st.composite
def attempts(draw: st.DrawFn, *, most: int = 3, is_ended: bool | None = None) -> list[list[tuple[EventId, Event]]]:
    """Draws the events of a job, one list for each attempt.

    The total lengths of deltas are correct, and only the last attempt may have a final event.
    """
    runs: list[list[tuple[EventId, Event]]] = []
    for number in range(1, draw(st.integers(1, most)) + 1):
        events = [draw(_started(number)), *draw(st.lists(middles, max_size=8))]
        runs.append([(EventId(number, i), event) for i, event in enumerate(_with_totals(events), 1)])
    if draw(st.booleans()) if is_ended is None else is_ended:
        last = runs[-1][-1][0]
        runs[-1].append((EventId(last.attempt, last.sequence + 1), draw(finals)))
    return runs


def _with_totals(events: list[Event]) -> list[Event]:
    total, with_totals = 0, []
    for event in events:
        if isinstance(event, Delta):
            total += len(event.text)
            event = event.model_copy(update={"total_length": total})
        with_totals.append(event)
    return with_totals


def entry(event_id: EventId, event: Event) -> Entry:
    return Entry(event_id, event.event, event.encode())


def entries(run: list[tuple[EventId, Event]]) -> list[Entry]:
    return [entry(event_id, event) for event_id, event in run]

"""Opening a stream: whether a viewer is admitted, and the job it watches, in one step."""

from collections.abc import Iterator

import pytest

from api.delivery.admission import (
    LEASE_MS,
    Admission,
    AlreadyComplete,
    JobGone,
    JobOfAnotherUser,
    Refused,
    StreamRequest,
    TooManyStreams,
)
from shared.contract.schemas import JobStatus
from shared.state import keys
from shared.state.event_log import EventId
from shared.state.job_store import JobStore
from tests.shared.state.builders import append, running_job


def stream_request(job_id: str, cursor: EventId | None = None, *, user: str = "alice") -> StreamRequest:
    return StreamRequest(job_id, user, cursor)


def places_of(store: JobStore, user: str = "alice") -> int:
    return int(store.redis.zcard(keys.streams(user)))


@pytest.fixture
def admission(store: JobStore) -> Iterator[Admission]:
    admission = Admission(store.redis, streams_per_user=2)
    yield admission
    admission.stop()


def test_who_may_come_in_has_a_place_and_the_job_in_one_step(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    for sequence in (1, 2):
        append(store, job_id, sequence)
    first, second = stream_request(job_id, EventId(1, 1)), stream_request(job_id)
    whole, head = admission.enter(first, False), admission.enter(second, True)
    # The log is for all viewers of the feed, whatever this one has seen.
    assert [str(entry.id) for entry in whole.entries] == ["1-1", "1-2"]
    assert head.entries == [] and head.last_id == EventId(1, 2) and head.status is JobStatus.IN_PROGRESS
    assert places_of(store) == 2
    assert 0 < store.redis.pttl(keys.streams("alice")) <= LEASE_MS
    for each in (first, second, first):
        admission.leave(each)
    assert places_of(store) == 0


def test_a_stream_is_refused_for_the_first_reason_of_the_contract(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    append(store, job_id, 1)
    taken = [stream_request(job_id), stream_request(job_id)]
    for each in taken:
        admission.enter(each, True)

    def refusal(stream_request: StreamRequest) -> type[Exception]:
        with pytest.raises(Refused) as refused:
            admission.enter(stream_request, False)
        admission.leave(stream_request)
        return refused.type

    assert refusal(stream_request("00000000-0000-4000-8000-000000000000")) is JobGone
    assert refusal(stream_request(job_id, user="bob")) is JobOfAnotherUser
    assert refusal(stream_request(job_id, EventId(1, 1))) is TooManyStreams
    append(store, job_id, 2, name="complete")
    assert refusal(stream_request(job_id, EventId(1, 2), user="bob")) is JobOfAnotherUser
    assert refusal(stream_request(job_id, EventId(1, 2))) is AlreadyComplete
    assert refusal(stream_request(job_id, EventId(1, 1))) is refusal(stream_request(job_id)) is TooManyStreams
    assert places_of(store) == 2 and places_of(store, "bob") == 0
    admission.leave(taken[0])
    admission.enter(stream_request(job_id), True)


def test_coming_in_again_because_the_answer_was_lost_takes_one_place(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    admission.enter(stream_request(job_id), True)
    second = stream_request(job_id)
    for _ in range(2):
        admission.enter(second, True)
    assert places_of(store) == 2


def test_a_place_whose_process_is_gone_lapses(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    seconds, _ = store.redis.time()
    store.redis.zadd(keys.streams("alice"), {"lost": seconds * 1000 - 1, "lost too": seconds * 1000 - 1})
    for _ in range(2):
        admission.enter(stream_request(job_id), True)
    assert places_of(store) == 2


@pytest.mark.parametrize("field", ["status", "input", "createdAt"])
def test_a_record_that_cannot_be_read_is_none_and_keeps_no_place(
    store: JobStore, admission: Admission, field: str
) -> None:
    job_id = running_job(store)
    store.redis.hset(keys.record(job_id), field, "?")
    unreadable = stream_request(job_id)
    with pytest.raises(JobGone):
        admission.enter(unreadable, True)
    admission.leave(unreadable)
    assert places_of(store) == 0

"""Tests that opening a stream admits the viewer and reads the job in one step."""

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from redis.exceptions import TimeoutError

from api.delivery.admission import (
    ALIVE_MS,
    LEASE_MS,
    Admission,
    AlreadyComplete,
    JobGone,
    JobOfAnotherUser,
    Refused,
    StreamRequest,
    TooManyStreams,
)
from shared.contract.values import JobStatus
from shared.state import keys
from shared.state.event_log import EventId
from shared.state.job_store import JobStore
from shared.state.scripts import Script
from tests.shared.state.builders import append, running_job


def stream_request(job_id: str, cursor: EventId | None = None, *, user: str = "alice") -> StreamRequest:
    return StreamRequest(job_id, user, cursor)


def slots_of(store: JobStore, user: str = "alice") -> int:
    return int(store.redis.zcard(keys.streams(user)))


@pytest.fixture
def admission(store: JobStore) -> Iterator[Admission]:
    admission = Admission(store.redis, streams_per_user=2)
    yield admission
    admission.stop()


def test_an_admitted_stream_has_a_slot_and_the_job_in_one_step(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    for sequence in (1, 2):
        append(store, job_id, sequence)
    first, second = stream_request(job_id, EventId(1, 1)), stream_request(job_id)
    whole, head = admission.enter(first, False), admission.enter(second, True)
    # The log is read for all viewers of the feed, whatever this viewer has seen.
    assert [str(entry.id) for entry in whole.entries] == ["1-1", "1-2"]
    assert head.entries == [] and head.last_id == EventId(1, 2) and head.status is JobStatus.IN_PROGRESS
    assert slots_of(store) == 2
    assert 0 < store.redis.pttl(keys.streams("alice")) <= LEASE_MS
    for each in (first, second, first):
        admission.leave(each)
    assert slots_of(store) == 0


def test_a_stream_is_refused_for_the_first_reason_in_the_order_of_the_protocol(
    store: JobStore, admission: Admission
) -> None:
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
    assert slots_of(store) == 2 and slots_of(store, "bob") == 0
    admission.leave(taken[0])
    admission.enter(stream_request(job_id), True)


def test_entering_again_after_a_lost_answer_takes_one_slot(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    admission.enter(stream_request(job_id), True)
    second = stream_request(job_id)
    for _ in range(2):
        admission.enter(second, True)
    assert slots_of(store) == 2


def hold(store: JobStore, *slots: str, for_ms: int) -> None:
    """Leases slots of other processes to alice for `for_ms` milliseconds; a negative number means that they expired."""
    seconds, _ = store.redis.time()
    store.redis.zadd(keys.streams("alice"), dict.fromkeys(slots, int(seconds) * 1000 + for_ms))


@pytest.mark.parametrize("prefix", ["", "another-deployment:"])
def test_the_slots_of_a_process_without_heartbeats_are_free_and_those_of_others_are_not(
    store: JobStore, admission: Admission, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(keys, "prefix", prefix)
    job_id = running_job(store)
    store.redis.set(keys.web_process("alive.2"), 1, px=60_000)
    hold(store, "killed.1-0", "alive.2-0", "alive.2-1", for_ms=40_000)
    with pytest.raises(TooManyStreams):
        admission.enter(stream_request(job_id), True)
    assert slots_of(store) == 2
    store.redis.delete(keys.web_process("alive.2"))
    for _ in range(2):
        admission.enter(stream_request(job_id), True)
    with pytest.raises(TooManyStreams):
        admission.enter(stream_request(job_id), True)


def test_a_process_sends_heartbeats_for_as_long_as_it_has_streams(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    request = stream_request(job_id)
    admission.enter(request, True)
    process = keys.web_process(request.slot.rpartition("-")[0])
    assert 0 < store.redis.pttl(process) <= ALIVE_MS
    store.redis.delete(process)
    admission._beat()
    assert 0 < store.redis.pttl(process) <= ALIVE_MS
    admission.leave(request)
    store.redis.delete(process)
    admission._beat()
    assert not store.redis.exists(process)


def test_a_slot_whose_release_failed_is_released_with_a_later_heartbeat(
    store: JobStore, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stream_request(running_job(store))
    admission.enter(request, True)
    with monkeypatch.context() as away:
        for name in ("zrem", "pipeline"):
            away.setattr(store.redis, name, Mock(side_effect=TimeoutError()))
        admission.leave(request)
        with pytest.raises(TimeoutError):
            admission._beat()
    assert slots_of(store) == 1
    admission._beat()
    assert slots_of(store) == 0


def test_slots_that_cannot_be_released_are_forgotten_when_they_have_expired(
    store: JobStore, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else clients that try again and again while Redis is away would fill the memory."""
    job_id = running_job(store)
    with monkeypatch.context() as away:
        away.setattr(Script, "call", Mock(side_effect=TimeoutError()))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                admission.enter(stream_request(job_id), True)
        away.setattr(store.redis, "pipeline", Mock(side_effect=TimeoutError()))
        with pytest.raises(TimeoutError):
            admission._beat()
        assert len(admission._to_release) == 3
        away.setattr("api.delivery.admission.monotonic", lambda: time.monotonic() + LEASE_MS / 1000)
        admission._beat()
    assert not admission._to_release


def test_a_slot_that_was_taken_without_an_answer_is_released_with_the_next_heartbeat(
    store: JobStore, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, call = stream_request(running_job(store)), Script.call

    def answered_late(script: Script, *args: Any) -> object:
        call(script, *args)
        raise TimeoutError

    with monkeypatch.context() as late:
        late.setattr(Script, "call", answered_late)
        with pytest.raises(TimeoutError):
            admission.enter(request, True)
    admission.leave(request)
    assert slots_of(store) == 1
    admission._beat()
    assert slots_of(store) == 0


def test_a_slot_that_is_released_during_a_renewal_is_free(
    store: JobStore, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = running_job(store)
    kept, given_back = stream_request(job_id), stream_request(job_id)
    for each in (kept, given_back):
        admission.enter(each, True)
    call = Script.call

    def leave_first(script: Script, *arguments: Any) -> Any:
        admission.leave(given_back)
        return call(script, *arguments)

    monkeypatch.setattr(Script, "call", leave_first)
    admission._renew()
    assert store.redis.zrange(keys.streams("alice"), 0, -1) == [kept.slot.encode()]


def test_streams_open_and_keep_their_slots_while_redis_is_full(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    first, second = stream_request(job_id), stream_request(job_id)
    process = keys.web_process(first.slot.rpartition("-")[0])
    admission.enter(first, True)
    store.redis.config_set("maxmemory", 1)
    try:
        admission.enter(second, True)
        for key in (process, keys.streams("alice")):
            store.redis.pexpire(key, 1000)
        admission._beat()
        assert store.redis.pttl(process) > 1000
        admission._renew()
    finally:
        store.redis.config_set("maxmemory", 0)
    assert slots_of(store) == 2
    assert store.redis.pttl(keys.streams("alice")) > 1000


def test_a_slot_whose_lease_has_expired_is_free(store: JobStore, admission: Admission) -> None:
    job_id = running_job(store)
    store.redis.set(keys.web_process("alive.2"), 1, px=60_000)
    hold(store, "alive.2-0", "alive.2-1", for_ms=-1)
    for _ in range(2):
        admission.enter(stream_request(job_id), True)
    assert slots_of(store) == 2


@pytest.mark.parametrize("field", ["status", "input", "createdAt"])
def test_a_record_that_cannot_be_read_counts_as_absent_and_takes_no_slot(
    store: JobStore, admission: Admission, field: str
) -> None:
    job_id = running_job(store)
    store.redis.hset(keys.record(job_id), field, "?")
    unreadable = stream_request(job_id)
    with pytest.raises(JobGone):
        admission.enter(unreadable, True)
    admission.leave(unreadable)
    assert slots_of(store) == 0

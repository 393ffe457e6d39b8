"""Tests workers, viewers and cancels that race for one job, in random order, against the store and the log."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from api.delivery import sse
from api.delivery.feed import Feed
from shared.contract.events import Cancelled, Complete, Delta, Failed, Started
from shared.contract.schemas import JobInput, Suggestion, TokenUsage
from shared.contract.values import ErrorCode, FeatureType, JobStatus, PriorityLevel
from shared.settings import Settings
from shared.state import keys
from shared.state.event_log import EventId
from shared.state.job_store import CreateLimits, JobStore
from shared.state.outcomes import Attempt, NotStarted, UnreadAttempt
from shared.state.outcomes import Created as CreatedJob
from shared.state.scripts import script
from tests.conftest import RedisServer
from worker.publishing.log_writer import Append

WORKERS = ("w1", "w2", "w3")
INPUT = JobInput(page_or_component="page", feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.LOW)
FINALS = {
    "complete": Complete(
        suggestions=[Suggestion(title="t", rationale="r", description="d", implementation_considerations=[])],
        context=None,
        token_usage=TokenUsage(),
        model="m",
        execution_time_ms=1,
        retry_count=0,
        timestamp=1,
    ),
    "error": Failed.of(ErrorCode.BAD_OUTPUT, 1),
    "cancelled": Cancelled(token_usage=TokenUsage(), timestamp=1),
}


class RecordingViewer:
    """Stands in for a client: receives frames, and keeps the ids."""

    def __init__(self) -> None:
        self.ids: list[EventId] = []
        self.finals = 0
        self.has_ended = False

    def send(self, frame: bytes) -> None:
        for block in sse.unchunk(frame).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
            if "id" in fields:
                parsed = EventId.parse(fields["id"])
                assert parsed is not None
                self.ids.append(parsed)
            self.finals += fields.get("event") in ("complete", "error", "cancelled")

    def end(self) -> None:
        self.has_ended = True


class Writer:
    """Represents a worker's view of its attempt: it goes on writing until an answer says that the job is lost."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.sequence = 0
        self.is_over = False


class Races(RuleBasedStateMachine):
    redis: Redis
    url: str

    @initialize()
    def create(self) -> None:
        self.redis.flushall()
        self.store = JobStore(self.redis, Settings(redis_url=self.url, max_attempts=3))
        created = self.store.create("alice", INPUT, None, CreateLimits(10, 10))
        assert isinstance(created, CreatedJob)
        self.job_id = created.job_id
        self.writers: dict[str, Writer] = {}
        self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self.pubsub.subscribe(keys.channel(self.job_id))
        self.pubsub.get_message(timeout=1)
        self.feed = Feed(self.job_id)
        self.viewers: list[RecordingViewer] = []
        self.read()
        self.statuses = [JobStatus.PENDING]

    @rule(worker=st.sampled_from(WORKERS))
    def take(self, worker: str) -> None:
        attempt = self.store.start(self.job_id, worker, f"{self.job_id}:{worker}{len(self.writers)}")
        if isinstance(attempt, Attempt):
            self.writers[worker] = Writer(attempt)

    @rule(worker=st.sampled_from(WORKERS))
    def say_started(self, worker: str) -> None:
        writer = self._writer(worker)
        if writer and writer.sequence == 0:
            number, cause = writer.attempt.number, writer.attempt.cause
            self._write(worker, Started(attempt=number, model="m", agent="a", cause=cause, timestamp=1))

    @rule(behind=st.integers(0, 2), ahead=st.integers(0, 2))
    def write_as_a_zombie(self, behind: int, ahead: int) -> None:
        """Writes as a worker that has lost its job: to the current or an older attempt, at varying sequence numbers."""
        raw: Any = self.redis.hmget(keys.record(self.job_id), "status", "attempt")
        attempt = max(0, int(raw[1]) - behind)
        sequences = [int(i.split(b"-")[1]) for i, _ in self._log() if int(i.split(b"-")[0]) == attempt]
        sequence = max(sequences, default=0) + ahead or 1
        before = self.redis.xlen(keys.log(self.job_id))
        event = Delta(text="zombie", total_length=6, timestamp=1)
        append = Append(self.job_id, attempt, sequence, event.event, event.encode(), 60_000)
        self.redis.execute_command("EVAL", script("append").text, *append.keys_and_args())
        if self.redis.xlen(keys.log(self.job_id)) > before:
            assert not JobStatus(raw[0].decode()).is_final
            assert attempt == int(raw[1])
            # It has used the sequence number of the worker that holds the job, whose next append is refused.
            for writer in self.writers.values():
                writer.is_over = writer.is_over or writer.attempt.number == attempt

    @rule(worker=st.sampled_from(WORKERS))
    def write_text(self, worker: str) -> None:
        if (writer := self._writer(worker)) and writer.sequence:
            self._write(worker, Delta(text="x", total_length=1, timestamp=1))

    @rule(worker=st.sampled_from(WORKERS), final=st.sampled_from(sorted(FINALS)))
    def end(self, worker: str, final: str) -> None:
        if self._write(worker, FINALS[final]):
            self.writers[worker].is_over = True

    @rule(worker=st.sampled_from(WORKERS))
    def try_again_in_place(self, worker: str) -> None:
        if writer := self._writer(worker):
            again = self.store.start_again(writer.attempt, worker)
            if isinstance(again, Attempt):
                self.writers[worker] = Writer(again)
                return
            if again is NotStarted.USED_UP:
                self._write(worker, FINALS["error"])
            writer.is_over = True

    @rule(worker=st.sampled_from(WORKERS))
    def drain(self, worker: str) -> None:
        if writer := self._writer(worker):
            self.store.release(writer.attempt, worker)
            writer.is_over = True

    @rule()
    def lose_the_lease(self) -> None:
        """Lets the lease expire, as when the worker has died or is frozen."""
        if self.redis.zscore(keys.LEASES, self.job_id) is not None:
            self.redis.zadd(keys.LEASES, {self.job_id: 1})

    @rule()
    def sweep(self) -> None:
        for suspect in self.store.suspects():
            self.store.requeue(suspect)

    @rule()
    def cancel(self) -> None:
        self.store.cancel(self.job_id, "alice")

    @rule(is_lost=st.booleans())
    def take_answer(self, is_lost: bool) -> None:
        """Delivers one message of the channel, or loses it."""
        message = self.pubsub.get_message()
        if message and not is_lost and self.feed.is_loaded:
            self.feed.accept(message["data"], 0)

    @rule()
    def read(self) -> None:
        snapshot = self.store.read(self.job_id, self.feed.last_id)
        assert snapshot is not None
        self.feed.catch_up(snapshot)

    @rule(cursor=st.integers(0, 12))
    def join(self, cursor: int) -> None:
        if self.feed.is_loaded:
            viewer = RecordingViewer()
            self.viewers.append(viewer)
            last = self.feed.last_id
            self.feed.join(viewer, EventId(last.attempt, cursor + 1) if last else None)

    @invariant()
    def the_log_is_sound(self) -> None:
        if not hasattr(self, "job_id"):
            return
        entries = self._log()
        names = [fields[b"e"].decode() for _, fields in entries]
        finals = [name for name in names if name in FINALS]
        assert len(finals) <= 1
        assert not finals or names[-1] == finals[0]
        raw: Any = self.redis.hget(keys.record(self.job_id), "status")
        status = JobStatus(raw.decode())
        assert status.is_final == bool(finals)
        if status is not self.statuses[-1]:
            assert not self.statuses[-1].is_final
            assert status is not JobStatus.PENDING
            self.statuses.append(status)
        by_attempt: dict[int, list[int]] = {}
        for entry_id, _ in entries:
            attempt, sequence = map(int, entry_id.split(b"-"))
            by_attempt.setdefault(attempt, []).append(sequence)
        assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in by_attempt.values())

    @invariant()
    def viewers_see_each_id_once_in_order(self) -> None:
        feed: Feed | None = getattr(self, "feed", None)
        if feed is not None:
            assert not feed.is_rewound
        for viewer in getattr(self, "viewers", []):
            assert viewer.ids == sorted(set(viewer.ids))
            assert viewer.finals <= 1

    def teardown(self) -> None:
        """Checks that one more reading brings every viewer to the same end."""
        if not hasattr(self, "job_id"):
            return
        self.store.cancel(self.job_id, "alice")
        self.lose_the_lease()
        self.sweep()
        self.read()
        assert self.feed.is_over
        assert all(viewer.has_ended and viewer.finals == 1 for viewer in self.viewers if viewer.ids)
        self.pubsub.close()

    def _log(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        entries: Any = self.redis.xrange(keys.log(self.job_id))
        return list(entries)

    def _writer(self, worker: str) -> Writer | None:
        writer = self.writers.get(worker)
        return writer if writer and not writer.is_over else None

    def _write(self, worker: str, event: Any) -> bool:
        """Appends as a worker does, even if it no longer holds the job. Returns whether the log accepted the event."""
        writer = self._writer(worker)
        if writer is None:
            return False
        status = event.final_status.value if event.final_status else ""
        append = Append(
            self.job_id, writer.attempt.number, writer.sequence + 1, event.event, event.encode(), 60_000, status
        )
        answer = self.redis.execute_command("EVAL", script("append").text, *append.keys_and_args())
        if answer == b"lost":
            writer.is_over = True
            return False
        writer.sequence += 1
        # The worker sends it again, as it does when the reply was lost; it counts once.
        assert self.redis.execute_command("EVAL", script("append").text, *append.keys_and_args()) != b"lost"
        return True


@pytest.fixture
def machine(redis_server: RedisServer, redis: Redis) -> Iterator[type[Races]]:
    yield type("Machine", (Races,), {"redis": redis, "url": redis_server.url})


def test_every_race_ends_in_exactly_one_final_event(machine: type[Races]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_two_workers_that_get_the_same_job_do_not_both_run_it(redis: Redis, redis_server: RedisServer) -> None:
    store = JobStore(redis, Settings(redis_url=redis_server.url))
    created = store.create("alice", INPUT, None, CreateLimits(10, 10))
    assert isinstance(created, CreatedJob)
    outcomes: list[Attempt | UnreadAttempt | NotStarted] = []
    barrier = threading.Barrier(8)

    def start(name: str) -> None:
        barrier.wait()
        outcomes.append(store.start(created.job_id, name, f"{created.job_id}:{name}"))

    threads = [threading.Thread(target=start, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Attempt) for outcome in outcomes) == 1
    assert outcomes.count(NotStarted.TAKEN) == 7

"""Tests the gate's scripts on a real Redis: single answers, and whole loads in virtual time with token buckets."""

import asyncio
import heapq
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.contract.values import WaitReason
from shared.gate import Delay, LimitName, Report
from shared.state import gate_store, keys
from shared.state.gate_store import GateStore

T = TypeVar("T")
MODEL = "model"
START_MS = 1_800_000_000_000
OK = Report("accepted")
WITH_LIMITS = Report("accepted", limits={"requests": (60, 3), "input": (100_000, 90_000)})


class Clock:
    """Runs a gate at times that the test chooses, in seconds, with jitter from a seed, however slow the machine is."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self._port = port
        self._seed = seed

    def run(self, use: Callable[["Gate"], Awaitable[T]]) -> T:
        async def run() -> T:
            async with AsyncRedis(port=self._port) as redis:
                return await use(Gate(GateStore(redis, random.Random(self._seed))))

        return asyncio.run(run())


class Gate:
    def __init__(self, store: GateStore) -> None:
        self.store = store
        self._numbers = itertools.count()

    async def ask(
        self, at: float, job: str = "job", created: int = 0, tokens: int = 100, request: str = ""
    ) -> Delay | str:
        """Returns the id of the request if it may be sent, else the delay after which to ask again."""
        name = request or f"{job}:{next(self._numbers)}"
        wait = await self.store.ask(MODEL, name, job, created, tokens, now_ms=START_MS + round(at * 1000))
        return wait or name

    async def report(self, at: float, request: Delay | str, report: Report, job: str = "job") -> float:
        """Reports the outcome of a request. Returns when the gate opens, in seconds, or 0 if it is open."""
        assert isinstance(request, str)
        now = START_MS + round(at * 1000)
        opens = await self.store.report(MODEL, request, job, report, now_ms=now)
        return (opens - START_MS) / 1000 if opens else 0


@pytest.fixture
def clock(redis: Redis) -> Clock:
    return Clock(redis.connection_pool.connection_kwargs["port"])


def seconds(wait: Delay | str) -> float:
    assert isinstance(wait, Delay), wait
    return wait.wait_ms / 1000


def test_a_new_gate_admits_a_few_requests_at_once_and_more_when_it_knows_the_limits(clock: Clock) -> None:
    async def use(gate: Gate) -> None:
        answers = [await gate.ask(0, f"job {n}", n) for n in range(6)]
        assert [isinstance(answer, str) for answer in answers] == [True] * 4 + [False] * 2
        await gate.report(0.2, answers[0], Report("accepted", limits={"requests": (60, 4)}))
        # The three other requests may use three of the four that are left, so one more is safe.
        assert isinstance(await gate.ask(0.2, "job 4", 4), str)
        assert 0.8 < seconds(await gate.ask(0.2, "job 5", 5)) <= 1.05

    clock.run(use)


def test_a_retry_after_is_never_shortened_and_jitter_only_lengthens_it(clock: Clock) -> None:
    async def use(gate: Gate) -> None:
        opens = await gate.report(1, await gate.ask(1), Report("refused", 171))
        assert 172 <= opens <= 1 + 171 * 1.2
        for at in (1.1, 60, 171.9):
            wait = await gate.ask(at, "other")
            assert isinstance(wait, Delay) and wait.reason == "rate_limited"
            assert (wait.until_ms - START_MS) / 1000 >= 172 and seconds(wait) + at >= 172
        assert isinstance(await gate.ask(opens + 0.01, "other"), str)

    clock.run(use)


def test_without_a_retry_after_the_closed_time_doubles_until_a_request_is_accepted(clock: Clock) -> None:
    async def use(gate: Gate) -> list[float]:
        at, closings = 0.0, []
        for _ in range(4):
            opens = await gate.report(at, await gate.ask(at), Report("refused", None, WaitReason.OVERLOADED))
            closings.append(opens - at)
            at = opens + 1.1
        await gate.report(at, await gate.ask(at), OK)
        at += 10
        opens = await gate.report(at, await gate.ask(at), Report("refused", None, WaitReason.OVERLOADED))
        return [*closings, opens - at]

    *doubling, again = clock.run(use)
    for least, closing in zip((1, 2, 4, 8), doubling, strict=True):
        assert least <= closing <= least * 1.2 + 0.002
    assert again <= 1.202


def test_refusals_of_concurrent_requests_count_once(clock: Clock) -> None:
    async def use(gate: Gate) -> float:
        requests = [await gate.ask(0, f"job {n}") for n in range(4)]
        opens = [await gate.report(0.1, each, Report("refused", None, WaitReason.OVERLOADED)) for each in requests]
        return max(opens)

    assert clock.run(use) <= 0.1 + 1.202


@pytest.mark.parametrize("seed", range(5))
def test_a_repeated_question_and_a_repeated_report_count_once(redis: Redis, seed: int) -> None:
    clock = Clock(redis.connection_pool.connection_kwargs["port"], seed)

    async def use(gate: Gate) -> None:
        for _ in range(3):
            assert await gate.ask(0, request="same") == "same"
        assert redis.zcard(keys.gate(MODEL)[3]) == 1
        first = await gate.report(0.1, "same", Report("refused", None, WaitReason.OVERLOADED))
        again = await gate.report(0.1, "same", Report("refused", None, WaitReason.OVERLOADED))
        assert first == again and redis.zcard(keys.gate(MODEL)[3]) == 0

    clock.run(use)


def test_waiting_requests_are_admitted_in_the_order_in_which_their_jobs_were_created(clock: Clock) -> None:
    async def use(gate: Gate) -> list[str]:
        first = await gate.ask(0, "first", 0)
        await gate.report(0, first, Report("accepted", limits={"requests": (60, 0)}))
        names = ["c", "a", "d", "b"]
        at = {name: seconds(await gate.ask(0, name, ord(name))) for name in names}
        went: list[str] = []
        while at:
            name = min(at, key=lambda each: at[each])
            answer = await gate.ask(at[name], name, ord(name))
            if isinstance(answer, Delay):
                at[name] += seconds(answer)
            else:
                went.append(name)
                await gate.report(at.pop(name), answer, OK, name)
        return went

    assert clock.run(use) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("says_so", "most"), [(True, 0.2), (False, 1.6)])
def test_a_waiting_job_that_is_gone_delays_the_others_for_a_second_at_most(
    clock: Clock, says_so: bool, most: float
) -> None:
    async def use(gate: Gate) -> float:
        await gate.report(0, await gate.ask(0, "first", 0), Report("accepted", limits={"requests": (600, 0)}))
        gone = await gate.ask(0, "gone", 1)
        if says_so:
            await gate.report(0, "none", Report("left"), "gone")
        at = seconds(gone)
        while isinstance(wait := await gate.ask(at, "other", 2), Delay):
            at += seconds(wait)
        return at

    assert clock.run(use) < most


def test_input_tokens_are_limited_as_requests_are(clock: Clock) -> None:
    async def use(gate: Gate) -> float:
        first = await gate.ask(0, tokens=1000)
        await gate.report(0, first, Report("accepted", limits={"requests": (6000, 5000), "input": (60_000, 2_100)}))
        assert isinstance(await gate.ask(0, tokens=2_000), str)
        return seconds(await gate.ask(0, "other", tokens=3_000))

    assert clock.run(use) == pytest.approx(3, abs=0.2)


def test_a_request_that_needs_more_than_the_bucket_holds_is_admitted_when_it_is_full(clock: Clock) -> None:
    async def use(gate: Gate) -> float:
        await gate.report(0, await gate.ask(0), Report("accepted", limits={"input": (60_000, 500)}))
        at = 0.0
        while isinstance(wait := await gate.ask(at, "big", tokens=1_000_000), Delay):
            at += seconds(wait)
        return at

    assert clock.run(use) < 2


def test_known_limits_are_forgotten_after_a_minute_without_reports(clock: Clock) -> None:
    async def use(gate: Gate) -> None:
        await gate.report(0, await gate.ask(0), Report("accepted", limits={"requests": (1, 0)}))
        assert seconds(await gate.ask(1, "other")) > 4
        answers = [await gate.ask(70, f"job {n}", n) for n in range(5)]
        # The gate admits as many as one that knows no limits; by the old limit it would admit one.
        assert [isinstance(answer, str) for answer in answers] == [True] * 4 + [False]

    clock.run(use)


def test_a_request_that_was_never_reported_stops_counting_after_a_while(clock: Clock, redis: Redis) -> None:
    async def use(gate: Gate) -> None:
        for n in range(4):
            assert isinstance(await gate.ask(0, f"job {n}"), str)
        assert isinstance(await gate.ask(1, "later"), str)  # a few more are admitted as time passes
        await gate.ask(200, "last")
        assert redis.zcard(keys.gate(MODEL)[3]) == 1

    clock.run(use)


def test_the_metrics_show_whether_the_gate_is_open_how_many_requests_wait_and_the_pace(
    clock: Clock, redis: Redis
) -> None:
    async def use(gate: Gate) -> None:
        await gate.report(0, await gate.ask(0), WITH_LIMITS)
        assert gate_store.view(redis, MODEL, START_MS) == gate_store.GateView(True, 0, 0, 1.0)
        request = await gate.ask(0)
        await gate.ask(0, "a")
        await gate.ask(0, "b")
        await gate.report(0, request, Report("refused", 5))
        await gate.ask(0, "other")
        seen = gate_store.view(redis, MODEL, START_MS + 1)
        assert not seen.is_open and seen.waiting == 1 and seen.in_flight == 2

    clock.run(use)
    assert gate_store.view(redis, "another", START_MS).is_open


def test_the_gate_is_shown_as_closed_until_a_request_is_accepted_or_none_waits(clock: Clock, redis: Redis) -> None:
    def is_open(at: float) -> bool:
        return gate_store.view(redis, MODEL, START_MS + round(at * 1000)).is_open

    async def use(gate: Gate) -> None:
        await gate.report(0, await gate.ask(0), Report("refused", 1))
        assert not is_open(0.5)
        second = await gate.ask(10)
        assert not is_open(10.1)
        await gate.report(10.2, second, Report("refused", 1))
        assert is_open(20)
        third = await gate.ask(20)
        assert not is_open(20.1)
        await gate.report(20.2, third, OK)
        await gate.ask(20.3)
        assert is_open(20.3)

    clock.run(use)


@dataclass
class Bucket:
    per_minute: float
    burst: float
    at: float = 0.0
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.burst

    def wait(self, now: float, need: float) -> float:
        self.level = min(self.burst, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        return max(0.0, (need - self.level) * 60 / self.per_minute)


@dataclass(frozen=True)
class Load:
    """Describes when jobs arrive, how many turns of how many tokens each has, and the buckets of the provider."""

    arrivals: tuple[float, ...]
    requests: tuple[float, float]
    tokens: tuple[float, float] = (1e9, 1e9)
    turns: int = 1
    turn_tokens: int = 100
    seconds: float = 0.8
    begins_after: float = 0.15
    pause: float = 0.0
    refuses: Callable[[float], float | None] = lambda now: None

    @property
    def least_seconds(self) -> float:
        """Returns the seconds that the load takes at least under these limits."""
        count = len(self.arrivals) * self.turns
        by_requests = (count - self.requests[1]) * 60 / self.requests[0]
        by_tokens = (count * self.turn_tokens - self.tokens[1]) * 60 / self.tokens[0]
        return self.pause + max(by_requests, by_tokens, self.turns * self.seconds)


@dataclass
class Result:
    accepted: list[tuple[float, int]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    questions: int = 0
    last: float = 0.0


class Simulation:
    """Simulates a load in virtual time, so that waiting for seconds takes milliseconds."""

    def __init__(self, gate: Gate, load: Load, *, has_headers: bool, seed: int = 1) -> None:
        self._gate = gate
        self._load = load
        self._has_headers = has_headers
        self._choice = random.Random(seed)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], Awaitable[None]]]] = []
        self._buckets = {"requests": Bucket(*load.requests), "input": Bucket(*load.tokens)}
        self.result = Result()

    async def run(self) -> Result:
        for job, at in enumerate(self._load.arrivals):
            self._ask_at(at, job, 0)
        while self._events:
            now, _, step = heapq.heappop(self._events)
            await step(now)
        return self.result

    def _at(self, when: float, step: Callable[[float], Awaitable[None]]) -> None:
        heapq.heappush(self._events, (when, next(self._order), step))

    def _ask_at(self, when: float, job: int, turn: int) -> None:
        self._at(when, lambda now: self._ask(now, job, turn))

    async def _ask(self, now: float, job: int, turn: int) -> None:
        self.result.questions += 1
        created = round(self._load.arrivals[job] * 1000)
        answer = await self._gate.ask(now, f"job {job}", created, self._load.turn_tokens)
        if isinstance(answer, Delay):
            return self._ask_at(now + answer.wait_ms / 1000, job, turn)
        needs = {"requests": 1.0, "input": float(self._load.turn_tokens)}
        waits = [self._buckets[name].wait(now, need) for name, need in needs.items()]
        retry_after = self._load.refuses(now) or (math.ceil(max(waits)) or 1 if max(waits) > 0 else None)
        jitter = self._choice.uniform(0.7, 1.3)
        if retry_after:
            self.result.refused.append(now)
            report = Report("refused", retry_after, limits=self._headers())
            self._at(now + 0.03 * jitter, lambda at: self._report(at, answer, report, job))
            return self._ask_at(now + 0.05 * jitter, job, turn)
        for name, need in needs.items():
            self._buckets[name].level -= need
        self.result.accepted.append((now, job))
        report = Report("accepted", limits=self._headers())
        self._at(now + self._load.begins_after * jitter, lambda at: self._report(at, answer, report, job))
        self._at(now + self._load.seconds * jitter, lambda at: self._end(at, job, turn))

    async def _report(self, now: float, request: Delay | str, report: Report, job: int) -> None:
        await self._gate.report(now, request, report, f"job {job}")

    async def _end(self, now: float, job: int, turn: int) -> None:
        self.result.last = max(self.result.last, now)
        if turn + 1 < self._load.turns:
            self._ask_at(now + 0.1, job, turn + 1)

    def _headers(self) -> dict[LimitName, tuple[float, float]] | None:
        if not self._has_headers:
            return None
        requests, tokens = self._buckets["requests"], self._buckets["input"]
        return {
            "requests": (requests.per_minute, math.floor(requests.level)),
            "input": (tokens.per_minute, round(tokens.level, -3)),
        }


def at_once(count: int) -> tuple[float, ...]:
    return tuple(n * 0.002 for n in range(count))


SMALL = Load(at_once(40), (60, 5))
LOADS: dict[str, tuple[Load, float, float]] = {
    # Each entry is the load, and how many requests may be refused at most with and without rate-limit headers.
    "40 jobs, 60 requests a minute, bucket 5": (SMALL, 4, 10),
    "the same, and the model takes its time": (Load(at_once(40), (60, 5), seconds=2, begins_after=1.5), 4, 10),
    "200 jobs, 1,000 requests a minute, bucket 50": (Load(at_once(200), (1000, 50), turns=2), 4, 40),
    "input tokens: 60 jobs of 3 turns": (Load(at_once(60), (4000, 100), (80_000, 80_000), 3, 4000), 4, 20),
    "large requests": (Load(at_once(20), (50, 50), (30_000, 30_000), 2, 8000), 4, 10),
    "10 jobs, a pause, 40 jobs": (
        Load(at_once(10) + tuple(40 + each for each in at_once(40)), (60, 5), pause=30),
        4,
        10,
    ),
}


@pytest.mark.parametrize("has_headers", [True, False], ids=["headers", "stripped"])
@pytest.mark.parametrize("name", LOADS)
def test_a_load_is_done_in_little_more_than_the_limit_takes_and_few_requests_are_refused(
    clock: Clock, name: str, has_headers: bool
) -> None:
    load, most_told, most_blind = LOADS[name]
    result = clock.run(lambda gate: Simulation(gate, load, has_headers=has_headers).run())
    assert len(result.accepted) == len(load.arrivals) * load.turns
    assert len(result.refused) <= (most_told if has_headers else most_blind)
    assert result.last <= 1.25 * load.least_seconds + load.seconds
    first_turns = [job for _, job in result.accepted[: len(load.arrivals)]]
    if load is SMALL and has_headers:
        assert first_turns == sorted(first_turns)


def test_no_request_is_sent_before_a_retry_after_is_over_and_all_complete(clock: Clock) -> None:
    refusals = iter([45.0])
    load = Load(at_once(40), (600, 50), refuses=lambda now: next(refusals, None))
    result = clock.run(lambda gate: Simulation(gate, load, has_headers=True).run())
    [refused] = result.refused
    assert len(result.accepted) == 40
    # Only requests that were sent before the first refusal may be accepted earlier.
    late = [at for at, _ in result.accepted if at > refused + 0.05]
    assert min(late) >= refused + 45 and result.last < 60


def test_far_below_the_limits_no_request_is_delayed(clock: Clock) -> None:
    load = Load(at_once(100), (60_000, 1000), turns=4)
    result = clock.run(lambda gate: Simulation(gate, load, has_headers=True).run())
    assert result.refused == [] and result.last < 1.3 * (4 * 0.8 + 0.3) + 0.6
    assert result.questions < 2 * len(result.accepted)


def test_a_question_takes_less_than_5_ms(clock: Clock, redis: Redis) -> None:
    async def use(gate: Gate) -> float:
        store = gate.store
        await store.report(MODEL, "x", "job", Report("accepted", limits={"requests": (1e7, 1e7)}))
        took = []
        for n in range(300):
            began = time.perf_counter()
            assert await store.ask(MODEL, f"r{n}", "job", 0, 100) is None
            took.append(time.perf_counter() - began)
            await store.report(MODEL, f"r{n}", "job", Report("accepted", limits={"requests": (1e7, 1e7)}))
        return sorted(took)[len(took) // 2]

    assert clock.run(use) < 0.005
    commands = redis.info("commandstats")
    assert commands["cmdstat_evalsha"]["usec_per_call"] < 500

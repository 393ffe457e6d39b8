"""Runs one job: its attempts, one after the other, until the job has ended or this worker has to give it up."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from shared.clock import now_ms
from shared.contract.events import Cancelled, Complete, Event, Failed
from shared.contract.schemas import TokenUsage
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed, AttemptLost
from shared.state.outcomes import Attempt, AttemptStatus, NotStarted
from worker.agent.conversation import Conversation
from worker.agent.request import LEAST_SUGGESTIONS, MOST_SUGGESTIONS, Answer
from worker.jobs.job_context import JobContext, Outcome, Stop
from worker.jobs.running_attempt import RunningAttempt
from worker.jobs.turn_writer import TurnWriter

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""The pause before a job's second attempt; it doubles with each further one."""


class RunningJob:
    """Runs one job on the worker's event loop. `stop` may be called at any time, even before `run`."""

    def __init__(self, attempt: Attempt, context: JobContext, kept: Iterable[bytes] = ()) -> None:
        """Builds the job. `kept` are the packed turns that earlier attempts on other workers have stored."""
        self.attempt = attempt
        self.is_renumbering = False
        """Whether the next attempt is being started in Redis; a refused renewal of the old one then means nothing."""
        self._context = context
        self._stop: Stop | None = None
        self._step: asyncio.Task[Any] | None = None
        self._conversation = Conversation()
        self._conversation.load(kept)
        self._conversation.waited_seconds = attempt.waited_ms / 1000
        self._turns = TurnWriter(context.keep_turn, len(self._conversation.turns))
        self._current: RunningAttempt | None = None
        self._may_wait = True

    @property
    def waited_ms(self) -> int:
        """Returns how long the job has waited for its model's provider, in milliseconds on all workers together."""
        return round(self._conversation.waited_seconds * 1000)

    @property
    def usage(self) -> TokenUsage:
        """Returns the tokens that all attempts of the job so far have used."""
        return self.attempt.usage if self._current is None else self._current.usage

    @property
    def is_waiting(self) -> bool:
        """Returns whether the job waits for its model's provider now."""
        return self._current is not None and self._current.is_waiting

    @property
    def is_held(self) -> bool:
        """Returns whether the job waits for its model's provider, or has not sent a request to it yet."""
        return self.is_waiting or not self._context.gate.has_let_go

    def stop(self, reason: Stop) -> None:
        """Stops the current attempt. What happens to the job then depends on the reason."""
        if self._stop is None or reason.value > self._stop.value:
            self._stop = reason
        if self._step is not None:
            self._step.cancel()

    def release_if_waiting(self) -> None:
        """Gives the job back as soon as it waits for its provider, because the worker is about to stop."""
        self._may_wait = False
        if self.is_waiting:
            self.stop(Stop.DRAIN)

    async def run(self) -> Outcome:
        """Runs attempts until the job has ended or has left this worker. It publishes at most one final event."""
        # The execution time counts from the first attempt, which may have run on another worker.
        began = time.monotonic() - self.attempt.ran_ms / 1000
        while True:
            current = self._new_attempt()
            publisher, telemetry = current.publisher, current.telemetry
            try:
                final = await self._attempt(current, began)
                if isinstance(final, AttemptFailed):
                    telemetry.failed(final)
                    if (after := await self._start_over(final, current)) is None:
                        continue
                    final = after
                if isinstance(final, Outcome):
                    telemetry.given_up(final.value)
                    return final
                match await publisher.finish(final):
                    case AttemptStatus.LOST:
                        return Outcome.LOST
                    case AttemptStatus.REFUSED:
                        telemetry.given_up(Outcome.REFUSED.value)
                        return Outcome.REFUSED
                telemetry.ended(final)
                return Outcome.ENDED
            except AttemptLost:
                return Outcome.LOST
            finally:
                await publisher.stop()
                telemetry.close()

    def _new_attempt(self) -> RunningAttempt:
        publisher = self._context.new_publisher(self.attempt.number, self._on_append_reply)
        self._current = RunningAttempt(
            self.attempt, self._context, self._conversation, self._turns, publisher, self._refuse_to_wait
        )
        return self._current

    def _refuse_to_wait(self) -> bool:
        """Gives the job back where the worker is about to stop. Returns whether it did."""
        if not self._may_wait:
            self.stop(Stop.DRAIN)
        return not self._may_wait

    async def _attempt(self, current: RunningAttempt, began: float) -> Event | AttemptFailed | Outcome:
        """Runs one attempt.

        Returns the final event of the job, the failure after which another attempt may follow, or why this worker gave
        the job up.
        """
        # `started` is published even if the attempt ends at once: it tells viewers to discard the attempt before.
        publisher = current.publisher
        current.publish_started()
        step = await self._wait_for(asyncio.create_task(current.ask()))
        await publisher.stop()
        if step.cancelled() or self._stop in (Stop.LOST, Stop.REFUSED):
            return self._result_of_stop(current)
        error = step.exception()
        match error:
            case None:
                return self._complete(step.result(), current, began)
            case AttemptFailed(is_cut=True) if len(publisher.suggestions) >= LEAST_SUGGESTIONS:
                log.warning("the answer was cut off; its complete suggestions are delivered: %s", error)
                whole = Answer(context=publisher.context, suggestions=publisher.suggestions[:MOST_SUGGESTIONS])
                return self._complete(whole, current, began, is_partial=True)
            case AttemptLost():
                return Outcome.LOST
            case AttemptFailed(worth_retrying=True):
                return self._result_of_stop(current) if self._stop is not None else error
            case AttemptFailed():
                current.telemetry.failed(error)
                return self._failed(error)
        current.telemetry.raised(error)
        return Failed.of(ErrorCode.INTERNAL, now_ms())

    async def _wait_for(self, step: asyncio.Task[T]) -> asyncio.Task[T]:
        """Waits for a step, which `stop` may cancel, and returns it."""
        self._step = step
        if self._stop is not None:
            step.cancel()
        await asyncio.wait({step})
        self._step = None
        return step

    async def _start_over(self, failure: AttemptFailed, current: RunningAttempt) -> Event | Outcome | None:
        """Pauses after a failure, then starts the next attempt.

        Returns None when it is started, else the final event of the job, or why this worker gave it up. A stop during
        the pause ends the attempt that failed.
        """
        if self.attempt.failures + 1 >= self._context.max_attempts:
            return self._failed(failure)
        await self._wait_for(asyncio.create_task(asyncio.sleep(self._pause_seconds())))
        if self._stop is not None:
            return self._result_of_stop(current)
        return None if await self._next_attempt(current) else self._failed(failure)

    async def _next_attempt(self, current: RunningAttempt) -> bool:
        """Starts the next attempt. Returns False where the job has used up its attempts. Raises AttemptLost."""
        self.is_renumbering = True
        try:
            last = replace(self.attempt, usage=current.usage)
            outcome = await asyncio.to_thread(self._context.start_again, last)
            if isinstance(outcome, Attempt):
                self.attempt = outcome
                return True
        finally:
            self.is_renumbering = False
        if outcome is NotStarted.USED_UP:
            return False
        raise AttemptLost(self.attempt.job_id)

    def _pause_seconds(self) -> float:
        return float(RETRY_SECONDS * 2**self.attempt.failures * random.uniform(0.5, 1))  # noqa: S311

    def _on_append_reply(self, status: AttemptStatus) -> None:
        """Handles the log's answer to an event. A cancel arrives this way at the latest."""
        if status is AttemptStatus.LOST:
            self.stop(Stop.LOST)
        elif status is AttemptStatus.CANCEL_ASKED:
            self.stop(Stop.CANCEL)
        elif status is AttemptStatus.REFUSED:
            self.stop(Stop.REFUSED)

    def _result_of_stop(self, current: RunningAttempt) -> Event | Outcome:
        match self._stop:
            case Stop.CANCEL:
                return Cancelled(token_usage=current.usage, timestamp=now_ms())
            case Stop.DRAIN:
                return Outcome.DRAINED
            case Stop.REFUSED:
                return Outcome.REFUSED
        return Outcome.LOST

    def _complete(self, answer: Answer, current: RunningAttempt, began: float, *, is_partial: bool = False) -> Complete:
        return Complete(
            suggestions=[self._conversation.proven(each) for each in answer.suggestions],
            context=answer.context,
            is_partial=is_partial,
            token_usage=current.usage,
            model=self._context.model,
            execution_time_ms=int((time.monotonic() - began) * 1000),
            retry_count=self.attempt.failures,
            timestamp=now_ms(),
        )

    def _failed(self, failure: AttemptFailed) -> Failed:
        return Failed.of(failure.code, now_ms(), is_retryable=failure.is_retryable)

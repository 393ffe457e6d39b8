"""Takes the turns of one attempt.

A turn is one request and its response. A failed request is sent again, unless text of its answer was shown already.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from anthropic import APIError, APIStatusError, AsyncAnthropic
from httpx2 import HTTPError, StreamError

from shared.contract.schemas import TokenUsage
from shared.contract.values import ErrorCode
from shared.errors import AttemptFailed
from worker.agent.event_reader import EventReader
from worker.agent.input_estimates import InputEstimates, later
from worker.agent.model_call import ModelCall
from worker.agent.model_errors import ProviderRefused, as_attempt_failure
from worker.agent.provider_waits import ProviderWaits, Resumes, Waits
from worker.agent.turn import Said, Spent, Turn, UsedTool, Wrote

log = logging.getLogger(__name__)

MAX_TRIES = 4
"""The most requests for one turn. Refusals by the provider do not count: waiting for it is limited by time."""

TurnEvent = Wrote | Said | UsedTool | Spent | Waits | Resumes


class TurnTaker:
    """Requests one turn after the other. The `spent` of `turn`, the latest, includes earlier and failed ones."""

    def __init__(self, client: AsyncAnthropic, waits: ProviderWaits, estimates: InputEstimates) -> None:
        self._client = client
        self._waits = waits
        self._estimates = estimates
        self._sent = 0
        """How many of the conversation's messages the model has been sent."""
        self._last = TokenUsage()
        self.turn = Turn()

    async def take(self, request: dict[str, Any]) -> AsyncGenerator[TurnEvent, None]:
        """Yields the next turn as it happens. Raises AttemptFailed for a failure that is not retried.

        Calls of tools are yielded when the turn is whole, since a repeated request may lead to other calls.
        """
        failures, has_shown = 0, False
        while True:
            self.turn = Turn(self.turn.spent)
            async with aclosing(self._waits.admission(lambda: self._input_tokens(request))) as waits:
                async for wait in waits:
                    yield wait
            try:
                async with aclosing(self._response(request, self.turn)) as events:
                    async for event in events:
                        has_shown = has_shown or isinstance(event, Wrote)
                        yield event
                if (failure := _failure_of(self.turn, is_last=failures + 1 >= MAX_TRIES)) is None:
                    break
                self._waits.failed(failure, None, has_begun=True)
                raise failure
            except AttemptFailed as failure:
                failures += not isinstance(failure, ProviderRefused)
                if has_shown or not failure.worth_retrying or failures >= MAX_TRIES:
                    raise
                log.warning("a request to the model failed and is sent again: %s", failure)
        self._note(request)

    async def _response(
        self, request: dict[str, Any], turn: Turn
    ) -> AsyncGenerator[Wrote | Said | UsedTool | Spent, None]:
        """Sends one request and reads its response as bytes, since parsing it into the SDK's models is slow."""
        has_begun, used = False, list[UsedTool]()
        try:
            with ModelCall(request["model"], turn):
                async with self._client.beta.messages.with_streaming_response.create(**request) as response:
                    self._waits.accepted(dict(response.headers))
                    has_begun, reader = True, EventReader()
                    async for piece in response.iter_bytes():
                        for event in reader.read(piece):
                            result = turn.take(event)
                            if isinstance(result, UsedTool):
                                used.append(result)
                            elif result:
                                yield result
        except (APIError, HTTPError, StreamError) as error:
            failure = as_attempt_failure(error)
            headers = dict(error.response.headers) if isinstance(error, APIStatusError) else None
            self._waits.failed(failure, headers, has_begun=has_begun)
            raise failure from error
        except AttemptFailed as failure:
            self._waits.failed(failure, None, has_begun=has_begun)
            raise
        except BaseException:
            if not has_begun:
                self._waits.report_unknown()
            raise
        for each in used if turn.is_whole else ():
            yield each

    def _input_tokens(self, request: dict[str, Any]) -> int:
        if not self._sent:
            return self._estimates.first(request)
        return later(request["messages"][self._sent :], self._last)

    def _note(self, request: dict[str, Any]) -> None:
        self._waits.succeeded()
        if not self._sent:
            self._estimates.learn(request, self.turn.usage)
        self._sent, self._last = len(request["messages"]), self.turn.usage


def _failure_of(turn: Turn, *, is_last: bool) -> AttemptFailed | None:
    """Returns what is wrong with a turn whose response has ended; None if nothing is."""
    if not turn.is_whole:
        return AttemptFailed(ErrorCode.MODEL_UNAVAILABLE, "the model's response ended early", worth_retrying=True)
    if turn.is_empty:
        return AttemptFailed(ErrorCode.BAD_OUTPUT, "the turn says nothing", worth_retrying=not is_last)
    return None

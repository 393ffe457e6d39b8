"""Publishes one attempt: its events in order, and its text in pieces at least an interval apart."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.clock import now_ms
from shared.contract.events import Delta, Event, SuggestionReady
from shared.contract.schemas import Suggestion, TokenUsage
from shared.contract.values import ErrorCode, JobStatus
from shared.errors import AttemptFailed
from shared.state.event_log import MAX_LOG_BYTES
from shared.state.outcomes import AttemptStatus
from worker.publishing.log_writer import Append, LogWriter
from worker.publishing.partial_answer import PartialAnswer


@dataclass(frozen=True)
class Lifetimes:
    """Holds how long a job is kept after an event, in milliseconds: while it runs, and after it has ended."""

    running_ms: int
    ended_ms: Callable[[JobStatus], int]


class Publisher:
    """Publishes the events of one attempt. `on_answer` is called with the log's answer to each of them."""

    def __init__(
        self,
        writer: LogWriter,
        job_id: str,
        attempt: int,
        *,
        lifetimes: Lifetimes,
        interval_seconds: float,
        run: str = "",
        on_answer: Callable[[AttemptStatus], None],
    ) -> None:
        self._writer = writer
        self._job_id = job_id
        self._attempt = attempt
        self._run = run
        self._lifetimes = lifetimes
        self._interval_seconds = interval_seconds
        self._on_answer = on_answer
        self._answer = PartialAnswer()
        self.suggestions: list[Suggestion] = []
        """The complete suggestions, as they were published."""
        self._sequence = 0
        self._sent_length = 0
        self._logged_bytes = 0
        self._usage = ""
        self._has_text = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self.on_first_text: Callable[[], None] = lambda: None
        self.proven: Callable[[Suggestion], Suggestion] = lambda suggestion: suggestion.model_copy(update={"files": []})
        """Removes files that no tool has shown from a suggestion, before it is published."""

    @property
    def context(self) -> str | None:
        """Returns the answer's `context`, once a suggestion is complete."""
        return self._answer.context

    def publish(self, event: Event) -> asyncio.Future[AttemptStatus]:
        """Appends an event behind all earlier ones. The future's result is the log's answer."""
        self._sequence += 1
        data = event.encode()
        status = event.final_status
        if status is None:
            self._logged_bytes += len(data)
        ttl_ms = self._lifetimes.ended_ms(status) if status else self._lifetimes.running_ms
        usage, self._usage = self._usage, ""
        append = Append(
            self._job_id,
            self._attempt,
            self._sequence,
            event.event,
            data,
            ttl_ms,
            status.value if status else "",
            usage,
            self._run,
        )
        answer = self._writer.append(append)
        answer.add_done_callback(lambda done: None if done.cancelled() else self._on_answer(done.result()))
        return answer

    def spent(self, usage: TokenUsage) -> None:
        """Records the tokens that the job has used so far; they are stored with the next event."""
        self._usage = usage.model_dump_json()

    def write(self, piece: str) -> None:
        """Takes a piece of the answer's JSON. Raises AttemptFailed when the log is full."""
        self._answer.write(piece)
        for index, suggestion in self._answer.take_suggestions():
            self.suggestions.append(self.proven(suggestion))
            self.publish(SuggestionReady(index=index, suggestion=self.suggestions[-1], timestamp=now_ms()))
        if self._logged_bytes > MAX_LOG_BYTES:
            raise AttemptFailed(
                ErrorCode.BAD_OUTPUT, f"the events of the attempt are longer than {MAX_LOG_BYTES} bytes"
            )
        self._has_text.set()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_text_until_stopped())

    async def finish(self, event: Event) -> AttemptStatus:
        """Publishes the rest of the text, then the final event. Returns the log's answer to the latter."""
        await self.stop()
        self._send_text()
        return await self.publish(event)

    async def stop(self) -> None:
        """Stops sending deltas at intervals."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})
            self._sender = None

    async def _send_text_until_stopped(self) -> None:
        while True:
            await self._has_text.wait()
            self._has_text.clear()
            if answer := self._send_text():
                await asyncio.sleep(self._interval_seconds)
                if not answer.done():
                    # It waits for the answer, so that a slow Redis causes longer pieces rather than a longer queue.
                    await asyncio.wait({answer})

    def _send_text(self) -> asyncio.Future[AttemptStatus] | None:
        text = self._answer.text()
        if len(text) == self._sent_length:
            return None
        if not self._sent_length:
            self.on_first_text()
        piece, self._sent_length = text[self._sent_length :], len(text)
        return self.publish(Delta(text=piece, total_length=len(text), timestamp=now_ms()))

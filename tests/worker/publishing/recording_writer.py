"""A log writer's stand-in: keeps what is appended."""

import asyncio

from shared.state.outcomes import AttemptStatus
from worker.publishing.log_writer import Append


class RecordingWriter:
    """Takes appends at once, or answers what the test set."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.answer = AttemptStatus.CURRENT

    def append(self, event: Append) -> "asyncio.Future[AttemptStatus]":
        self.appends.append(event)
        future: asyncio.Future[AttemptStatus] = asyncio.get_running_loop().create_future()
        future.set_result(self.answer)
        return future

    @property
    def published(self) -> list[str]:
        return [f"{append.attempt}-{append.sequence} {append.name}" for append in self.appends]

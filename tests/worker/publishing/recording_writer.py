"""Provides a stand-in for the log writer."""

import asyncio

from shared.state.outcomes import AttemptStatus
from worker.publishing.log_writer import Append


class RecordingWriter:
    """Stands in for the log writer: records what is appended, and answers at once with `answer`."""

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

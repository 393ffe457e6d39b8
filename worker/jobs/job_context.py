"""Defines what the worker gives to a running job, why a job may be stopped, and how its run can end."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from shared.contract.schemas import JobInput, SuggestionAgent
from shared.state.outcomes import Attempt, AttemptStatus, NotStarted
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import AgentEvent
from worker.agent.gate import Gate
from worker.jobs.turn_writer import KeepTurn
from worker.publishing.publisher import Publisher


class Stop(Enum):
    """Says why a job is stopped from outside. Of several reasons the one with the greatest value counts."""

    DRAIN = 1
    CANCEL = 2
    REFUSED = 3
    """Redis refuses the events of the job."""
    LOST = 4


class Outcome(Enum):
    """Says how the run of a job on this worker has ended."""

    ENDED = "ended"
    DRAINED = "drained"
    LOST = "lost"
    """The job has been taken from this worker, which must not change anything of it."""
    REFUSED = "refused"
    """Redis refuses the events of the job, so its end has to be stored without appending to the log."""


class Agent(Protocol):
    """Is what a running job needs of the agent."""

    def suggest(
        self,
        job: JobInput,
        model: str,
        agent: SuggestionAgent | None,
        conversation: Conversation,
        gate: Gate | None = None,
    ) -> AsyncGenerator[AgentEvent, None]: ...

    def turns_kept(self, model: str, agent: SuggestionAgent | None, conversation: Conversation) -> int: ...


@dataclass(frozen=True)
class JobContext:
    """Holds what the worker gives to a running job."""

    agent: Agent
    model: str
    model_label: str
    """The label of the model in the metrics: one of a few names."""
    user_agent: SuggestionAgent | None
    timeout_seconds: float
    max_attempts: int
    new_publisher: Callable[[int, Callable[[AttemptStatus], None]], Publisher]
    gate: Gate
    start_again: Callable[[Attempt], Attempt | NotStarted]
    """Starts the attempt after one that failed. It waits for Redis, so it is called in another thread."""
    keep_turn: KeepTurn

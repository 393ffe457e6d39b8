"""What a running job is given by the worker around it, why it may be stopped, and how its run can come out."""

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
    """Why a job is stopped from outside, the weightier the later."""

    DRAIN = 1
    CANCEL = 2
    REFUSED = 3
    """Redis refuses the events of the job."""
    LOST = 4


class Outcome(Enum):
    """How a run of a job on this worker came out."""

    ENDED = "ended"
    DRAINED = "drained"
    LOST = "lost"
    """The job is no longer this worker's: nothing of it may be touched."""
    REFUSED = "refused"
    """Redis refuses the events of the job, so its end has to be written in another way."""


class Agent(Protocol):
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
    """What a running job needs from around it."""

    agent: Agent
    model: str
    model_label: str
    """The model as the metrics name it: one of a few."""
    user_agent: SuggestionAgent | None
    timeout_seconds: float
    max_attempts: int
    new_publisher: Callable[[int, Callable[[AttemptStatus], None]], Publisher]
    gate: Gate
    start_again: Callable[[Attempt], Attempt | NotStarted]
    """Starts the attempt after one that failed. It waits for Redis, so it is called in another thread."""
    keep_turn: KeepTurn

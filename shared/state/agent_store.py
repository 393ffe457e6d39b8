"""Stores the users' own suggestion agents in Redis."""

import logging
from uuid import uuid4

from pydantic import ValidationError
from redis import Redis
from redis.client import Pipeline

from shared.clock import now_ms
from shared.contract.schemas import SuggestionAgent, SuggestionAgentBody
from shared.state import keys

log = logging.getLogger(__name__)


class AgentStore:
    """Keeps one agent for each user. Every method may raise redis.RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, user_id: str) -> SuggestionAgent | None:
        """Returns the user's agent. A record that cannot be read counts as absent: the user can store a new one."""
        return _decode(self._redis.get(keys.agent(user_id)))

    def put(self, user_id: str, body: SuggestionAgentBody) -> tuple[SuggestionAgent, bool]:
        """Creates or replaces the agent. Its id and time of creation stay when it is replaced.

        Returns the agent, and whether it is new.
        """
        key = keys.agent(user_id)
        agent, is_new = _agent(body, None), True

        def replace(pipeline: Pipeline) -> None:
            nonlocal agent, is_new
            old = _decode(pipeline.get(key))
            agent, is_new = _agent(body, old), old is None
            pipeline.multi()
            pipeline.set(key, agent.model_dump_json())

        # WATCH: of two concurrent first puts the second must keep the first one's id.
        self._redis.transaction(replace, key)
        return agent, is_new

    def delete(self, user_id: str) -> bool:
        """Deletes the user's agent. Returns whether there was one."""
        return bool(self._redis.delete(keys.agent(user_id)))


def _agent(body: SuggestionAgentBody, old: SuggestionAgent | None) -> SuggestionAgent:
    now = now_ms()
    return SuggestionAgent(
        **body.model_dump(by_alias=False),
        agent_id=old.agent_id if old else str(uuid4()),
        created_at=old.created_at if old else now,
        updated_at=max(now, old.updated_at) if old else now,
    )


def _decode(data: object) -> SuggestionAgent | None:
    if not isinstance(data, bytes):
        return None
    try:
        return SuggestionAgent.model_validate_json(data)
    except ValidationError as error:
        log.warning("a stored suggestion agent cannot be read and counts as absent: %d errors", error.error_count())
        return None

"""Finds other workers in this Redis database: those of another deployment on our queue, and those of other programs.

A worker of ours stores a short hash of its settings in RQ's record of it. Workers of one deployment have the same
hash, except for the minutes of a deploy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from redis import Redis

from shared.state import keys

SETTINGS_FIELD = "planner_settings"
"""The field of RQ's record of a worker that holds the hash of its settings."""
_WORKERS = "rq:workers"


@dataclass(frozen=True)
class Neighbours:
    """Holds the names of the workers that RQ lists in the database."""

    by_settings: dict[str, list[str]]
    """Workers on our queue by the hash of their settings; under '' those of other programs, which break our rules."""
    elsewhere: dict[str, list[str]]
    """Workers of other programs, by their queues. Deployments of ours with another prefix are not among them."""


def settings_hash(values: Iterable[object]) -> str:
    """Returns a short hash that is the same for workers with the same settings."""
    return sha256("\0".join(map(str, values)).encode()).hexdigest()[:12]


def find_neighbours(redis: Redis) -> Neighbours:
    """Reads RQ's list of workers. Raises redis.RedisError."""
    names = sorted(cast(set[bytes], redis.smembers(_WORKERS)))
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.hmget(name.decode(errors="replace"), "queues", SETTINGS_FIELD, "death")
    found = Neighbours({}, {})
    for name, record in zip(names, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(record, Exception) or record[0] is None or record[2] is not None:
            continue
        queues, settings = (part.decode(errors="replace") if part else "" for part in record[:2])
        shown = name.decode(errors="replace").removeprefix("rq:worker:")
        if keys.QUEUE_NAME in queues.split(","):
            found.by_settings.setdefault(settings, []).append(shown)
        elif not settings:
            found.elsewhere.setdefault(queues, []).append(shown)
    return found


def describe_queue(found: Neighbours) -> str | None:
    """Returns what is wrong with the workers of our queue; None where all belong to one deployment."""
    if foreign := found.by_settings.get(""):
        return f"workers of another program take jobs from the queue {keys.QUEUE_NAME}: {_shown(foreign)}"
    if len(found.by_settings) > 1:
        groups = "; ".join(_shown(names) for names in found.by_settings.values())
        return (
            f"workers of the queue {keys.QUEUE_NAME} have different settings: {groups}. Unless a deploy is under way,"
            " another deployment shares the database: give each a REDIS_PREFIX"
        )
    return None


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:100] for name in names[:3]) + more

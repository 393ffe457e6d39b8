"""Asks Redis whether it takes writes, for the readiness probe of the web process."""

from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from shared.state import keys
from shared.state.diagnosis import is_forbidden
from shared.state.primary import NotPrimaryError
from shared.state.queue_view import WORKER_ALIVE_MS

RedisState = Literal["ok", "full", "replica", "forbidden", "unavailable"]
"""`full`: it has no memory for new jobs; what runs goes on. `replica`: it takes no writes. `forbidden`: the user in
REDIS_URL lacks rights."""

# By Redis's own clock, as the workers' times are; and one round trip, so that one time-out bounds it. The first line
# would need memory, and a full Redis refuses it; the second is a write that it takes, and that a replica, or a user
# without the rights, refuses. Neither changes anything.
_COUNT_WORKERS = """
local asked = redis.pcall('ZADD', KEYS[1], 'XX', 0, '')
redis.call('ZREM', KEYS[1], '')
local now = redis.call('TIME')
local since = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1]
local is_full = type(asked) == 'table' and string.find(asked.err, 'OOM command', 1, true)
return {redis.call('ZCOUNT', KEYS[1], since, '+inf'), is_full and 1 or 0}
"""


def ask(redis: Redis) -> tuple[RedisState, int | None]:
    """Returns the state of Redis, and how many workers are alive; None for their number when Redis cannot be asked."""
    try:
        answer = redis.eval(_COUNT_WORKERS, 1, keys.WORKERS, str(WORKER_ALIVE_MS))
    except NotPrimaryError:
        return "replica", None
    except RedisError as error:
        return "forbidden" if is_forbidden(error) else "unavailable", None
    assert isinstance(answer, list)
    count, is_full = answer
    return "full" if is_full else "ok", count

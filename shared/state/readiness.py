"""Whether Redis can be worked with, as the readiness of the web process asks it."""

from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from shared.state import keys
from shared.state.diagnosis import is_forbidden
from shared.state.primary import NotPrimaryError

WORKER_HEARTBEAT_SECONDS = 10
"""A worker counts as alive when its last heartbeat is no older than this."""

RedisState = Literal["ok", "replica", "forbidden", "unavailable"]
"""`replica`: it takes no writes; `forbidden`: the user in REDIS_URL lacks rights."""

# By Redis's own clock, as the workers' times are; and one round trip, so that one time-out bounds it. The first line
# changes nothing and is a write: a replica, or a user without the rights, refuses it.
_COUNT_WORKERS = """
redis.call('ZREM', KEYS[1], '')
local now = redis.call('TIME')
local since = (now[1] - ARGV[1]) * 1000 + math.floor(now[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], since, '+inf')
"""


def ask(redis: Redis) -> tuple[RedisState, int | None]:
    """Returns how Redis is, and how many workers are alive; None when it cannot be asked."""
    try:
        count = redis.eval(_COUNT_WORKERS, 1, keys.WORKERS, str(WORKER_HEARTBEAT_SECONDS))
    except NotPrimaryError:
        return "replica", None
    except RedisError as error:
        return "forbidden" if is_forbidden(error) else "unavailable", None
    assert isinstance(count, int)
    return "ok", count

"""Lists the rights that the Redis user needs: the commands, keys and channels of both processes, RQ's included."""

from collections.abc import Iterable

from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ResponseError

from shared.state import keys

_CALLS = """
blmove KEY KEY LEFT RIGHT 1
del KEY
eval return 0
evalsha SHA 0
exists KEY
expire KEY 1
get KEY
hdel KEY FIELD
hget KEY FIELD
hgetall KEY
hincrby KEY FIELD 1
hincrbyfloat KEY FIELD 1
hmget KEY FIELD
hset KEY FIELD VALUE
info
lindex KEY 0
llen KEY
lpos KEY VALUE
lpush KEY VALUE
lrange KEY 0 0
lrem KEY 0 VALUE
persist KEY
pexpire KEY 1
ping
publish CHANNEL MESSAGE
pubsub|numsub
rpush KEY VALUE
sadd KEY VALUE
script|load TEXT
set KEY VALUE
smembers KEY
srem KEY VALUE
subscribe CHANNEL
time
type KEY
xadd KEY * FIELD VALUE
xrange KEY - +
xrevrange KEY + -
zadd KEY 1 VALUE
zcard KEY
zcount KEY 0 1
zrange KEY 0 1
zrangebyscore KEY 0 1
zrank KEY VALUE
zrem KEY VALUE
zremrangebyrank KEY 0 1
zremrangebyscore KEY 0 1
zrevrange KEY 0 1
zscore KEY VALUE
"""
"""A call of each command that is needed. None of them is ever carried out: they are queued in a transaction, which
asks for the same rights, and then discarded."""
NOT_TRIED = (
    *("client|info", "client|setname", "hello"),
    *("discard", "exec", "multi", "select", "unsubscribe", "unwatch", "watch"),
)
"""What the processes do without where they must, and what a transaction cannot hold. Not among them: CLIENT SETINFO,
which redis-py tries too, but which an ACL of Redis 7.0 does not know."""

COMMANDS = tuple(sorted({line.split()[0] for line in _CALLS.strip().splitlines()} | set(NOT_TRIED)))


def key_patterns() -> tuple[str, ...]:
    """Returns patterns of the keys that the processes use. Those of RQ have no prefix."""
    return (*(f"{keys.prefix}{kind}:*" for kind in ("suggestion", "agent", "planner")), "rq:*")


def channel_patterns() -> tuple[str, ...]:
    """Returns patterns of the channels that the processes use."""
    return f"{keys.prefix}suggestion:*", "rq:pubsub:*"


def acl_rules() -> str:
    """Returns the rules of a user with the fewest rights, in the syntax of ACL SETUSER and of an ACL file."""
    grants = [f"~{pattern}" for pattern in key_patterns()] + [f"&{pattern}" for pattern in channel_patterns()]
    return " ".join(["resetkeys", "resetchannels", *grants, "-@all", *(f"+{command}" for command in COMMANDS)])


def missing(redis: Redis) -> list[str]:
    """Returns the rules that this user lacks. It changes nothing in Redis. Raises redis.RedisError."""
    probe = f"{keys.prefix}suggestion:rights"
    calls = [(f"+{line.split()[0]}", _arguments(line, probe)) for line in _CALLS.strip().splitlines()]
    # Two commands are tried for each key, since the right to one command may be missing as well.
    for pattern in key_patterns():
        calls += [(f"~{pattern}", (command, pattern.replace("*", "rights"))) for command in ("EXISTS", "TYPE")]
    for pattern in channel_patterns():
        channel = pattern.replace("*", "rights")
        calls += [(f"&{pattern}", call) for call in (("PUBLISH", channel, ""), ("SUBSCRIBE", channel))]
    refusals = _try_all(redis, (call for _, call in calls))
    allowed = {rule for (rule, _), is_refused in zip(calls, refusals, strict=True) if not is_refused}
    # A command may be refused for its key or channel: the command is missing only where those are allowed.
    if f"~{key_patterns()[0]}" not in allowed:
        allowed |= {rule for rule, call in calls if rule.startswith("+") and probe in call}
    if f"&{channel_patterns()[0]}" not in allowed:
        allowed |= {"+publish", "+subscribe"}
    return list(dict.fromkeys(rule for rule, _ in calls if rule not in allowed))


def _arguments(line: str, name: str) -> tuple[str, ...]:
    command, *rest = line.split()
    return (*command.split("|"), *(name if part in ("KEY", "CHANNEL") else part for part in rest))


def _try_all(redis: Redis, calls: Iterable[tuple[str, ...]]) -> list[bool]:
    """Returns for each of the calls whether it is refused because a right is missing."""
    commands = [("MULTI",), *calls]
    with redis.client() as client:  # one connection, since a transaction belongs to it
        connection = client.connection
        assert connection is not None
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_is_refused(connection) for _ in commands][1:]
        finally:
            connection.disconnect()  # which discards the transaction


def _is_refused(connection: AbstractConnection) -> bool:
    try:
        connection.read_response()
    except NoPermissionError:
        return True
    except ResponseError as error:
        return "unknown command" in str(error).lower()
    return False

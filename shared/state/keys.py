"""Names every key in Redis.

suggestion:<jobId>           hash     the record: user, status, input, attempt, holder, ...
suggestion:<jobId>:events    stream   the log; entry id = SSE id
suggestion:<jobId>:turns     list     whole turns of the conversation with the model, compressed
suggestion:<jobId>:live      channel  what is appended to the log, as it is appended
agent:<userId>               string   a user's suggestion agent, JSON
planner:leases               zset     jobId -> when its lease ends, ms
planner:waiting              zset     jobId of one that waits -> when it began to, microseconds
planner:workers              zset     worker name -> its last heartbeat, ms
planner:sweeper              string   the process that looks for abandoned jobs now
planner:creates:<userId>     zset     jobId -> when it was created, ms (the sliding limit)
planner:jobs:<userId>        zset     jobId -> when it was created, microseconds (the user's list)
planner:idempotency:<userId>:<hash of the key>   hash   job, body (hash of the request)
planner:streams:<userId>     zset     slot of an open stream, <web process>-<number> -> when its lease ends, ms
planner:web:<web process>    string   exists while the process sends heartbeats
planner:gate:<model>         hash     what is known of the provider's limits, and whether it takes requests now
planner:gate:<model>:...     waiting, due, flight (zsets), needs (hash): see lua/gate_ask.lua
planner:demo-key             string   signs the cookies of demo mode
rq:...                       RQ's own

With REDIS_PREFIX all of them but RQ's begin with it and a colon, and so does the name of the queue. Scripts that make
a key of a job find the prefix in a key that they are given.
"""

from hashlib import sha256

_NAMES = ("planner:leases", "planner:workers", "planner:sweeper", "planner:demo-key", "suggestions")

prefix = ""
LEASES, WORKERS, SWEEPER, DEMO_KEY, QUEUE_NAME = _NAMES


def use_prefix(name: str) -> None:
    """Sets the prefix of all keys of this process. It is called once, at the start, before any key is used."""
    global prefix, LEASES, WORKERS, SWEEPER, DEMO_KEY, QUEUE_NAME
    prefix = f"{name}:" if name else ""
    LEASES, WORKERS, SWEEPER, DEMO_KEY, QUEUE_NAME = (f"{prefix}{key}" for key in _NAMES)


def record(job_id: str) -> str:
    return f"{prefix}suggestion:{job_id}"


def log(job_id: str) -> str:
    return f"{prefix}suggestion:{job_id}:events"


def turns(job_id: str) -> str:
    return f"{prefix}suggestion:{job_id}:turns"


def channel(job_id: str) -> str:
    return f"{prefix}suggestion:{job_id}:live"


def agent(user_id: str) -> str:
    return f"{prefix}agent:{user_id}"


def creates(user_id: str) -> str:
    return f"{prefix}planner:creates:{user_id}"


def jobs(user_id: str) -> str:
    return f"{prefix}planner:jobs:{user_id}"


def idempotency(user_id: str, key: str) -> str:
    return f"{prefix}planner:idempotency:{user_id}:{sha256(key.encode()).hexdigest()}"


def streams(user_id: str) -> str:
    return f"{prefix}planner:streams:{user_id}"


def web_process(name: str) -> str:
    return f"{prefix}planner:web:{name}"


def gate(model: str) -> tuple[str, str, str, str, str]:
    """Returns the keys of a model's gate, in the order in which its scripts take them."""
    name = f"{prefix}planner:gate:{model}"
    return name, f"{name}:waiting", f"{name}:due", f"{name}:flight", f"{name}:needs"

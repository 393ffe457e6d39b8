"""Prepares a worker before it takes its first job, so that the job does not have to wait.

The model's side is prepared by asking the provider what the model can do (`FeatureAgent.prepare`): that loads the HTTP
client and opens its first connection.
"""

import gc
import logging
from datetime import datetime

from redis import Redis
from redis.connection import Connection
from redis.exceptions import RedisError

from shared.state.outages import log_failure
from shared.state.scripts import script

log = logging.getLogger(__name__)

SCRIPTS = (
    *("start", "append", "renew", "again", "release", "keep", "fail"),
    *("lead", "suspects", "requeue", "gate_ask", "gate_report"),
)
"""The scripts that a worker calls."""


def warm_up(*clients: Redis) -> None:
    """Opens connections, imports what would be imported later, and freezes all that for the garbage collector."""
    try:
        connect_all(*clients)
    except RedisError as error:
        log_failure("opening connections in advance", error, "so they are opened when they are needed")
    datetime.strptime("2026", "%Y")  # RQ parses dates this way; the first call imports a module
    gc.collect()
    gc.freeze()


def connect_all(*clients: Redis) -> None:
    """Opens all connections of these clients, and loads our scripts into Redis. Raises redis.RedisError."""
    for client in clients:
        pool, made = client.connection_pool, list[Connection]()
        try:
            while len(made) < pool.max_connections:
                made.append(pool.get_connection())
        finally:
            for connection in made:
                pool.release(connection)
    for client in clients[:1]:  # scripts are loaded into the server, not into a connection
        for name in SCRIPTS:
            client.script_load(script(name).text)

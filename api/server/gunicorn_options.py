"""Checks gunicorn's own options, which an operator may have set by GUNICORN_CMD_ARGS for example.

It is loaded by gunicorn's master, before gevent patches the workers: import nothing heavy here.
"""

import errno
import socket
from ipaddress import ip_address
from typing import Any

WORKER_CLASS = "api.server.gevent_worker.DrainingWorker"
WORKER_CONNECTIONS = 10_000
"""Each open stream counts as one. With gunicorn's default of 1,000 the next stream would wait without an answer."""
LEAST_TIMEOUT_SECONDS = 10
"""A worker reports once a second that it is alive, but may have to wait for a CPU."""
LEAST_GRACEFUL_SECONDS = 5
"""A drain takes 4 s, because it ends the open streams one after the other."""


def refusal(config: Any, max_connections: int) -> str | None:
    """Returns which option would break the delivery of streams, and why; None where all are fine."""
    # `config.worker_class_str` would be "gthread" for --threads, which changes nothing here.
    worker_class = config.settings["worker_class"].get()
    problems = {
        f"--worker-class must be left at {WORKER_CLASS}: no other one ends streams in time": worker_class
        != WORKER_CLASS,
        "--preload is not supported: the app has to be loaded after gevent has patched the library": config.preload_app,
        "--certfile and --keyfile are not supported: let the proxy in front speak TLS": config.is_ssl,
        "--protocol must be left at http": config.protocol != "http",
        "--workers must be 1 or more": config.workers < 1,
        f"--timeout must be {LEAST_TIMEOUT_SECONDS} or more": 0 < config.timeout < LEAST_TIMEOUT_SECONDS,
        f"--graceful-timeout must be {LEAST_GRACEFUL_SECONDS} or more, the time in which the open streams end": (
            config.graceful_timeout < LEAST_GRACEFUL_SECONDS
        ),
        f"--worker-connections must be more than MAX_CONNECTIONS ({max_connections}), beyond which clients get a 503": (
            config.worker_connections <= max_connections
        ),
    }
    return next((problem for problem, is_there in problems.items() if is_there), None)


def address_problem(address: Any, *, is_demo: bool, shares_port: bool) -> str | None:
    """Returns why an address of gunicorn's `bind` cannot be listened on; None where it can.

    An address is a host and a port, the path of a socket, or the number of a descriptor that was inherited.
    """
    if not isinstance(address, tuple):
        return "AUTH_MODE=demo serves only loopback: --bind must be a loopback address" if is_demo else None
    host, port = address[:2]
    if is_demo and not _is_loopback(host):
        return f"AUTH_MODE=demo serves only loopback, and not {host}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
            return f"PORT {port} {reason}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

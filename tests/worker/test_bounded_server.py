"""Tests that clients cannot use up the server at a worker's METRICS_PORT."""

import socket
from pathlib import Path

import httpx

from tests.conftest import free_port, wait_until
from tests.stack import stack
from worker.bounded_server import MAX_CONNECTIONS


def test_silent_connections_to_the_metrics_port_take_few_threads_and_block_no_other_client(tmp_path: Path) -> None:
    with stack(tmp_path) as system:
        port = free_port()
        worker = system.start_worker(METRICS_PORT=str(port))
        threads = lambda: len(list(Path(f"/proc/{worker.pid}/task").iterdir()))  # noqa: E731
        before = threads()
        socks = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(200)]
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
            wait_until(lambda: threads() <= before + MAX_CONNECTIONS + 1)
            assert socks[0].recv(1) == b""
        finally:
            for sock in socks:
                sock.close()
        assert not worker.has_said("Traceback")

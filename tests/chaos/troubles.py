"""Injects the faults of the soak into a system: one thread for Redis, another for the other processes."""

import ctypes
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from redis import Redis
from redis.exceptions import ResponseError

from tests.conftest import RedisServer, free_port, start_redis, wait_until
from tests.relay import Relay
from tests.stack import Process, Stack, children

LONGEST_FREEZE_SECONDS = 11.0
"""Some freezes are longer than a lease (8 s), most are shorter."""
DRAIN_SECONDS = "1"
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WAIT_ALL = 17, 0x4206, 0x4207, 0x40000000

Action = Callable[[random.Random], None]


class Servers:
    """Represents a primary and its replica behind one address, whose roles change."""

    def __init__(self, system: Stack, relay: Relay, folder: Path) -> None:
        self._system = system
        self._relay = relay
        self._folder = folder
        self._files = {system.redis_server.port: "dump.rdb"}
        self.other = start_redis(free_port(), folder, "--dbfilename", "other.rdb")
        self._files[self.other.port] = "other.rdb"
        relay.point_to(system.redis_server.port)
        with Redis(port=self.other.port) as other:
            other.replicaof("127.0.0.1", system.redis_server.port)
        self._wait_for_replica()

    def demote(self, *, cuts: bool) -> None:
        """Swaps the roles of the two without a loss of data; connections to the old primary are kept or cut."""
        self._wait_for_replica()
        new = self.other
        self._system.redis.execute_command("FAILOVER", "TO", "127.0.0.1", new.port)
        with Redis(port=new.port) as redis:
            wait_until(lambda: redis.info("replication")["role"] == "master")
        self._relay.point_to(new.port)
        if cuts:
            self._relay.cut()
        self._use(new, self._system.redis_server)

    def rewind(self, seconds: float) -> None:
        """Restarts the primary with the data that it had this many seconds ago."""
        server = self._system.redis_server
        wait_until(lambda: self._saved(server))
        time.sleep(seconds)
        server.process.kill()
        server.process.wait()
        new = start_redis(server.port, self._folder, "--dbfilename", self._files[server.port])
        self._use(new, self.other)
        self._wait_for_replica()

    def silence(self, seconds: float) -> None:
        """Lets all open connections fall silent, and cuts them after this many seconds."""
        self._relay.silence()
        time.sleep(seconds)
        self._relay.forget()

    def close(self) -> None:
        self.other.process.kill()
        self.other.process.wait()

    def _use(self, primary: RedisServer, other: RedisServer) -> None:
        self.other = other
        self._system.redis_server = primary
        self._system.redis.close()
        self._system.redis = Redis(port=primary.port)

    def _saved(self, server: RedisServer) -> bool:
        try:
            with Redis(port=server.port) as redis:
                return bool(redis.save())
        except ResponseError:  # a save for the replica is running
            return False

    def _wait_for_replica(self) -> None:
        with Redis(port=self.other.port) as other:
            wait_until(lambda: other.info("replication").get("master_link_status") == "up", seconds=60)


class Troubles:
    """Injects faults one by one from `start` to `stop`. `counts` has each by name; `rewinds` is odd during a rewind."""

    def __init__(self, system: Stack, servers: Servers, web: Process, seed: float) -> None:
        self.counts: Counter[str] = Counter()
        self.rewinds = 0
        self.errors: list[BaseException] = []
        self._system = system
        self._servers = servers
        self._web = web
        self._stopping = threading.Event()
        # Rewinds are few, since jobs that run during one are checked less strictly.
        redis: list[Action] = [self._cut, self._demote, self._fill, self._cut, self._demote, self._fill]
        redis += [self._silence, self._rewind]
        others: list[Action] = [self._kill, self._stop, self._freeze, self._freeze_thread, self._kill_web]
        self._threads = [
            threading.Thread(target=self._run, args=(actions, random.Random(f"{seed} {actions[0].__name__}")))
            for actions in (redis, others)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Waits for the current fault to end, and injects no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, actions: list[Action], choice: random.Random) -> None:
        try:
            while True:
                for action in choice.sample(actions, len(actions)):
                    if self._stopping.wait(choice.uniform(0.2, 2.0)):
                        return
                    action(choice)
                    self.counts[action.__name__.strip("_")] += 1
        except BaseException as error:
            self.errors.append(error)

    def _cut(self, choice: random.Random) -> None:
        self._system.redis.execute_command(
            "CLIENT", "KILL", "TYPE", choice.choice(("pubsub", "normal")), "SKIPME", "yes"
        )

    def _demote(self, choice: random.Random) -> None:
        self._servers.demote(cuts=choice.random() < 0.5)

    def _rewind(self, choice: random.Random) -> None:
        self.rewinds += 1
        try:
            self._servers.rewind(choice.uniform(0.1, 1.5))
        finally:
            self.rewinds += 1

    def _silence(self, choice: random.Random) -> None:
        self._servers.silence(LONGEST_FREEZE_SECONDS * choice.random())

    def _fill(self, choice: random.Random) -> None:
        redis = self._system.redis
        redis.config_set("maxmemory", 1)
        time.sleep(choice.uniform(0.2, 3.0))
        redis.config_set("maxmemory", 0)

    def _worker(self, choice: random.Random) -> Process:
        return choice.choice([p for p in self._system.processes if p.name == "worker" and p.popen.poll() is None])

    def _kill(self, choice: random.Random) -> None:
        self._replace(choice, signal.SIGKILL)

    def _stop(self, choice: random.Random) -> None:
        self._replace(choice, signal.SIGTERM)

    def _replace(self, choice: random.Random, number: signal.Signals) -> None:
        old = self._worker(choice)
        self._system.start_worker(DRAIN_SECONDS=DRAIN_SECONDS)
        old.send(number)
        old.wait(60)

    def _freeze(self, choice: random.Random) -> None:
        process = choice.choice((self._worker(choice).pid, *children(self._web.pid)))
        os.kill(process, signal.SIGSTOP)
        time.sleep(LONGEST_FREEZE_SECONDS * choice.random() ** 3)
        os.kill(process, signal.SIGCONT)

    def _freeze_thread(self, choice: random.Random) -> None:
        worker = self._worker(choice).pid
        thread = int(choice.choice(sorted(os.listdir(f"/proc/{worker}/task"))))  # noqa: PTH208
        freeze_thread(thread, LONGEST_FREEZE_SECONDS * choice.random() ** 3)

    def _kill_web(self, choice: random.Random) -> None:
        os.kill(choice.choice(children(self._web.pid)), signal.SIGKILL)
        wait_until(lambda: len(children(self._web.pid)) == 2)


def freeze_thread(thread_id: int, seconds: float) -> None:
    """Stops one thread of a process for some seconds, as a debugger does; does nothing if the thread has ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, thread_id, None, None) != 0:
        return
    try:
        libc.ptrace(PTRACE_INTERRUPT, thread_id, None, None)
        os.waitpid(thread_id, WAIT_ALL)
        time.sleep(seconds)
    finally:
        libc.ptrace(PTRACE_DETACH, thread_id, None, None)

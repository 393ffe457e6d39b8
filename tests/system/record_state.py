"""Records what a version leaves in Redis: `python -m tests.system.record_state CHECKOUT FILE`.

The checkout needs a `.venv` of its own (`make install` there), since its own web process and worker are run.

The file has jobs that have ended in each way, one that was running when its worker was killed, one that waits, and an
agent.
"""

import base64
import json
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conftest import free_port, wait_until
from tests.stack import Person, Process, Stack, answers, stack

AGENT = {
    "name": "Brief",
    "role": "Product manager",
    "focus": "What people do on a phone",
    "systemPrompt": "You suggest little, and say of each suggestion whom it helps and how that shows.",
    "temperature": None,
    "tools": ["Read", "Glob"],
    "isActive": False,
}

USER = "alice"


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def dump(redis: Any) -> list[dict[str, Any]]:
    """Returns all keys with their values, in a form that any server can be filled from."""
    read = {
        "string": lambda key: text(redis.get(key)),
        "hash": lambda key: [[text(field), text(value)] for field, value in sorted(redis.hgetall(key).items())],
        "list": lambda key: [text(value) for value in redis.lrange(key, 0, -1)],
        "set": lambda key: sorted(text(value) for value in redis.smembers(key)),
        "zset": lambda key: [[text(member), score] for member, score in redis.zrange(key, 0, -1, withscores=True)],
        "stream": lambda key: [
            [entry.decode(), [[text(field), text(value)] for field, value in fields.items()]]
            for entry, fields in redis.xrange(key)
        ],
    }
    kinds = {key: redis.type(key).decode() for key in sorted(redis.scan_iter())}
    return [{"key": key.decode(), "type": kind, "value": read[kind](key)} for key, kind in kinds.items()]


def fill(redis: Any, records: list[dict[str, Any]]) -> None:
    """Writes the records that `dump` has returned, without their expiry times."""
    byte = base64.b64decode
    for record in records:
        key, value = record["key"], record["value"]
        match record["type"]:
            case "string":
                redis.set(key, byte(value))
            case "hash":
                redis.hset(key, mapping={byte(field): byte(content) for field, content in value})
            case "list":
                redis.rpush(key, *map(byte, value))
            case "set":
                redis.sadd(key, *map(byte, value))
            case "zset":
                redis.zadd(key, {byte(member): score for member, score in value})
            case "stream":
                for entry, fields in value:
                    redis.xadd(key, {byte(field): byte(content) for field, content in fields}, id=entry)


def start(it: Stack, checkout: Path, process: str, **settings: str) -> Process:
    """Starts a process of another version, from its own files and with the command of its own Procfile."""
    commands = dict(line.split(": ", 1) for line in (checkout / "Procfile").read_text().splitlines())
    command = shlex.split(commands[process])
    command[0] = str(checkout / ".venv/bin" / command[0])
    inside = ["sh", "-c", 'cd "$0" && PYTHONPATH="$0" exec "$@"', str(checkout), *command]
    return it.start(f"old {process}", inside, **settings)


def main() -> None:
    checkout, file = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as it:
        it.start_sandbox(interval_ms=20)
        port = free_port()
        start(it, checkout, "web", PORT=str(port))
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        it.web_port = port
        worker = start(it, checkout, "worker")
        wait_until(lambda: worker.has_said("ready"))
        person = Person(it, USER)
        person.http.event_hooks = {}
        assert person.http.put("/api/feature-planner/suggestion-agent", json=AGENT).is_success
        jobs = {"completed": person.ask("Checkout page fast"), "failed": person.ask("refusal")}
        jobs["cancelled"] = person.ask("Search page slow")
        assert person.cancel(jobs["cancelled"]).is_success
        wait_until(
            lambda: all(it.redis.hget(f"suggestion:{job}", "status") == name.encode() for name, job in jobs.items())
        )
        jobs["running"] = person.ask("Basket page slow")
        wait_until(lambda: it.redis.xlen(f"suggestion:{jobs['running']}:events") > 6)
        worker.send(signal.SIGKILL)
        worker.wait()
        jobs["waiting"] = person.ask("Profile page")
        file.write_text(json.dumps({"jobs": jobs, "agent": AGENT, "records": dump(it.redis)}, indent=1) + "\n")
        print(file, len(file.read_text()))
        person.close()


if __name__ == "__main__":
    main()

"""Tests that `--check` reports what is wrong with an environment before a start, and shows no secret."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.state import rights
from tests.conftest import SECRET, RedisServer, clean_environment, free_port
from tests.forks import FORKS
from tests.stack import ROOT, Stack, stack

KEY = "sk-ant-a-key-of-the-tests"


def check(half: str, **variables: str) -> tuple[int, dict[str, str], str]:
    """Returns the exit code, the worst verdict for each name, and the whole output."""
    process = FORKS.start(half, "--check", env=clean_environment(**variables))
    with process.stdout:
        said = process.stdout.read()
    verdicts: dict[str, str] = {}
    for line in said.splitlines():
        verdict, name = line.split(":")[0].split(maxsplit=1)
        verdicts[name] = min(verdict, verdicts.get(name, verdict), key=("FAIL", "warn", "ok").index)
    return process.wait(), verdicts, said


@pytest.fixture(scope="module")
def sandboxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack")) as it:
        it.start_sandbox()
        yield it


def worker_environment(stack: Stack, **variables: str) -> dict[str, str]:
    return {
        "REDIS_URL": stack.redis_server.url,
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": stack.sandbox_url,
        "CLAUDE_MODEL": "sandbox",
        "ALLOWED_MODELS": "sandbox",
        **variables,
    }


def test_the_check_of_a_worker_that_can_work_succeeds(sandboxed: Stack) -> None:
    code, verdicts, said = check("worker", **worker_environment(sandboxed, PROJECT_ROOT=str(ROOT)))
    assert code == 0, said
    assert {"settings", "redis", "redis version", "redis eviction", "key", "model", "ripgrep", "project"} <= set(
        verdicts
    )
    assert "FAIL" not in verdicts.values()
    assert verdicts["redis persistence"] == "warn"
    assert KEY not in said


def test_the_check_warns_where_a_job_may_expire_while_its_model_thinks(sandboxed: Stack) -> None:
    times = {"JOB_TTL_SECONDS": "119", "JOB_TIMEOUT_SECONDS": "120"}
    code, verdicts, said = check("worker", **worker_environment(sandboxed, **times))
    assert (code, verdicts["times"]) == (0, "warn")
    assert "JOB_TTL_SECONDS (119) is less than JOB_TIMEOUT_SECONDS (120)" in said
    assert "times" not in check("worker", **worker_environment(sandboxed, **times | {"JOB_TTL_SECONDS": "120"}))[1]


def test_the_check_names_what_a_worker_lacks(sandboxed: Stack, tmp_path: Path) -> None:
    code, verdicts, said = check(
        "worker", **worker_environment(sandboxed, CLAUDE_MODEL="no-such-model", PROJECT_ROOT=str(tmp_path))
    )
    assert code == 1 and verdicts["model"] == "FAIL" and "no-such-model" in said
    assert verdicts["project"] == "warn"
    old = "claude-sonnet-4-5,claude-3-5-haiku"
    code, verdicts, said = check("worker", **worker_environment(sandboxed, ALLOWED_MODELS=old))
    assert code == 0, said
    assert "ALLOWED_MODELS: claude-sonnet-4-5 is deprecated; it ends on 2026-11-30" in said
    assert "ALLOWED_MODELS: claude-3-5-haiku is retired" in said
    sandboxed.redis.config_set("maxmemory", "64mb")
    sandboxed.redis.config_set("maxmemory-policy", "allkeys-lru")
    code, verdicts, _ = check("worker", **worker_environment(sandboxed))
    sandboxed.redis.config_set("maxmemory-policy", "noeviction")
    assert code == 1 and verdicts["redis eviction"] == "FAIL"


def test_the_check_fails_without_redis_and_the_provider_and_shows_no_passwords() -> None:
    port = free_port()
    code, verdicts, said = check(
        "worker",
        REDIS_URL=f"redis://user:hunter2@127.0.0.1:{port}/0",
        ANTHROPIC_API_KEY=KEY,
        ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}",
    )
    assert code == 1 and verdicts["redis"] == verdicts["key"] == "FAIL"
    assert "hunter2" not in said and KEY not in said


def test_the_check_of_an_api_that_can_serve_succeeds(redis_server: RedisServer) -> None:
    code, verdicts, said = check(
        "api", PORT=str(free_port()), REDIS_URL=redis_server.url, AUTH_MODE="jwt", AUTH_SECRET=SECRET
    )
    assert code == 0 and verdicts["redis"] == "ok"
    assert SECRET not in said


def test_the_check_fails_without_the_key_server(redis_server: RedisServer) -> None:
    url = f"http://127.0.0.1:{free_port()}/keys?token=hunter2"
    code, verdicts, said = check(
        "api", PORT=str(free_port()), REDIS_URL=redis_server.url, AUTH_MODE="jwt", AUTH_JWKS_URL=url
    )
    assert code == 1 and verdicts["auth"] == "FAIL" and "hunter2" not in said


@pytest.mark.parametrize("half", ["api", "worker"])
def test_a_setting_that_is_missing_is_named(half: str) -> None:
    code, verdicts, said = check(half)
    assert code == 1 and verdicts == {"settings": "FAIL"} and "REDIS_URL is not set" in said


def test_no_part_of_any_password_is_shown(redis_server: RedisServer) -> None:
    port = free_port()
    for redis_url in (f"redis://:p@SECRET@127.0.0.1:{port}", f"redis://SECRET:p@SECRET@127.0.0.1:{port}/0"):
        code, verdicts, said = check(
            "api",
            REDIS_URL=redis_url,
            AUTH_MODE="jwt",
            AUTH_JWKS_URL=f"http://u:p@SECRET@127.0.0.1:{port}/SECRET?SECRET",
            PORT=str(free_port()),
        )
        assert code == 1 and verdicts["redis"] == verdicts["auth"] == "FAIL"
        assert "SECRET" not in said and "p@" not in said
        assert f"redis: REDIS_URL: redis://127.0.0.1:{port}" in said and "auth: AUTH_JWKS_URL: " in said


def test_the_check_fails_on_a_port_that_is_in_use(redis_server: RedisServer, sandboxed: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, verdicts, said = check("api", REDIS_URL=redis_server.url, AUTH_MODE="demo", PORT=str(port))
        assert code == 1 and verdicts["port"] == "FAIL" and f"PORT {port} is taken" in said
        code, verdicts, said = check("worker", **worker_environment(sandboxed, METRICS_PORT=str(port)))
        assert code == 1 and verdicts["port"] == "FAIL" and f"METRICS_PORT {port} is taken" in said


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ("resetchannels", "&suggestion:* &rq:pubsub:*"),
        ("resetkeys ~suggestion:* ~agent:* ~planner:*", "~rq:*"),
        ("-xadd -blmove", "+blmove +xadd"),
        ("-info", "+info"),
    ],
)
def test_the_check_names_the_acl_rules_that_grant_missing_rights(sandboxed: Stack, rules: str, missing: str) -> None:
    smallest = rights.acl_rules().split()
    sandboxed.redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", *smallest, *rules.split())
    url = sandboxed.redis_server.url.replace("redis://", "redis://limited:pw@")
    code, verdicts, said = check("worker", **worker_environment(sandboxed, REDIS_URL=url))
    assert code == 1 and verdicts["redis rights"] == "FAIL"
    assert f"REDIS_URL: this user lacks rights; grant them: {missing}\n" in said


def test_an_installation_without_the_packages_of_the_half_says_so_in_one_line(tmp_path: Path) -> None:
    """The test hides a package of each half (API and worker), as if only the other half were installed."""
    for half, package in (("worker", "anthropic"), ("api", "gevent")):
        program = (
            "import runpy, sys, importlib.util as util; real = util.find_spec;"
            f"util.find_spec = lambda name, *rest: None if name == {package!r} else real(name, *rest);"
            f"sys.argv = [{half!r}, '--check']; runpy.run_module({half!r}, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr == f"{half}: {package} not installed; install them: pip install 'feature-planner[{half}]'\n"


@pytest.mark.parametrize(
    ("half", "variables", "said"),
    [
        ("api", {"REDIS_MAX_CONNECTIONS": "5"}, "REDIS_MAX_CONNECTIONS must be 6 or more"),
        (
            "worker",
            {"REDIS_MAX_CONNECTIONS": "7", "METRICS_PORT": "9100"},
            "REDIS_MAX_CONNECTIONS must be 8 or more with METRICS_PORT",
        ),
    ],
)
def test_too_few_connections_to_redis_are_refused_by_name(half: str, variables: dict[str, str], said: str) -> None:
    needed = {"REDIS_URL": "redis://127.0.0.1:1", "AUTH_MODE": "demo", "ANTHROPIC_API_KEY": "none"}
    code, verdicts, lines = check(half, **needed, **variables)
    assert (code, verdicts["settings"]) == (1, "FAIL") and said in lines


def test_more_connections_than_redis_allows_are_reported(sandboxed: Stack) -> None:
    allowed = str(sandboxed.redis.config_get("maxclients")["maxclients"])
    sandboxed.redis.config_set("maxclients", 20)
    code, verdicts, said = check("worker", **worker_environment(sandboxed))
    few_code, few, _ = check("worker", **worker_environment(sandboxed, REDIS_MAX_CONNECTIONS="8"))
    sandboxed.redis.config_set("maxclients", allowed)
    assert (code, verdicts["redis connections"]) == (1, "FAIL")
    assert "of 20 in use, REDIS_MAX_CONNECTIONS 37: set it lower" in said
    assert (few_code, few["redis connections"]) == (0, "ok")


def web_environment(redis_server: RedisServer, **variables: str) -> dict[str, str]:
    return {"REDIS_URL": redis_server.url, "AUTH_MODE": "demo", "PORT": str(free_port()), **variables}


@pytest.mark.parametrize("folder", ["/nonexistent", "/proc", __file__])
def test_a_temp_folder_that_is_not_writable_is_named(redis_server: RedisServer, folder: str) -> None:
    """One of the folders is `/proc`, in which even root cannot create files."""
    code, verdicts, said = check("api", **web_environment(redis_server, TMPDIR=folder))
    assert (code, verdicts["temp folder"]) == (1, "FAIL")
    assert f"TMPDIR: {folder} cannot be written to" in said


def test_the_temp_folder_of_the_web_process_is_shown(redis_server: RedisServer, tmp_path: Path) -> None:
    code, verdicts, said = check("api", **web_environment(redis_server, TMPDIR=str(tmp_path)))
    assert (code, verdicts["temp folder"]) == (0, "ok") and str(tmp_path) in said
    assert list(tmp_path.iterdir()) == []


def test_the_address_that_gunicorn_binds_is_checked_instead_of_port(redis_server: RedisServer) -> None:
    with socket.socket() as taken, socket.socket() as other:
        for each in (taken, other):
            each.bind(("127.0.0.1", 0))
            each.listen()
        port, free = str(taken.getsockname()[1]), free_port()
        environment = web_environment(redis_server, PORT=port)
        code, verdicts, said = check("api", **environment)
        assert (code, verdicts["port"]) == (1, "FAIL") and f"PORT {port} is taken" in said
        code, verdicts, said = check("api", **environment, GUNICORN_CMD_ARGS=f"--bind 127.0.0.1:{free}")
        assert (code, verdicts["port"]) == (0, "ok"), said
        bound = f"--bind 127.0.0.1:{other.getsockname()[1]}"
        code, verdicts, said = check("api", **{**environment, "PORT": str(free)}, GUNICORN_CMD_ARGS=bound)
        assert (code, verdicts["port"]) == (1, "FAIL"), said


@pytest.mark.parametrize(
    ("options", "said"),
    [("--workers many", "invalid int value"), ("--no-such-option", "unrecognized"), ("--preload", "--preload is not")],
)
def test_invalid_options_of_gunicorn_are_reported(redis_server: RedisServer, options: str, said: str) -> None:
    code, verdicts, lines = check("api", **web_environment(redis_server, GUNICORN_CMD_ARGS=options))
    assert (code, verdicts["gunicorn"]) == (1, "FAIL") and said in lines

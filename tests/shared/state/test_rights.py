"""Tests that the rights that a Redis user needs cover all commands of the scripts, and that a check changes nothing."""

import re
from importlib.resources import files

import pytest
from redis import Redis

from shared.state import rights
from shared.state.connections import connect
from tests.conftest import RedisServer

SCRIPTS = [file for file in (files("shared.state") / "lua").iterdir() if file.name.endswith(".lua")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_every_command_of_a_script_is_among_the_rights(script: object) -> None:
    commands = set(re.findall(r"redis\.p?call\('(\w+)'", script.read_text()))  # type: ignore[attr-defined]
    assert {command.lower() for command in commands} <= set(rights.COMMANDS)


@pytest.mark.parametrize("command", [command for command in rights.COMMANDS if command not in rights.NOT_TRIED])
def test_each_command_that_is_missing_is_named(redis_server: RedisServer, redis: Redis, command: str) -> None:
    smallest = rights.acl_rules().split()
    taken = [rule for rule in smallest if rule != f"+{command}"]
    redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", *taken)
    with connect(redis_server.url.replace("redis://", "redis://limited:pw@")) as limited:
        assert f"+{command}" in rights.missing(limited)
    assert redis.dbsize() == 0


def test_a_user_with_all_rights_and_one_with_the_smallest_miss_none(redis_server: RedisServer, redis: Redis) -> None:
    redis.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", *rights.acl_rules().split())
    for user in ("", "limited:pw@"):
        with connect(redis_server.url.replace("redis://", f"redis://{user}")) as client:
            assert rights.missing(client) == []
    assert redis.dbsize() == 0

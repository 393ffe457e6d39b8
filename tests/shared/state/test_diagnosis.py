"""Tests that each mistake in REDIS_URL is reported in one line, which names it and shows no secret."""

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from redis import Redis

from shared.errors import SettingsError
from shared.setting_rules import without_secrets
from shared.state import diagnosis
from tests.conftest import RedisServer, free_port, start_redis
from tests.shared.state.tls import tls_in_front_of, write_certificate

PASSWORD = "hunter2@hunter2"
QUOTED = "hunter2%40hunter2"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Provides a Redis server with a password, and with a user who has no rights."""
    server = start_redis(free_port(), tmp_path_factory.mktemp("redis"))
    with Redis(port=server.port) as redis:
        redis.execute_command("ACL", "SETUSER", "nobody", "on", ">hunter2", "-@all")
        redis.config_set("requirepass", PASSWORD)
    yield server
    server.process.kill()
    server.process.wait()


def wrong(url: str) -> tuple[str, bool]:
    """Returns the diagnosis of a URL and whether it is lasting. Fails if the diagnosis shows a secret."""
    found = diagnosis.probe(url, timeout_seconds=1)
    assert found is not None
    said = diagnosis.describe(url, found)
    assert said.startswith("REDIS_URL: ") and "\n" not in said and "hunter2" not in said
    return found


def test_a_redis_that_works_has_no_diagnosis(locked: RedisServer) -> None:
    assert diagnosis.probe(f"redis://:{QUOTED}@127.0.0.1:{locked.port}/0") is None
    assert diagnosis.raise_if_lasting(f"redis://:{QUOTED}@127.0.0.1:{locked.port}/15") is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://127.0.0.1:{port}", "requires a password, and none is given"),
        ("redis://:wrong-hunter2@127.0.0.1:{port}", "refuses the user or the password"),
        ("redis://who:{password}@127.0.0.1:{port}", "refuses the user or the password"),
        ("redis://:{password}@127.0.0.1:{port}/99", "has no database with that number"),
        ("redis://:{password}@127.0.0.1:{port}/0?db=4000", "has no database with that number"),
        ("redis://nobody:hunter2@127.0.0.1:{port}", "does not let this user run"),
    ],
)
def test_a_lasting_mistake_stops_the_process(locked: RedisServer, url: str, reason: str) -> None:
    url = url.format(port=locked.port, password=QUOTED)
    said, is_lasting = wrong(url)
    assert said.startswith(reason) and is_lasting
    with pytest.raises(SettingsError, match=f"^REDIS_URL: redis://127.0.0.1:{locked.port}.* {reason}"):
        diagnosis.raise_if_lasting(url)


def test_a_temporary_failure_is_reported_and_does_not_stop_the_process(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:
        for url, reason in [
            (f"redis://:hunter2@127.0.0.1:{free_port()}/0", "refuses the connection"),
            ("redis://:hunter2@planner.invalid:6379/0", "has a host name that cannot be resolved"),
            (f"redis://127.0.0.1:{silent.getsockname()[1]}", "does not answer in time"),
            (f"rediss://127.0.0.1:{silent.getsockname()[1]}", "does not answer the TLS handshake"),
            (f"unix://{tmp_path}/redis.sock", "cannot be opened: No such file or directory"),
        ]:
            said, is_lasting = wrong(url)
            assert said.startswith(reason) and not is_lasting
            assert (diagnosis.raise_if_lasting(url) or "").endswith(said)


def test_a_server_that_is_no_redis_is_recognised() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_as_a_web_server_does() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=answer_as_a_web_server_does, daemon=True).start()
        assert wrong(f"redis://127.0.0.1:{listener.getsockname()[1]}") == ("answers, but is no Redis server", True)


def test_each_mistake_with_tls_is_reported(redis_server: RedisServer, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "localhost")
    over = write_certificate(tmp_path, "localhost", days=-1)
    elsewhere = write_certificate(tmp_path, "redis.example")
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    with (
        tls_in_front_of(redis_server.port, certificate) as port,
        tls_in_front_of(redis_server.port, over) as over_port,
        tls_in_front_of(redis_server.port, elsewhere) as elsewhere_port,
        tls_in_front_of(redis_server.port, certificate, client_ca=certificate) as strict_port,
    ):
        good = f"rediss://localhost:{strict_port}/0?ssl_ca_certs={certificate}&ssl_certfile={certificate}"
        assert diagnosis.probe(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}") is None
        assert diagnosis.probe(f"{good}&ssl_keyfile={certificate}") is None
        for url, reason in [
            (f"rediss://localhost:{port}/0", "has a certificate that is not trusted: self-signed certificate"),
            (f"rediss://localhost:{over_port}/0?ssl_ca_certs={over}", "not trusted: certificate has expired"),
            (f"rediss://localhost:{elsewhere_port}?ssl_ca_certs={elsewhere}", "not trusted: Hostname mismatch"),
            (f"rediss://localhost:{port}?ssl_ca_certs={empty}", "with these certificates and keys"),
            (f"rediss://localhost:{strict_port}?ssl_ca_certs={certificate}", "requires a client certificate"),
        ]:
            # In TLS 1.3 the server's alert may arrive after the connection is closed, and then the reason is unknown.
            said, is_lasting = wrong(url)
            for _ in range(100):
                if reason in said:
                    break
                said, is_lasting = wrong(url)
            assert reason in said and is_lasting, said
        said, is_lasting = wrong(f"redis://localhost:{port}")
        assert "rediss://" in said and not is_lasting


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@SECRET@host", "redis://host"),
        ("redis://SECRET@host:1/2", "redis://host:1/2"),
        ("rediss://user:SECRET@[::1]:6380/0?ssl_password=SECRET", "rediss://[::1]:6380/0"),
        ("redis://u:12/SECRET@host", None),
        ("redis://u:12?SECRET@host/0", None),
        ("redis://u:12#SECRET@host/0", None),
        ("redis://u:SECRET/x@host", None),
        ("redis://u:12/SECRET", "redis://u:12"),
        ("unix://u:SECRET@/run/redis.sock?db=1&password=SECRET", "unix:///run/redis.sock"),
        ("https://u:p@SECRET@keys.example/jwks?token=SECRET", "https://keys.example"),
        ("https://keys.example:8443/SECRET/jwks#SECRET", "https://keys.example:8443"),
        ("https://SEC/RET@keys.example/", None),
    ],
)
def test_an_address_is_shown_without_any_part_of_a_secret(url: str, shown: str | None) -> None:
    assert without_secrets(url) == (shown or "the address (not shown: it is malformed)")

"""PostgreSQL across a network: its certificate is verified, and no message has a password."""

import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from registry_harness import ASSETS, Api, TickingClock, refusal, refused_start, serving
from tradingbot_certs.authority import Names, certificate_pem, issue_authority, issue_serving
from tradingbot_dev.processes.postgresql_server import (
    NOBODY,
    PostgresqlServer,
    on_loopback,
    postgresql_server,
)
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import DatabaseUnusableError
from tradingbot_registry.settings import RegistrySettings

SECRET = "correct-horse-battery"
NOW = datetime.now(UTC)
AUTHORITY = issue_authority(NOW)
OTHER_AUTHORITY = issue_authority(NOW)


@dataclass(frozen=True)
class Remote:
    """A server that takes TLS connections with a password at 127.0.0.1."""

    server: PostgresqlServer
    port: int
    authority: Path

    def url(self, *, host: str = "127.0.0.1", password: str = "", **parameters: Any) -> str:
        options = {"sslmode": "verify-full", "sslrootcert": self.authority} | parameters
        shown = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"postgresql://app{password}@{host}:{self.port}/registry?{shown}"


@pytest.fixture(scope="module")
def remote(postgresql_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    certificates = tmp_path_factory.mktemp("tls")
    authority = certificates / "ca.crt"
    authority.write_bytes(certificate_pem(AUTHORITY.certificate))
    pair = issue_serving(authority=AUTHORITY, names=Names.parse(["127.0.0.1"]), now=NOW)
    with postgresql_server(postgresql_programs, on_loopback()) as server:
        server.execute(
            "CREATE DATABASE registry",
            f"CREATE ROLE app LOGIN PASSWORD '{SECRET}'",
            "ALTER DATABASE registry OWNER TO app",
        )
        for name, content in pair.files.items():
            file = server.data / name
            file.write_bytes(content)
            file.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(file, NOBODY, NOBODY)
        server.execute(
            "ALTER SYSTEM SET ssl_cert_file = 'tls.crt'",
            "ALTER SYSTEM SET ssl_key_file = 'tls.key'",
            "ALTER SYSTEM SET ssl = on",
        )
        server.stop(signal.SIGINT)
        server.start()
        yield Remote(server, int(server.settings["port"]), authority)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    return file


def start_error(url: str, password_file: Path | None = None) -> str:
    with pytest.raises(DatabaseUnusableError) as refused:
        prepared_database(url, password_file=password_file)
    message = str(refused.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_a_connection_is_encrypted_and_its_server_verified(
    remote: Remote, password_file: Path
) -> None:
    database = prepared_database(remote.url(), password_file=password_file)
    with database.connection_context():
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert database.execute_sql(query).fetchall() == [(True,)]
    database.release()


def test_a_server_that_can_not_be_verified_gets_no_password(
    remote: Remote, password_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.crt"
    other.write_bytes(certificate_pem(OTHER_AUTHORITY.certificate))
    wrong = start_error(remote.url(sslrootcert=other), password_file)
    assert "certificate verify failed" in wrong
    renamed = remote.url(host="localhost", hostaddr="127.0.0.1")
    assert "does not match host name" in start_error(renamed, password_file)
    absent = start_error(remote.url(sslrootcert="/absent/ca.crt"), password_file)
    assert '"/absent/ca.crt" does not exist' in absent
    # The certificates of the system, which a URL without a certificate means.
    assert "certificate verify failed" in start_error(
        remote.url(sslrootcert="system"), password_file
    )


def test_a_refused_login_says_so(remote: Remote, tmp_path: Path) -> None:
    file = tmp_path / "password"
    assert "no password supplied" in start_error(remote.url())
    assert "No such file" in start_error(remote.url(), file)
    file.write_text("\n")
    assert "is empty" in start_error(remote.url(), file)
    file.write_text("wrong")
    assert 'password authentication failed for user "app"' in start_error(remote.url(), file)
    file.write_bytes(b"\xff")
    assert "UTF-8" in start_error(remote.url(), file)


def test_a_new_password_is_read_for_the_next_connection(
    remote: Remote, password_file: Path
) -> None:
    database = prepared_database(remote.url(), password_file=password_file)
    api = Api(create_app(database, clock=TickingClock()).test_client())
    api.add("a")
    remote.server.execute("ALTER ROLE app PASSWORD 'another'")
    assert api.find() == ["a"]  # The connection that there is goes on.
    try:
        database.release()
        refusal(api.client.get(ASSETS), 503, "storage")
        password_file.write_text("another")
        assert api.find() == ["a"]
    finally:
        remote.server.execute(f"ALTER ROLE app PASSWORD '{SECRET}'")
        database.release()


def test_a_password_is_in_no_log_and_no_answer(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    database = prepared_database(remote.url(password=f":{SECRET}"))
    api = Api(create_app(database, clock=TickingClock()).test_client())
    api.add("a")
    remote.server.execute("ALTER ROLE app NOLOGIN")
    try:
        database.release()
        response = api.client.get(ASSETS)
        metrics = api.client.get("/metrics")
    finally:
        remote.server.execute("ALTER ROLE app LOGIN")
    refusal(response, 503, "storage")
    assert "not permitted to log in" in str([vars(record) for record in caplog.records])
    for text in (response.text, metrics.text, caplog.text):
        assert SECRET not in text
    assert SECRET not in str([vars(record) for record in caplog.records])


def test_a_start_that_fails_prints_no_password(remote: Remote, tmp_path: Path) -> None:
    url = remote.url(password=f":{SECRET}")
    settings = RegistrySettings(database_url=url)
    assert SECRET not in repr(settings)
    with serving(url, tmp_path / "log") as server:
        assert server.call("GET", ASSETS)[0] == 200
    assert SECRET not in (tmp_path / "log").read_text()
    assert SECRET not in refused_start(url.replace(f"{remote.port}", "1"))

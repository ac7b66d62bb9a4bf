"""A registry to test: the application on a real SQLite file, and the process around it."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_registry.storage.engine import Database
from werkzeug.test import TestResponse

ASSETS = "/api/v1/assets"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite_file"], indirect=True, ids=["sqlite"])
"""Of a test whose result depends on no database, or whose size is for SQLite's limits."""

MERGE_PATCH = "application/merge-patch+json"
DEADLINE_SECONDS = STUCK_SECONDS


class TickingClock:
    """A clock that moves one second whenever it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True)
class Api:
    """The API as a test speaks to it."""

    client: FlaskClient

    def add(self, name: str, *depends_on: str, **fields: Any) -> Any:
        """Add an asset of type Other and return it."""
        body = {"name": name, "type": "Other", "dependsOn": list(depends_on), **fields}
        response = self.client.post(ASSETS, json=body)
        assert response.status_code == 201, response.text
        return response.json

    def get(self, asset_id: str) -> Any:
        """The asset as it is."""
        response = self.client.get(f"{ASSETS}/{asset_id}")
        assert response.status_code == 200, response.text
        return response.json

    def find(self, query: str = "") -> list[str]:
        """Names of the assets found, in order."""
        response = self.client.get(f"{ASSETS}?{query}")
        assert response.status_code == 200, response.text
        return [asset["name"] for asset in response.json]

    def patch(self, asset_id: str, changes: Any, query: str = "", **headers: str) -> TestResponse:
        """Send a merge patch."""
        return self.client.patch(
            f"{ASSETS}/{asset_id}?{query}",
            data=json.dumps(changes),
            content_type=MERGE_PATCH,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def become(self, asset_id: str, status: str, query: str = "") -> Any:
        """Take an asset to that status."""
        response = self.patch(asset_id, {"status": status}, query)
        assert response.status_code == 200, response.text
        return response.json

    def upsert(self, ref: str, name: str = "owned", **fields: Any) -> TestResponse:
        """Put an asset as its owner."""
        return self.client.put(
            f"{ASSETS}/by-ref/{ref}", json={"name": name, "type": "Other", **fields}
        )


def refusal(response: TestResponse, status: int, slug: str | None = None) -> Any:
    """The problem that the response is; asserts that it is one in every respect."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    problem = response.json
    assert problem["status"] == status
    assert problem["type"] == (f"urn:tradingbot:problem:{slug}" if slug else "about:blank")
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return problem


SERVE = """
import logging, sys
from tradingbot_registry.server import run
from tradingbot_registry.settings import RegistrySettings
logging.basicConfig(level=logging.INFO, format="%(message)s")
try:
    run(RegistrySettings())
except RuntimeError as error:
    sys.exit(f"tradingbot: error: {error}")
print("returned", flush=True)
"""


@contextmanager
def statements_of(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements of the block, as they are sent to the database."""
    sent: list[str] = []
    execute = database.execute_sql

    def record(sql: str, *arguments: Any, **options: Any) -> Any:
        sent.append(sql)
        return execute(sql, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(database, "execute_sql", record)
        yield sent
    assert sent


@dataclass
class Server:
    """A registry in a process of its own."""

    process: subprocess.Popen[str]
    log: Path
    tls: ssl.SSLContext | None = None
    """What its certificate is verified with; None: it serves plain HTTP."""
    port: int = field(init=False, default=0)

    def wait_until_ready(self) -> None:
        """Learn the port from the log and wait for an answer on it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            words = self.log.read_text().split()
            urls = [word.rstrip(",") for word in words if word.startswith(("http://", "https://"))]
            if urls:
                self.port = int(urls[0].rsplit(":", 1)[1])
                if self.call("GET", "/readyz")[0] == 200:
                    return
            time.sleep(0.01)
        raise AssertionError(f"not ready in time: {self.log.read_text()}")

    def connection(self) -> http.client.HTTPConnection:
        """A connection of the caller's own."""
        if self.tls is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=DEADLINE_SECONDS, context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask once on a new connection."""
        connection = self.connection()
        try:
            return ask(connection, method, path, body, **headers)
        finally:
            connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON (or text) of one answer."""
    sent = None if body is None else json.dumps(body)
    connection.request(
        method, path, body=sent, headers={"Content-Type": "application/json", **headers}
    )
    response = connection.getresponse()
    text = response.read().decode()
    is_json = "json" in response.headers.get("Content-Type", "")
    return response.status, json.loads(text) if is_json else text


def environment(database: Path | str, **settings: str) -> dict[str, str]:
    """The environment of a registry on that database."""
    kept = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    return (
        kept | {"TRADINGBOT_REGISTRY_PORT": "0", "TRADINGBOT_REGISTRY_DATABASE_URL": url} | settings
    )


@contextmanager
def serving(
    database: Path | str,
    log: Path,
    *,
    tls: ssl.SSLContext | None = None,
    program: Sequence[str] = ("-c", SERVE),
    **settings: str,
) -> Iterator[Server]:
    """A registry process, killed at the end if it is still there."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *program],
            env=environment(database, **settings),
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    server = Server(process, log, tls)
    try:
        server.wait_until_ready()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def refused_start(database: Path | str, **settings: str) -> str:
    """The one line that a registry prints which can't start."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment(database, **settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]

"""The registry as a process: started, stopped, killed."""

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from registry_harness import (
    ASSETS,
    DEADLINE_SECONDS,
    SERVE,
    Server,
    ask,
    environment,
    refused_start,
    serving,
)

BODY = {"name": "a", "type": "Other"}


def test_it_serves_and_a_stop_is_clean_and_quick(tmp_path: Path) -> None:
    with serving(tmp_path / "r.db", tmp_path / "log") as server:
        kept_alive = server.connection()
        assert ask(kept_alive, "POST", ASSETS, BODY)[0] == 201
        assert server.call("GET", "/healthz") == (200, "ok\n")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_SECONDS) == 0
    log = (tmp_path / "log").read_text()
    assert log.rstrip().endswith("returned")
    assert log.count("listens on") == 1
    assert "uvicorn" not in log.lower()


STOP_WHEN_IT_LISTENS = """
import logging, os, signal
class Stop(logging.Handler):
    def emit(self, record):
        if "listens on" in record.getMessage():
            os.kill(os.getpid(), signal.SIGTERM)
logging.getLogger("tradingbot_registry").addHandler(Stop())
"""


def test_a_stop_is_clean_as_soon_as_the_log_says_that_it_listens(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STOP_WHEN_IT_LISTENS + SERVE],
        env=environment(tmp_path / "r.db"),
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with serving(tmp_path / "r.db", tmp_path / "log") as server:
        lock = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        connection = server.connection()
        answers: list[int] = []
        headers = {"Content-Type": "application/json"}
        connection.request("POST", ASSETS, body=json.dumps(BODY), headers=headers)
        thread = threading.Thread(target=lambda: answers.append(connection.getresponse().status))
        thread.start()
        # Connections are taken in their order: once a later one is answered, ours is at work.
        assert server.call("GET", "/healthz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until_refusing(server)
        assert not answers
        lock.execute("ROLLBACK")
        thread.join(DEADLINE_SECONDS)
        assert answers == [201]
        assert server.process.wait(DEADLINE_SECONDS) == 0


def wait_until_refusing(server: Server) -> None:
    """Until it takes no new connection."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
        try:
            ask(connection, "GET", "/healthz")
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
    raise AssertionError("the server still takes connections")


def test_acknowledged_writes_survive_a_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    database = tmp_path / "r.db"
    acknowledged: list[str] = []
    with serving(database, tmp_path / "log") as server:
        writers = [
            threading.Thread(target=write_until_dead, args=(server, acknowledged)) for _ in range(4)
        ]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(acknowledged) < 100 and time.monotonic() < deadline:
            time.sleep(0.001)
        server.process.kill()
        for writer in writers:
            writer.join(DEADLINE_SECONDS)
    assert len(acknowledged) >= 100
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        # Every asset is there whole: with its tag.
        untagged = "SELECT count(*) FROM asset WHERE seq NOT IN (SELECT asset FROM asset_tag)"
        assert connection.execute(untagged).fetchone() == (0,)
    with serving(database, tmp_path / "log2") as server:
        for asset_id in acknowledged:
            assert server.call("GET", f"{ASSETS}/{asset_id}")[0] == 200


def write_until_dead(server: Server, acknowledged: list[str]) -> None:
    try:
        connection = server.connection()
        while True:
            status, asset = ask(connection, "POST", ASSETS, BODY | {"tags": ["t"]})
            assert status == 201
            acknowledged.append(asset["id"])
    except (OSError, http.client.HTTPException):
        return


def test_two_processes_on_one_database_can_not_close_a_cycle(
    database_url: str, tmp_path: Path
) -> None:
    with (
        serving(database_url, tmp_path / "log1") as one,
        serving(database_url, tmp_path / "log2") as two,
    ):
        for _ in range(10):
            a = one.call("POST", ASSETS, BODY)[1]["id"]
            b = two.call("POST", ASSETS, BODY)[1]["id"]
            assert sorted(race((one, a, b), (two, b, a))) == [200, 409]


def race(*edges: tuple[Server, str, str]) -> list[int]:
    """Make each edge on its server, all at once, and say how it went."""
    barrier = threading.Barrier(len(edges))
    answers: list[int] = []

    def connect(server: Server, source: str, target: str) -> None:
        barrier.wait()
        body = BODY | {"dependsOn": [target]}
        answers.append(server.call("PUT", f"{ASSETS}/{source}", body)[0])

    threads = [threading.Thread(target=connect, args=edge) for edge in edges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused_start(tmp_path / "r.db", TRADINGBOT_REGISTRY_PORT=port)
    assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_authentication(tmp_path: Path, host: str) -> None:
    line = refused_start(tmp_path / "r.db", TRADINGBOT_REGISTRY_HOST=host)
    assert host in line
    assert "--auth-mode kubernetes" in line
    assert not (tmp_path / "r.db").exists()


def test_what_can_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    line = refused_start("mysql://u:hunter2@db/x")
    assert "postgresql://" in line
    assert "hunter2" not in line
    assert "does not exist" in refused_start(tmp_path / "absent" / "r.db")
    line = refused_start(tmp_path / "r.db", TRADINGBOT_REGISTRY_HOST="no.such.host.invalid")
    assert "can't be resolved" in line
    settings = {
        "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
        "KUBECONFIG": str(tmp_path / "absent"),
    }
    assert "KUBECONFIG" in refused_start(tmp_path / "r.db", **settings)


def test_a_chunked_body_is_cut_at_the_same_size(tmp_path: Path) -> None:
    with serving(tmp_path / "r.db", tmp_path / "log") as server:
        connection = server.connection()
        chunks = [b'{"name": "a", "type": "Other"}', *[b" " * 1024] * 1024]
        headers = {"Content-Type": "application/json"}
        connection.request("POST", ASSETS, body=iter(chunks), headers=headers, encode_chunked=True)
        assert connection.getresponse().status == 413

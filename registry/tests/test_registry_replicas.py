"""Several replicas on one PostgreSQL database: they share changes, and each may end or lose it."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_clients import BODY, Clients, total
from registry_harness import ASSETS, DEADLINE_SECONDS, serving
from tradingbot_dev.processes.postgresql_server import PostgresqlServer, postgresql_server
from tradingbot_registry.storage.engine import Database

CHANGES = "/api/v1/changes"
SEEN_WITHIN = 10.0
"""Seconds in which a change of another replica ends a wait: it is looked for twice in a second."""


@pytest.fixture
def url(empty_postgresql: Database, postgresql: PostgresqlServer) -> str:
    assert empty_postgresql.shared
    return postgresql.url()


def test_a_change_of_another_replica_ends_a_wait(url: str, tmp_path: Path) -> None:
    with (
        serving(url, tmp_path / "log1") as one,
        serving(url, tmp_path / "log2", TRADINGBOT_REGISTRY_THREADS="1") as two,
    ):
        connection = two.connection()
        connection.request("GET", f"{CHANGES}?since=0&wait=30")
        # The one thread has begun with the first request when it answers the second.
        assert two.call("GET", ASSETS)[0] == 200
        begun = time.monotonic()
        asset = one.call("POST", ASSETS, BODY)[1]
        answer = json.loads(connection.getresponse().read())
        assert time.monotonic() - begun < SEEN_WITHIN
        connection.close()
    assert [entry["assetId"] for entry in answer["changes"]] == [asset["id"]]


def test_no_request_fails_while_replicas_are_replaced(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path / "log1") as one, serving(url, tmp_path / "log2") as two:
        clients = Clients([one, two])
        with clients:
            clients.wait_for_more()
            # A Service stops to send requests to a pod that ends; preStop waits for that.
            clients.servers = [two]
            clients.wait_for_more()
            one.process.send_signal(signal.SIGTERM)
            assert one.process.wait(DEADLINE_SECONDS) == 0
            with serving(url, tmp_path / "log3") as three:
                clients.servers = [two, three]
                clients.wait_for_more()
                clients.servers = [three]
                clients.wait_for_more()
                two.process.send_signal(signal.SIGTERM)
                assert two.process.wait(DEADLINE_SECONDS) == 0
                clients.wait_for_more()
                clients.__exit__()
                last = three.call("GET", f"{CHANGES}")[1]["last"]
    assert (clients.errors, clients.refused) == ([], [])
    assert last == len(clients.created)


def test_a_request_under_way_is_finished_by_a_replica_that_ends(
    url: str, tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with serving(url, tmp_path / "log1") as one, postgresql.connect("registry") as lock:
        lock.execute("BEGIN")
        lock.execute("LOCK TABLE asset IN EXCLUSIVE MODE")
        answers: list[int] = []
        writer = threading.Thread(target=lambda: answers.append(one.call("POST", ASSETS, BODY)[0]))
        writer.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while lock.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        one.process.send_signal(signal.SIGTERM)
        lock.execute("COMMIT")
        writer.join(DEADLINE_SECONDS)
        assert one.process.wait(DEADLINE_SECONDS) == 0
    assert answers == [201]


@pytest.fixture
def restarted(postgresql_programs: Path) -> Iterator[PostgresqlServer]:
    """A server of the test's own, which it may stop."""
    with postgresql_server(postgresql_programs, {"fsync": "on"}) as server:
        server.execute("CREATE DATABASE registry")
        yield server


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_restart_of_the_database_loses_nothing_and_needs_no_other(
    restarted: PostgresqlServer,
    how: signal.Signals,
    tmp_path: Path,
) -> None:
    with serving(restarted.url(), tmp_path / "log") as server:
        clients = Clients([server])
        with clients:
            clients.wait_for_more()
            restarted.stop(how)
            clients.wait_for_refusals()
            connection = server.connection()
            connection.request("GET", ASSETS)
            response = connection.getresponse()
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            response.read()
            assert server.call("GET", "/readyz")[0] == 503
            assert server.call("GET", "/healthz")[0] == 200
            restarted.start()
            clients.wait_for_more()
        clients.check(server)


def test_a_killed_replica_leaves_no_half_of_a_write(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path / "log1") as one, serving(url, tmp_path / "log2") as two:
        clients = Clients([one])
        with clients:
            clients.wait_for_more()
            one.process.kill()
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not clients.errors:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        # The dead one's lock is gone with its connection.
        assert two.call("POST", ASSETS, BODY | {"tags": ["t"]})[0] == 201
        for asset_id in clients.created:
            assert two.call("GET", f"{ASSETS}/{asset_id}")[1]["tags"] == ["t"]
        stored = total(two)
        tagged = two.call("GET", "/api/v1/facets?tag=t")[1]["total"]
        assert tagged == stored

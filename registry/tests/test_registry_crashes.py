"""A registry that is killed at random moments, and writers that race for one asset.

`TRADINGBOT_REGISTRY_KILLS=100` kills a hundred times, `TRADINGBOT_REGISTRY_RACES=1000` races a
thousand times; by default a few.
"""

import http.client
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, MERGE_PATCH, Server, ask, serving
from tradingbot_registry.maintenance.opening import check_of
from tradingbot_registry.settings import DatabaseSettings

KILLS = int(os.environ.get("TRADINGBOT_REGISTRY_KILLS", "3"))
RACES = int(os.environ.get("TRADINGBOT_REGISTRY_RACES", "10"))
WRITERS = 4
CLIENTS = 64
BODY = {"name": "a", "type": "Other", "tags": ["t"]}
GONE = None

State = dict[str, Any] | None
"""Description and dependencies of an asset; None: it does not exist."""


class BusyError(Exception):
    """The registry has refused a write since others wait for too long."""


@dataclass
class Writer:
    """A client that creates, changes and deletes assets of its own until nobody answers.

    It remembers the state that was acknowledged of each asset, and what was under way at the end.
    """

    random: random.Random
    states: dict[str, State] = field(default_factory=dict)
    under_way: tuple[str, State] | None = None
    acknowledged: int = 0

    def write_until_dead(self, server: Server) -> None:
        """Write one thing after the other."""
        try:
            connection = server.connection()
            while True:
                with suppress(BusyError):
                    self._write(connection)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return

    def _write(self, connection: http.client.HTTPConnection) -> None:
        living = [asset for asset, state in self.states.items() if state is not GONE]
        action = self.random.choice(("create", "create", "change", "change", "batch", "delete"))
        if action == "create" or len(living) < 3:
            targets = self.random.sample(living, min(len(living), 2))
            body = BODY | {"description": "0", "dependsOn": targets}
            status, asset = ask(connection, "POST", ASSETS, body)
            self._refuse_busy(status)
            assert status == 201, asset
            self._done(asset["id"], {"description": "0", "dependsOn": sorted(targets)})
            return
        asset = self.random.choice(living)
        if action == "delete":
            self.under_way = (asset, GONE)
            status, answer = ask(connection, "DELETE", f"{ASSETS}/{asset}")
            self._refuse_busy(status)
            assert status in {204, 409}, answer  # 409: others depend on it.
            self._done(asset, GONE if status == 204 else self.states[asset])
            return
        wanted = dict(self.states[asset] or {}) | {"description": str(self.random.random())}
        self.under_way = (asset, wanted)
        if action == "batch":
            patch = {"description": wanted["description"]}
            items = [{"op": "update", "id": asset, "patch": patch}]
            status, answer = ask(connection, "POST", f"{ASSETS}:batch", {"items": items})
        else:
            connection.request(
                "PATCH",
                f"{ASSETS}/{asset}",
                json.dumps({"description": wanted["description"]}),
                {"Content-Type": MERGE_PATCH},
            )
            response = connection.getresponse()
            status, answer = response.status, response.read()
        self._refuse_busy(status)
        assert status == 200, answer
        self._done(asset, wanted)

    def _refuse_busy(self, status: int) -> None:
        """Raise BusyError for 503: nothing was changed, since the machine is too slow."""
        if status == 503:
            self.under_way = None
            raise BusyError

    def _done(self, asset: str, state: State) -> None:
        self.states[asset] = state
        self.under_way = None
        self.acknowledged += 1

    def check(self, stored: dict[str, State]) -> None:
        """Compare what was acknowledged with what is stored."""
        for asset, state in self.states.items():
            allowed = [state]
            if self.under_way is not None and self.under_way[0] == asset:
                allowed.append(self.under_way[1])
            assert stored.get(asset) in allowed, (asset, allowed, stored.get(asset))
            self.states[asset] = stored.get(asset)
        self.under_way = None


def everything(server: Server) -> dict[str, State]:
    """The state of all assets."""
    found: dict[str, State] = {}
    page = 1
    while True:
        status, assets = server.call("GET", f"{ASSETS}?page_size=500&page={page}")
        assert status == 200
        for asset in assets:
            found[asset["id"]] = {
                "description": asset["description"],
                "dependsOn": sorted(asset["dependsOn"]),
            }
        if len(assets) < 500:
            return found
        page += 1


def test_no_acknowledged_write_is_lost_by_a_kill_at_any_moment(
    database_url: str, tmp_path: Path
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    writers = [Writer(random.Random(dice.random())) for _ in range(WRITERS)]
    for number in range(KILLS):
        with serving(database_url, tmp_path / f"log-{number}") as server:
            if number:
                stored = everything(server)
                for writer in writers:
                    writer.check(stored)
            before = sum(writer.acknowledged for writer in writers)
            with running([writing(writer, server) for writer in writers]):
                wanted = before + dice.randrange(10, 60)
                pause = threading.Event()
                while sum(writer.acknowledged for writer in writers) < wanted:
                    assert server.process.poll() is None, (tmp_path / f"log-{number}").read_text()
                    pause.wait(0.001)
                pause.wait(dice.random() * 0.02)  # In the middle of some write, or of none.
                server.process.kill()
                server.process.wait()
        assert check_of(DatabaseSettings(database_url=database_url))[1].lines() == []
    with serving(database_url, tmp_path / "log") as server:
        stored = everything(server)
        for writer in writers:
            writer.check(stored)


def writing(writer: Writer, server: Server) -> Callable[[], None]:
    return lambda: writer.write_until_dead(server)


@contextmanager
def running(works: list[Callable[[], None]]) -> Iterator[list[threading.Thread]]:
    """Run all at once, each in a thread; they end by themselves."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()


def test_two_writers_that_race_never_close_a_cycle(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path / "log") as server:
        one, other = server.connection(), server.connection()
        for _ in range(RACES):
            a, b = (ask(one, "POST", ASSETS, BODY)[1]["id"] for _ in range(2))
            barrier = threading.Barrier(2)
            answers: list[int] = []

            def connect(
                connection: http.client.HTTPConnection,
                source: str,
                target: str,
                *,
                barrier: threading.Barrier = barrier,
                answers: list[int] = answers,
            ) -> None:
                barrier.wait()
                body = BODY | {"dependsOn": [target]}
                answers.append(ask(connection, "PUT", f"{ASSETS}/{source}", body)[0])

            with running(
                [
                    lambda a=a, b=b, c=connect: c(one, a, b),  # type: ignore[misc]
                    lambda a=a, b=b, c=connect: c(other, b, a),  # type: ignore[misc]
                ]
            ):
                pass
            assert sorted(answers) == [200, 409]
        one.close()
        other.close()
    assert check_of(DatabaseSettings(database_url=database_url))[1].lines() == []


@pytest.mark.parametrize("rounds", [min(RACES, 3)])
def test_of_64_writers_of_one_version_one_wins_each_round(
    database_url: str, tmp_path: Path, rounds: int
) -> None:
    with serving(database_url, tmp_path / "log") as server:
        asset = server.call("POST", ASSETS, BODY)[1]
        connections = [server.connection() for _ in range(CLIENTS)]
        for number in range(rounds):
            barrier = threading.Barrier(CLIENTS)
            answers: list[tuple[int, str]] = []
            tag, path = f'"{asset["version"]}"', f"{ASSETS}/{asset['id']}"

            def write(
                client: int,
                *,
                barrier: threading.Barrier = barrier,
                answers: list[tuple[int, str]] = answers,
                tag: str = tag,
                path: str = path,
                number: int = number,
            ) -> None:
                description = f"{number}-{client}"
                connection = connections[client]
                barrier.wait()
                connection.request(
                    "PATCH",
                    path,
                    json.dumps({"description": description}),
                    {"Content-Type": MERGE_PATCH, "If-Match": tag},
                )
                response = connection.getresponse()
                response.read()
                answers.append((response.status, description))

            with running([lambda c=c, w=write: w(c) for c in range(CLIENTS)]):  # type: ignore[misc]
                pass
            assert sorted(status for status, _ in answers) == [200] + [412] * (CLIENTS - 1)
            asset = server.call("GET", path)[1]
            assert asset["version"] == number + 2
            assert (200, asset["description"]) in answers
        for connection in connections:
            connection.close()
    assert check_of(DatabaseSettings(database_url=database_url))[1].lines() == []

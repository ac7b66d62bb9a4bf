"""Clients that write to registries without a pause, and know what was acknowledged."""

import itertools
import threading
from collections.abc import Callable
from typing import Any, Self

from registry_harness import ASSETS, Server, ask
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until

BODY = {"name": "a", "type": "Other"}


class Clients:
    """Clients that write and read without a pause, each at the next server of a list.

    A client's connection stays open while the list stays as it is, as through a Service.
    """

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.created: list[str] = []
        self.refused: list[tuple[int, Any]] = []
        self.errors: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(STUCK_SECONDS)

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Wait until it is so, while each client goes on."""

        def is_so() -> bool:
            assert not self.errors, self.errors
            return ready()

        wait_until(is_so, what="the clients", every=0.01)

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until so many more assets were created."""
        before = len(self.created)
        self.wait_for(lambda: len(self.created) >= before + count)

    def _work(self, number: int) -> None:
        try:
            for turn in itertools.count(number):
                if self._ended.is_set():
                    return
                servers = self.servers
                self._one(servers[turn % len(servers)])
        except Exception as error:
            self.errors.append(repr(error))

    def _one(self, server: Server) -> None:
        connection = server.connection()
        try:
            status, asset = ask(connection, "POST", ASSETS, BODY | {"tags": ["t"]})
            if status == 201:
                self.created.append(asset["id"])
                status, asset = ask(connection, "GET", f"{ASSETS}/{asset['id']}")
            if status >= 400:
                self.refused.append((status, asset))
        finally:
            connection.close()

    def wait_for_refusals(self) -> None:
        """Wait until each client, on average, was refused again."""
        seen = len(self.refused)
        self.wait_for(lambda: len(self.refused) > seen + 4)

    def check(self, server: Server) -> None:
        """Compare what was acknowledged with what is stored.

        Each refusal must be 503, of the database. A write whose outcome was reported as unknown may
        be stored or not.
        """
        assert self.errors == []
        kinds = {problem["type"].rsplit(":", 1)[1] for _, problem in self.refused}
        assert kinds <= {"storage", "outcome-unknown"}
        assert {status for status, _ in self.refused} <= {503}
        for asset_id in self.created:
            assert server.call("GET", f"{ASSETS}/{asset_id}")[1]["tags"] == ["t"]
        unknown = sum("may have been" in problem["detail"] for _, problem in self.refused)
        assert len(self.created) <= total(server) <= len(self.created) + unknown


def total(server: Server) -> int:
    """Return the number of assets."""
    found: int = server.call("GET", "/api/v1/facets")[1]["total"]
    return found

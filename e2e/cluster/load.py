"""Bots put to the admission webhooks all the time, as the API server does it for everybody."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from person import sample_bot
from tradingbot_dev.control_plane.plane import ControlPlane

BOTS = "/apis/trading.io/v1/namespaces/default/tradingbots?dryRun=All"
CLIENTS = 2
PAUSE = 0.04
"""Seconds between two reviews of a client. Without a pause, the clients take the cores from what is
replaced meanwhile. A server that is gone before the API server knows is missed for much longer."""


class Load:
    """How many were admitted with their fraction as a string, and what was said to all others."""

    def __init__(self, plane: ControlPlane) -> None:
        self.admitted = 0
        self.failures: list[str] = []
        self._plane = plane
        self._stop = threading.Event()

    def _ask(self, number: int) -> None:
        bot = sample_bot()
        bot["metadata"]["name"] = f"load-{number}"
        bot["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
        while not self._stop.wait(PAUSE):
            answer = self._plane.client.post(BOTS, bot)
            filled = (
                {}
                if answer is None or answer.status != 201
                else answer.json()["spec"]["riskManagement"]
            )
            if filled.get("stopLossPercentage") == "2.5":
                self.admitted += 1
            else:
                self.failures.append("no answer" if answer is None else answer.body.decode())

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

"""The demo of `make up`: three bots in Paper that trade on the two simulated exchanges."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.exchanges import Exchanges
from tradingbot_dev.product.manifests import Manifest
from tradingbot_dev.product.system import OPERATOR, System

DIRECTORY = manifests.SAMPLES / "demo"
REPORT_SECONDS = 120.0
SETTINGS = {
    # The defaults, 5 s and 60 s, are for many bots. Here a person watches three.
    "TRADINGBOT_OPERATOR_RISK_INTERVAL": "2",
    "TRADINGBOT_OPERATOR_RISK_STATUS_INTERVAL": "2",
}
"""Of the operator, so that the shown figures move."""


@dataclass(frozen=True)
class Demo:
    """The demo in one namespace."""

    system: System
    namespace: str = "default"

    @property
    def exchanges(self) -> Exchanges:
        return Exchanges(self.system.plane)

    def apply(self, *, changed: Callable[[Manifest], Manifest] = lambda bot: bot) -> list[str]:
        """Apply the Secrets and the bots, each after it was `changed`. Return the bots' names."""
        bots = [changed(bot) for bot in self.bots()]
        # On the server's side: kubectl would write a copy of the keys into an annotation.
        self.system.apply(manifests.text(map(self._secret, bots)))
        self.system.plane.kubectl(
            "apply", "--filename", "-", stdin=manifests.text(bots), check=True
        )
        return [bot["metadata"]["name"] for bot in bots]

    def bots(self) -> list[Manifest]:
        """Return the bots, with the addresses of these exchanges."""
        rendered = self.system.plane.kubectl("kustomize", str(DIRECTORY), check=True).stdout
        found: list[Manifest] = list(yaml.safe_load_all(rendered))
        for bot in found:
            bot["metadata"]["namespace"] = self.namespace
            bot["spec"]["exchange"]["baseURL"] = self.exchanges.of(bot["metadata"]["name"]).url
        return found

    def await_reports(self, *, seconds: float = REPORT_SECONDS) -> None:
        """Wait until every bot reports its figures."""
        wait_until(
            lambda: all("dayPnL" in bot["status"].get("risk", {}) for bot in self.stored()),
            what="the report of each demo bot",
            seconds=seconds,
            table=self.system.plane.table,
            needs=(OPERATOR,),
        )

    def stored(self) -> list[dict[str, Any]]:
        """Return the stored objects of those bots that still exist, each with a status."""
        names = {account for exchange in self.exchanges.all for account in exchange.accounts}
        listed = self._get(f"/apis/trading.io/v1/namespaces/{self.namespace}/tradingbots")
        return [
            {"status": {}, **bot}
            for bot in listed.get("items", [])
            if bot["metadata"]["name"] in names
        ]

    def events(self, bot: str) -> list[dict[str, Any]]:
        """Return the events of a bot, oldest first."""
        selector = f"involvedObject.kind%3DTradingBot%2CinvolvedObject.name%3D{bot}"
        listed = self._get(f"/api/v1/namespaces/{self.namespace}/events?fieldSelector={selector}")
        return sorted(listed.get("items", []), key=_time)

    def _get(self, path: str) -> dict[str, Any]:
        answer = self.system.plane.client.get(path)
        found: dict[str, Any] = {}
        if answer is not None and answer.status == 200:
            found = json.loads(answer.body)
        return found

    def _secret(self, bot: Manifest) -> Manifest:
        """Return the Secret with the keys of a bot."""
        name = bot["metadata"]["name"]
        key = self.exchanges.of(name).key(name)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": bot["spec"]["exchange"]["apiKeySecret"],
                "namespace": self.namespace,
            },
            "type": "Opaque",
            "stringData": {"api-key": key.name, "api-secret": key.secret},
        }


def _time(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")

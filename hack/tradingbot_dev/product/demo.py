"""The demo of `make up`: four bots in Paper that trade on the two simulated exchanges."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml
from tradingbot_cli.orders.entries import Entry, Kind, parse

from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.exchanges import Exchanges
from tradingbot_dev.product.manifests import Manifest
from tradingbot_dev.product.system import OPERATOR, System

DIRECTORY = manifests.SAMPLES / "demo"
CARELESS = "careless"
"""The bot whose gateway refuses orders."""
BOT, GATEWAY = "bot", "gateway"
"""The containers of a pod."""
REPORT_SECONDS = 120.0
SETTINGS = {
    # The defaults, 5 s and 60 s, are for many bots. Here a person watches four.
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

    def await_refusal(self, *, seconds: float = REPORT_SECONDS) -> None:
        """Wait until a gateway has refused an order of the bot that knows no limit."""
        wait_until(
            lambda: any(entry.kind is Kind.REFUSALS for entry in self.decisions(CARELESS)),
            what=f"an order of {CARELESS} that is refused",
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

    def decisions(self, bot: str, *, lines: int = 100) -> list[Entry]:
        """Return the newest decisions of a bot's gateway, oldest first, from its last log lines.

        They are those of `tradingbot orders`. Empty without a pod, and without a gateway.
        """
        log = self.log(bot, GATEWAY, lines=lines)
        return [entry for line in log if (entry := parse(line)) is not None]

    def log(self, bot: str, container: str, *, lines: int) -> list[bytes]:
        """Return the last lines of a container in the pods of a bot."""
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        listed = self._get(f"{pods}?labelSelector={quote(f'trading.io/bot={bot}', safe='')}")
        found: list[bytes] = []
        for pod in listed.get("items", []):
            name = pod["metadata"]["name"]
            text = self._read(f"{pods}/{name}/log?container={container}&tailLines={lines}")
            found += (text or b"").splitlines()
        return found

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._read(path) or b"{}")
        return found

    def _read(self, path: str) -> bytes | None:
        answer = self.system.plane.client.get(path)
        return answer.body if answer is not None and answer.status == 200 else None

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

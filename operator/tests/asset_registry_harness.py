"""AssetRegistry objects on a cluster in memory, and an operator's context."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fake_cluster import FakeCluster
from operator_harness import NOW
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.asset_registries.reconcile import (
    AssetRegistryContext,
    reconcile_asset_registry,
)
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.registry_client import RegistryClient
from tradingbot_operator.settings import OperatorSettings

KEY = NamespacedName("desk", "cat")


def asset(name: str, *depends_on: str, **fields: Any) -> JsonObject:
    return {"name": name, "type": "Other", "dependsOn": list(depends_on), **fields}


def catalogue(*assets: JsonObject, name: str = "cat", **spec: Any) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": "AssetRegistry",
        "metadata": {"name": name, "namespace": "desk", "uid": f"uid-{name}", "generation": 1},
        "spec": {"assets": list(assets), **spec},
    }


class Harness:
    """A cluster with AssetRegistry objects, an operator's context, and a registry client."""

    def __init__(self, client: RegistryClient | None) -> None:
        self.cluster = FakeCluster()
        self.now = NOW
        self.context = AssetRegistryContext(
            api=self.cluster,
            store=Store(),
            recorder=Recorder(self.cluster),
            client=client,
            settings=OperatorSettings(cleanup_timeout=60),
            clock=lambda: self.now,
        )

    async def keep(self, name: str = "cat") -> float | None:
        """Reconcile once, with a cache that is up to date."""
        self.cluster.tell(self.context.store)
        return await reconcile_asset_registry(self.context, NamespacedName("desk", name))

    def status(self, name: str = "cat") -> JsonObject:
        """Return the status, with its conditions by type."""
        status = self.cluster.objects["AssetRegistry", "desk", name]["status"]
        return {
            **status,
            "conditions": {condition["type"]: condition for condition in status["conditions"]},
        }

    def synced(self, name: str = "cat") -> tuple[str, str]:
        found = self.status(name)["conditions"]["Synced"]
        return found["status"], found["reason"]

    def delete(self, name: str = "cat") -> None:
        """Delete as `kubectl delete` does to an object with a finalizer."""
        self.cluster.edit("AssetRegistry", "desk", name, metadata={"deletionTimestamp": iso(NOW)})

    def exists(self, name: str = "cat") -> bool:
        return ("AssetRegistry", "desk", name) in self.cluster.objects


def iso(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def against(url: str, scenario: Callable[[Harness], Awaitable[None]]) -> None:
    async def main() -> None:
        client = RegistryClient(url)
        try:
            await scenario(Harness(client))
        finally:
            await client.close()

    asyncio.run(main())

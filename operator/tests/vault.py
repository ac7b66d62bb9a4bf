"""A Secret in a cluster in memory, and what observes it."""

import asyncio
from typing import Any

from fake_cluster import FakeCluster
from operator_harness import SECRET, cancelled
from reconcile_harness import CREDENTIALS, DIGEST_KEYS
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.credentials import Secrets
from tradingbot_operator.bots.credentials_record import Record

BOT, OTHER = NamespacedName("desk", "arb"), NamespacedName("desk", "mm")
KEYS = ("api-key", "api-secret")
INTERVAL = 60.0


class Vault:
    """A cluster with a Secret, and the `Secrets` under test."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(CREDENTIALS)
        self.changed: list[NamespacedName] = []
        self.secrets = Secrets(
            self.cluster, interval=INTERVAL, changed=self.changed.append, keys=DIGEST_KEYS
        )

    async def observe(
        self,
        bot: NamespacedName = BOT,
        needs: tuple[str, ...] = KEYS,
        recorded: Record | None = None,
    ) -> Any:
        return await self.secrets.observe(bot, SECRET, needs, recorded)

    async def after(self, seconds: float) -> None:
        """Look after the Secrets for that long."""
        task = asyncio.create_task(self.secrets.run())
        await asyncio.sleep(seconds)
        await cancelled(task)

    def reads(self, verb: str) -> int:
        return sum(request[0] == verb for request in self.cluster.reads)


def rotated(**data: str) -> JsonObject:
    """The Secret with another value of `api-key`, or with these data."""
    return {**CREDENTIALS, "data": data or {**CREDENTIALS["data"], "api-key": "TkVX"}}


# ---- the same values again


def annotated() -> JsonObject:
    return {**CREDENTIALS, "metadata": {**CREDENTIALS["metadata"], "annotations": {"a": "b"}}}

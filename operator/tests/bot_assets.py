"""The sync of bots as assets, against a registry."""

import asyncio
from collections.abc import Awaitable, Callable

from registry_server import RunningRegistry
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.registry_sync import BotAssets
from tradingbot_operator.registry_client import (
    RegistryClient,
)

KEY = NamespacedName("desk", "arb")
BOT, BINANCE = "tradingbot/desk/arb", "exchange/global/binance"
SECOND = {"metadata": {"name": "second", "uid": "uid-second"}}


class Assets(BotAssets):
    """The assets, with the bots whose state has changed."""

    def __init__(self, client: RegistryClient | None) -> None:
        self.changes: list[NamespacedName] = []
        self.seconds = 0.0
        super().__init__(client, self.changes.append, interval=300, clock=lambda: self.seconds)

    async def keep(self, subject: Bot, phase: str = "Running") -> None:
        """Sync a bot."""
        assert subject.spec is not None
        if self.declare(subject, subject.spec, phase=phase):
            await self.sync(subject.key)


def against(
    registry: RunningRegistry, scenario: Callable[[Assets, RegistryClient], Awaitable[None]]
) -> None:
    async def main() -> None:
        client = RegistryClient(registry.url)
        try:
            await scenario(Assets(client), client)
        finally:
            await client.close()

    asyncio.run(main())

"""Every bot as an asset of the registry, depending on its exchange.

Kept apart from the bots' own reconciling: a registry that is down must never hold up a bot.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import ExchangeName, TradingBotSpec

from tradingbot_operator.bot import Bot
from tradingbot_operator.desired import digest
from tradingbot_operator.reasons import Reason
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from tradingbot_operator.status import RegistryState

PUBLIC_URLS = {
    ExchangeName.BINANCE: "https://api.binance.com",
    ExchangeName.COINBASE: "https://api.coinbase.com",
}
STATUS_OF_PHASE = {"Running": "Active", "Degraded": "Active", "Failed": "Failed"}

PENDING = RegistryState("Unknown", Reason.SYNC_PENDING, "the registry has not been told yet")
OFF = RegistryState("Unknown", Reason.REGISTRY_OFF, "no registry is configured")


@dataclass(frozen=True)
class Asset:
    """An asset by its reference in the registry."""

    ref: str
    body: JsonObject


def exchange_asset(spec: TradingBotSpec) -> Asset:
    """The endpoint that a bot trades at; bots at the same one share it."""
    name = spec.exchange.name.lower()
    url = spec.exchange.base_url or PUBLIC_URLS[spec.exchange.name]
    if spec.exchange.base_url is not None:
        name = f"{name}-{digest(url)}"
    body = {
        "name": name,
        "type": "ApiEndpoint",
        "status": "Active",
        "description": f"API of the exchange {spec.exchange.name}.",
        "config": {"url": url},
        "managedBy": "operator",
    }
    return Asset(f"exchange/global/{name}", body)


def bot_asset(bot: Bot, spec: TradingBotSpec, *, phase: str) -> Asset:
    """The bot's Deployment."""
    body = {
        "name": bot.meta.name,
        "type": "KubernetesDeployment",
        "status": STATUS_OF_PHASE.get(phase, "Inactive"),
        "description": f"Trading bot: {spec.strategy.type} on {spec.exchange.name}.",
        "config": {
            "namespace": bot.meta.namespace,
            "name": bot.meta.name,
            "strategy": spec.strategy.type.value,
            "mode": spec.mode.value,
        },
        "dependsOn": [exchange_asset(spec).ref],
        "managedBy": "operator",
    }
    return Asset(bot_ref(*bot.key), body)


def bot_ref(namespace: str, name: str) -> str:
    """The reference of a bot's asset."""
    return f"tradingbot/{namespace}/{name}"


class BotAssets:
    """Tells the registry of bots, and remembers what it said.

    `changed` is called with a bot's key when what is known of its asset has changed.
    """

    def __init__(
        self, client: RegistryClient | None, changed: Callable[[tuple[str, str]], None]
    ) -> None:
        self._client = client
        self._changed = changed
        self._wanted: dict[tuple[str, str], tuple[Asset, Asset]] = {}
        self._told: dict[tuple[str, str], tuple[Asset, Asset]] = {}
        self._states: dict[tuple[str, str], RegistryState] = {}
        self._busy: dict[tuple[str, str], asyncio.Lock] = {}
        """So that a bot is not told of while it is being removed, and then stays for ever."""

    def state(
        self, key: tuple[str, str], *, before: Iterable[Mapping[str, Any]] = ()
    ) -> RegistryState:
        """What is known of a bot's asset: until this operator has asked, what its status says.

        So an operator that has just started does not write to every bot only to forget and learn.
        """
        if self._client is None:
            return OFF
        if key in self._states:
            return self._states[key]
        for one in before:
            if one.get("type") == "RegistrySynced" and one.get("reason") != Reason.REGISTRY_OFF:
                return RegistryState(one["status"], one["reason"], one["message"])
        return PENDING

    def want(self, bot: Bot, spec: TradingBotSpec, *, phase: str) -> bool:
        """Note what the registry shall hold of a bot; True if it has to be told."""
        self._wanted[bot.key] = (exchange_asset(spec), bot_asset(bot, spec, phase=phase))
        return self._client is not None and self._told.get(bot.key) != self._wanted[bot.key]

    async def tell(self, key: tuple[str, str]) -> float | None:
        """Tell the registry of a bot; raises RegistryUnavailableError, to be tried again."""
        if self._client is None or key not in self._wanted:
            return None
        async with self._busy.setdefault(key, asyncio.Lock()):
            return await self._tell(self._client, key)

    async def _tell(self, client: RegistryClient, key: tuple[str, str]) -> float | None:
        wanted, told = self._wanted.get(key), self._told.get(key)
        if wanted is None or wanted == told:
            return None
        try:
            for asset in wanted:
                # Whatever depends on a bot that has stopped: it has, and is not asked.
                await client.upsert(asset.ref, asset.body, force=True)
            if told is not None and told[0].ref != wanted[0].ref:
                await self._drop_exchange(client, told[0])
        except RegistryUnavailableError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_UNAVAILABLE, str(error)))
            raise
        except RegistryRefusedError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_REFUSED, str(error)))
            return 60.0
        self._told[key] = wanted
        self._note(key, RegistryState("True", Reason.SYNCED, "the registry holds the bot's asset"))
        return None

    async def remove(self, bot: Bot) -> None:
        """Take a bot out of the registry, and its exchange with the last bot that trades there."""
        wanted = self._wanted.get(bot.key)
        self.forget(bot.key)
        if self._client is None:
            return
        async with self._busy.setdefault(bot.key, asyncio.Lock()):
            await self._client.delete(bot_ref(*bot.key))
            # An operator that has just started knows the exchange from the bot itself.
            if bot.spec is not None:
                await self._drop_exchange(self._client, exchange_asset(bot.spec))
            elif wanted is not None:
                await self._drop_exchange(self._client, wanted[0])
        self.forget(bot.key)

    def forget(self, key: tuple[str, str]) -> None:
        """Drop what is remembered of a bot that is gone."""
        self._wanted.pop(key, None)
        self._told.pop(key, None)
        self._states.pop(key, None)
        lock = self._busy.get(key)
        if lock is not None and not lock.locked():
            del self._busy[key]

    async def _drop_exchange(self, client: RegistryClient, exchange: Asset) -> None:
        if self._trades_at(exchange):
            return
        try:
            await client.delete(exchange.ref)
        except RegistryRefusedError:
            # Something else depends on the exchange: it stays.
            return
        if self._trades_at(exchange):
            # A bot has come in the meantime, and may have found the exchange still there.
            await client.upsert(exchange.ref, exchange.body)

    def _trades_at(self, exchange: Asset) -> bool:
        return any(one.ref == exchange.ref for one, _ in self._wanted.values())

    def _note(self, key: tuple[str, str], state: RegistryState) -> None:
        if self._states.get(key) != state:
            self._states[key] = state
            self._changed(key)

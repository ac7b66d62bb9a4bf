"""Sync each bot to the registry, as an asset that depends on the asset of its exchange.

This runs in a queue of its own: a registry that is down must not delay the reconcile of a bot.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tradingbot_api.exchange import ExchangeName
from tradingbot_api.model import JsonObject, digest
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.reasons import Reason
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryRefusedError,
    RegistryUnavailableError,
)

PUBLIC_URLS = {
    ExchangeName.BINANCE: "https://api.binance.com",
    ExchangeName.COINBASE: "https://api.coinbase.com",
}
STATUS_OF_PHASE = {
    "Running": "Active",
    "Degraded": "Active",
    "Stopping": "Active",
    "Failed": "Failed",
}


@dataclass(frozen=True)
class RegistryState:
    """What is known of the bot's asset: the parts of the condition `RegistrySynced`."""

    status: str
    reason: str
    message: str


PENDING = RegistryState("Unknown", Reason.SYNC_PENDING, "Not synced yet")
OFF = RegistryState("Unknown", Reason.REGISTRY_OFF, "No registry is configured")


@dataclass(frozen=True)
class Asset:
    """An asset by its reference in the registry."""

    ref: str
    body: JsonObject


def exchange_asset(spec: TradingBotSpec) -> Asset:
    """Return the asset of the exchange endpoint that a bot uses; bots at the same one share it."""
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
    """Return the asset of a bot in that phase."""
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
            "phase": phase,
        },
        "dependsOn": [exchange_asset(spec).ref],
        "managedBy": "operator",
    }
    return Asset(bot_ref(*bot.key), body)


def bot_ref(namespace: str, name: str) -> str:
    """Return the reference of a bot's asset."""
    return f"tradingbot/{namespace}/{name}"


class BotAssets:
    """Syncs bots to the registry, and remembers the result.

    `changed` is called with a bot when the state of its asset has changed. What was synced is
    compared with the registry again after `interval` seconds of `clock`: a registry that was
    restored from a backup, or edited by hand, gets the asset back.
    """

    def __init__(
        self,
        client: RegistryClient | None,
        changed: Callable[[NamespacedName], None],
        *,
        interval: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._changed = changed
        self._interval = interval
        self._clock = clock
        self._due: dict[NamespacedName, float] = {}
        self._declared: dict[NamespacedName, tuple[Asset, Asset]] = {}
        self._synced: dict[NamespacedName, tuple[Asset, Asset]] = {}
        self._states: dict[NamespacedName, RegistryState] = {}
        self._busy: dict[NamespacedName, asyncio.Lock] = {}
        """Keeps a sync and the removal of the same bot apart: the asset would stay for ever."""

    def state(
        self, key: NamespacedName, *, before: Iterable[Mapping[str, Any]] = ()
    ) -> RegistryState:
        """Return the state of a bot's asset: until the first sync, what its conditions say.

        Otherwise an operator that starts would write the status of each bot twice.
        """
        if self._client is None:
            return OFF
        if key in self._states:
            return self._states[key]
        for old in before:
            if old.get("type") == "RegistrySynced" and old.get("reason") != Reason.REGISTRY_OFF:
                return RegistryState(old["status"], old["reason"], old["message"])
        return PENDING

    def declare(self, bot: Bot, spec: TradingBotSpec, *, phase: str) -> bool:
        """Note the assets that the registry must have for a bot. Returns whether to sync them."""
        self._declared[bot.key] = (exchange_asset(spec), bot_asset(bot, spec, phase=phase))
        return self._client is not None and self._synced.get(bot.key) != self._declared[bot.key]

    async def sync(self, key: NamespacedName) -> float | None:
        """Sync a bot. Returns the seconds until the next sync; None if the bot is gone.

        Raises RegistryUnavailableError, for the queue to retry.
        """
        if self._client is None or key not in self._declared:
            return None
        async with self._busy.setdefault(key, asyncio.Lock()):
            return await self._sync(self._client, key)

    async def _sync(self, client: RegistryClient, key: NamespacedName) -> float | None:
        declared, synced = self._declared.get(key), self._synced.get(key)
        if declared is None:
            return None
        if declared == synced and self._clock() < self._due[key]:
            return self._due[key] - self._clock()
        try:
            for asset in declared:
                # By force: a bot that has stopped is Inactive even if other assets depend on it.
                await client.upsert(asset.ref, asset.body, force=True)
            if synced is not None and synced[0].ref != declared[0].ref:
                await self._drop_exchange(client, synced[0])
        except RegistryUnavailableError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_UNAVAILABLE, str(error)))
            raise
        except RegistryRefusedError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_REFUSED, str(error)))
            return 60.0
        self._synced[key] = declared
        self._due[key] = self._clock() + self._interval
        self._note(key, RegistryState("True", Reason.SYNCED, "The registry has the bot's asset"))
        return self._interval

    async def remove(self, bot: Bot) -> None:
        """Delete a bot's asset, and that of its exchange if no other bot uses it."""
        declared = self._declared.get(bot.key)
        self.forget(bot.key)
        if self._client is None:
            return
        async with self._busy.setdefault(bot.key, asyncio.Lock()):
            await self._client.delete(bot_ref(*bot.key))
            # From the spec: an operator that has just started has not noted its assets yet.
            if bot.spec is not None:
                await self._drop_exchange(self._client, exchange_asset(bot.spec))
            elif declared is not None:
                await self._drop_exchange(self._client, declared[0])
        self.forget(bot.key)

    def forget(self, key: NamespacedName) -> None:
        """Forget a bot that is gone."""
        self._declared.pop(key, None)
        self._synced.pop(key, None)
        self._states.pop(key, None)
        self._due.pop(key, None)
        lock = self._busy.get(key)
        if lock is not None and not lock.locked():
            del self._busy[key]

    async def _drop_exchange(self, client: RegistryClient, exchange: Asset) -> None:
        if self._trades_at(exchange):
            return
        try:
            await client.delete(exchange.ref, unresolve=False)
        except RegistryRefusedError:
            # A bot that this operator does not know yet, or another asset, depends on the exchange.
            # The asset belongs to no tenant, so it may stay.
            return
        if self._trades_at(exchange):
            # A bot that was created meanwhile may have been synced before the deletion.
            await client.upsert(exchange.ref, exchange.body)

    def _trades_at(self, exchange: Asset) -> bool:
        return any(used.ref == exchange.ref for used, _ in self._declared.values())

    def _note(self, key: NamespacedName, state: RegistryState) -> None:
        if self._states.get(key) != state:
            self._states[key] = state
            self._changed(key)

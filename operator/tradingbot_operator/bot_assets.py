"""Every bot as an asset of the registry, depending on its exchange.

Kept apart from the bots' own reconciling: a registry that is down must never hold up a bot.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import ExchangeName, TradingBotSpec

from tradingbot_operator.bot import Bot
from tradingbot_operator.desired import digest
from tradingbot_operator.plan import Reason
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
STATUS_OF_PHASE = {"Running": "Active", "Failed": "Failed"}

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

    def state(self, key: tuple[str, str]) -> RegistryState:
        """What is known of a bot's asset."""
        return OFF if self._client is None else self._states.get(key, PENDING)

    def want(self, bot: Bot, spec: TradingBotSpec, *, phase: str) -> bool:
        """Note what the registry shall hold of a bot; True if it has to be told."""
        self._wanted[bot.key] = (exchange_asset(spec), bot_asset(bot, spec, phase=phase))
        return self._client is not None and self._told.get(bot.key) != self._wanted[bot.key]

    async def tell(self, key: tuple[str, str]) -> float | None:
        """Tell the registry of a bot; raises RegistryUnavailableError, to be tried again."""
        wanted = self._wanted.get(key)
        if self._client is None or wanted is None or wanted == self._told.get(key):
            return None
        try:
            for asset in wanted:
                await self._client.upsert(asset.ref, asset.body)
        except RegistryUnavailableError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_UNAVAILABLE, str(error)))
            raise
        except RegistryRefusedError as error:
            self._note(key, RegistryState("False", Reason.REGISTRY_REFUSED, str(error)))
            return 60.0
        self._told[key] = wanted
        self._note(key, RegistryState("True", Reason.SYNCED, "the registry holds the bot's asset"))
        return None

    async def remove(self, key: tuple[str, str]) -> None:
        """Take a bot out of the registry, and its exchange with the last bot that trades there."""
        if self._client is None:
            return
        await self._client.delete(bot_ref(*key))
        wanted = self._wanted.pop(key, None)
        self._told.pop(key, None)
        self._states.pop(key, None)
        if wanted is None or any(one[0].ref == wanted[0].ref for one in self._wanted.values()):
            return
        try:
            await self._client.delete(wanted[0].ref)
        except RegistryRefusedError:
            # Something else depends on the exchange: it stays.
            return

    def _note(self, key: tuple[str, str], state: RegistryState) -> None:
        if self._states.get(key) != state:
            self._states[key] = state
            self._changed(key)

"""ccxt's sync and async clients behind one interface."""

import asyncio
import inspect
from typing import Any

import ccxt
import ccxt.async_support

from conftest import Exchange, Key

SYMBOL = "BTC/USD"


def options(exchange: Exchange, key: Key | None, **more: Any) -> dict[str, Any]:
    """Return what a user configures: a key, and the address."""
    given = {} if key is None else {"apiKey": key.name, "secret": key.secret}
    return {**given, "urls": {"api": {"rest": exchange.url, "ws": exchange.ws_url}}, **more}


class Client:
    """The sync or the async client behind one interface."""

    def __init__(
        self, exchange: Exchange, key: Key | None, *, asynchronous: bool = False, **more: Any
    ) -> None:
        self.exchange = exchange
        self._loop = asyncio.new_event_loop() if asynchronous else None
        if self._loop is not None:
            asyncio.set_event_loop(self._loop)
        module = ccxt.async_support if asynchronous else ccxt
        self.client = module.coinbase(options(exchange, key, **more))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            if inspect.isawaitable(result):
                assert self._loop is not None
                return self._loop.run_until_complete(result)
            return result

        return call

    def price(self, factor: float = 1) -> float:
        """Return the last price times a factor, in whole dollars."""
        return float(round(self.fetch_ticker(SYMBOL)["last"] * factor))

    def held(self, asset: str) -> float:
        """Return what open orders hold. ccxt asks the old API by default, which knows no holds."""
        return float(self.fetch_balance({"v3": True})["used"][asset])

    def shown(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return an order as the exchange has it now."""
        found: dict[str, Any] = self.fetch_order(order["id"], SYMBOL)
        return found

    def end(self) -> None:
        """Close the connections."""
        if self._loop is not None:
            self._loop.run_until_complete(self.client.close())
            self._loop.close()

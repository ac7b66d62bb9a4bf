"""Stand-ins for ccxt's clients: the calls that the strategies use, signed, over a real socket.

ccxt is not a requirement of development. docs/strategies.md says how the strategies are run with it
against the same exchanges; here the requests and the reading of answers are tested.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession

KEY, SECRET = "key", "secret"


class BaseError(Exception):
    """As in ccxt."""


class InvalidOrder(BaseError):  # noqa: N818
    """As in ccxt."""


class OrderNotFound(InvalidOrder):
    """As in ccxt."""


class BadRequest(BaseError):  # noqa: N818
    """As in ccxt."""


class ExchangeError(BaseError):
    """As in ccxt."""


# Those that ccxt knows, and one that ccxt does not.
_BINANCE_ERRORS = {
    -2010: InvalidOrder,
    -2011: OrderNotFound,
    -2013: OrderNotFound,
    -2018: ExchangeError,
}
_BINANCE_PATHS = {
    "exchangeinfo": "exchangeInfo",
    "ticker_bookticker": "ticker/bookTicker",
    "openorders": "openOrders",
    "allorders": "allOrders",
    "mytrades": "myTrades",
    "orderlist": "orderList",
    "orderlist_oco": "orderList/oco",
}


class _Client:
    def __init__(self, session: ClientSession, root: str, clock: Callable[[], int]) -> None:
        self._session, self._root, self._clock = session, root, clock

    def __getattr__(self, name: str) -> Callable[[Mapping[str, Any]], Awaitable[Any]]:
        async def call(parameters: Mapping[str, Any]) -> Any:
            return await self.call(name, dict(parameters))

        return call

    async def call(self, name: str, parameters: dict[str, Any]) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """The session is the test's."""


class BinanceClient(_Client):
    """ccxt's `binance`, with an HMAC key."""

    async def load_time_difference(self) -> None:
        """The clocks of the tests agree."""

    async def call(self, name: str, parameters: dict[str, Any]) -> Any:
        access, method, path = name.split("_", 2)
        if access == "private":
            parameters |= {"timestamp": self._clock(), "recvWindow": 5000}
        query = urlencode(parameters)
        if access == "private":
            signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
            query += f"&signature={signature}"
        url = f"{self._root}/api/v3/{_BINANCE_PATHS.get(path, path)}?{query}"
        async with self._session.request(method, url, headers={"X-MBX-APIKEY": KEY}) as answer:
            body = json.loads(await answer.text())
            if answer.status >= 400:
                raise _BINANCE_ERRORS.get(body["code"], BadRequest)(f"binance {json.dumps(body)}")
            return body


class CoinbaseClient(_Client):
    """ccxt's `coinbase`, with a legacy key."""

    async def call(self, name: str, parameters: dict[str, Any]) -> Any:
        _, access, method, path = name.split("_", 3)
        names = {
            "brokerage_market_products_product_id_candles": "market/products/{product_id}/candles",
            "brokerage_orders_historical_order_id": "orders/historical/{order_id}",
            "brokerage_market_products": "market/products",
            "brokerage_market_product_book": "market/product_book",
            "brokerage_orders_historical_batch": "orders/historical/batch",
            "brokerage_orders_historical_fills": "orders/historical/fills",
            "brokerage_orders_batch_cancel": "orders/batch_cancel",
            "brokerage_transaction_summary": "transaction_summary",
        }
        template = names.get(path, path.removeprefix("brokerage_"))
        inside = {key: parameters.pop(key) for key in list(parameters) if f"{{{key}}}" in template}
        target = "/api/v3/brokerage/" + template.format(**inside)
        body = json.dumps(parameters) if method == "post" else ""
        query = f"?{urlencode(parameters)}" if method == "get" and parameters else ""
        time = str(self._clock() // 1000)
        signed = f"{time}{method.upper()}{target}{body}".encode()
        headers = {"Content-Type": "application/json"}
        if access == "private":
            headers |= {
                "CB-ACCESS-KEY": KEY,
                "CB-ACCESS-TIMESTAMP": time,
                "CB-ACCESS-SIGN": hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(),
            }
        async with self._session.request(
            method, self._root + target + query, data=body or None, headers=headers
        ) as answer:
            text = await answer.text()
            if answer.status >= 400 or '"success":false' in text.replace(" ", ""):
                raise ExchangeError(f"coinbase {text}")
            return json.loads(text)

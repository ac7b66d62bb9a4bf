"""ccxt against both dialects, for faults that are the same at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ccxt
import pytest
from served import Served, serve

SECRET = "secret-of-the-tests-of-faults"
KEY = "key-of-the-tests-of-faults"


@dataclass(frozen=True)
class Dialect:
    """What is different between the dialects for a user of ccxt."""

    name: str
    symbol: str
    """The symbol of ccxt; the engine's has `-` in place of `/`."""
    order: str
    """The request that places an order, as a fault's `match`."""
    balances: str

    @property
    def engine_symbol(self) -> str:
        return self.symbol.replace("/", "-")

    def options(self, served: Served, **more: Any) -> dict[str, Any]:
        """Return what a user configures: a key, and addresses."""
        if self.name == "binance":
            urls: dict[str, Any] = {
                "public": served.url + "/api/v3",
                "private": served.url + "/api/v3",
                "sapi": served.url + "/sapi/v1",
                "ws": {
                    "spot": served.ws_url + "/ws",
                    "ws-api": {"spot": served.ws_url + "/ws-api/v3"},
                },
            }
            options = {
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
            }
        else:
            urls, options = {"rest": served.url, "ws": served.ws_url}, {}
        return {
            "apiKey": KEY,
            "secret": SECRET,
            # Coinbase allows ten public requests a second, so ccxt has to wait between them.
            "enableRateLimit": self.name == "coinbase",
            "rateLimit": 110,
            "timeout": 30_000,
            "urls": {"api": urls},
            "options": options,
            **more,
        }

    def client(self, served: Served, **more: Any) -> Any:
        """Return a client of ccxt, which loads the markets with its first call."""
        return getattr(ccxt, self.name)(self.options(served, **more))

    def serve(self, here: Path, *more: str) -> Any:
        """Return a context with this exchange. `more`: arguments of `tradingbot exchange`."""
        keys = [{"name": KEY, "secret": SECRET}]
        return serve(self.name, here, keys=keys, balances=self.balances, more=more)


DIALECTS = (
    Dialect("binance", "BTC/USDT", "POST /api/v3/order", "USDT=1000000,BTC=20,ETH=100"),
    Dialect("coinbase", "BTC/USD", "POST /api/v3/brokerage/orders", "USD=1000000,BTC=20,ETH=100"),
)


@pytest.fixture(scope="session", params=DIALECTS, ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture(scope="session")
def exchange(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with dialect.serve(tmp_path_factory.mktemp(dialect.name)) as served:
        yield served


@pytest.fixture(scope="session")
def connected(dialect: Dialect, exchange: Served) -> Any:
    return dialect.client(exchange)


@pytest.fixture
def client(dialect: Dialect, exchange: Served, connected: Any) -> Iterator[Any]:
    """Return a client; afterwards there are no faults and no open orders."""
    yield connected
    exchange.end_faults()
    for order in connected.fetch_open_orders(dialect.symbol):
        connected.cancel_order(order["id"], dialect.symbol)

"""A simulated Binance for the clients."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from served import ACCOUNT, Served, serve

KEY, SECRET = "client-key-of-tests-1", "client-secret-of-tests"
BALANCES = "USDT=1000000,BTC=20,ETH=100"


@dataclass(frozen=True)
class Exchange(Served):
    """Where it listens, and a key of it. Each test module has an account of its own."""

    key: str
    secret: str

    def deposit(self, asset: str, amount: str) -> None:
        """Credit the account of the key; a negative amount is a withdrawal."""
        body = {"asset": asset, "amount": amount}
        self.control("POST", f"/accounts/{ACCOUNT}/deposits", body)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    here = tmp_path_factory.mktemp("exchange")
    keys = [{"name": KEY, "secret": SECRET}]
    with serve("binance", here, keys=keys, balances=BALANCES) as served:
        yield Exchange(served.port, served.control_port, KEY, SECRET)

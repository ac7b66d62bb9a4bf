"""A gateway in front of a simulated Binance, for clients that know neither."""

from collections.abc import Iterator

import pytest
from served import Served, serve_behind_gateway

KEY, SECRET = "placeholder-of-tests", "placeholder-secret-of-tests"
SYMBOL = "BTCUSDT"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    here = tmp_path_factory.mktemp("gateway")
    placeholder = {"name": KEY, "secret": SECRET}
    with serve_behind_gateway(
        here, placeholder=placeholder, balances="USDT=100000", risk={}
    ) as served:
        yield served

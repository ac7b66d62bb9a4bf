"""The files of a Paper account: what a gateway that was killed goes on from, and what they cost."""

from __future__ import annotations

import json
import random
import threading
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from exchange_process import eventually
from gateway_process import Gateway, Gateways, killed_meanwhile
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import NewOrder, OrderType, RefusedError, Side
from tradingbot_exchange.market.liquidity import HOUSE
from tradingbot_exchange.market.symbols import DialectName, default_symbols
from tradingbot_exchange.venue import ApiKey
from tradingbot_gateway.errors import StateFileError
from tradingbot_gateway.markets import Depth
from tradingbot_gateway.paper import ACCOUNT, PaperVenue
from tradingbot_gateway.paper_state import PaperState

INSTRUMENTS = {
    each.instrument.symbol: each.instrument for each in default_symbols(DialectName.BINANCE)
}
KEY = ApiKey(name="key", account=ACCOUNT, secret="")
SYMBOL, PRICE = "BTC-USDT", Decimal(60_000)
KILLS = 5


def opened(path: Path) -> PaperVenue:
    funds = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
    return PaperVenue(INSTRUMENTS, funds, key=KEY, wall=lambda: 1_800_000_000_000, state=path)


def quote(venue: PaperVenue, price: Decimal) -> None:
    def levels(step: int) -> tuple[tuple[Decimal, Decimal], ...]:
        return tuple((price + step * (number + 1), Decimal("0.01")) for number in range(5))

    venue.quoted(SYMBOL, Depth(levels(-1), levels(1), 0))


def buy(venue: PaperVenue, quantity: str = "0.001") -> None:
    order = NewOrder(
        symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(quantity)
    )
    venue.apply(lambda engine, now: engine.submit(ACCOUNT, order, now=now))


def act(venue: PaperVenue, rng: random.Random, price: Decimal) -> None:
    """Send or cancel something at random: orders that fill, rest or wait, and OCO lists."""
    open_orders = venue.engine.open_orders(ACCOUNT)
    side = rng.choice(list(Side))
    size = Decimal(rng.randint(1, 30)) / 1000
    far = price + rng.randint(1, 50) * (1 if side is Side.SELL else -1)
    beyond = price - rng.randint(20, 60) * (1 if side is Side.SELL else -1)
    limit = NewOrder(
        symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=size, price=far, client_id="again"
    )
    stop = NewOrder(
        symbol=SYMBOL, side=side, type=OrderType.STOP_MARKET, quantity=size, stop_price=beyond
    )
    market = NewOrder(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=size)
    choice = rng.randrange(5)
    try:
        if choice == 0 and open_orders:
            chosen = rng.choice(open_orders).id
            venue.apply(lambda engine, now: engine.cancel(ACCOUNT, chosen, now=now))
        elif choice == 1:
            venue.apply(
                lambda engine, now: engine.submit_oco(ACCOUNT, limit, stop, client_id="", now=now)
            )
        else:
            order = (limit, stop, market)[choice % 3]
            venue.apply(lambda engine, now: engine.submit(ACCOUNT, order, now=now))
    except RefusedError:
        pass


def account(engine: Engine, name: str = ACCOUNT) -> Any:
    accounts: Any = engine.snapshot()["accounts"]
    (found,) = (each for each in accounts if each["name"] == name)
    for member in ("orders", "lists"):
        found[member].sort(key=lambda item: item["id"])
    return json.loads(json.dumps(found))


def kept(path: Path) -> Engine:
    state = PaperState(path, ACCOUNT, quoting=(HOUSE,)).read()
    assert state is not None
    return Engine.restore(INSTRUMENTS.values(), state)


@pytest.mark.parametrize("seed", range(3))
def test_the_files_have_the_whole_account_after_each_event(tmp_path: Path, seed: int) -> None:
    path, rng, price = tmp_path / "paper", random.Random(seed), PRICE
    venue = opened(path)
    for number in range(300):
        price += rng.randint(-15, 15)
        quote(venue, price)
        act(venue, rng, price)
        if number % 40 == 39:  # a kill, and another process
            venue = opened(path)
            assert venue.engine.open_orders(HOUSE) == []
        if number % 10 == 0:
            found = kept(path)
            assert account(found) == account(venue.engine)
            assert {each["held"] for each in purses(found, HOUSE)} == {0}
            assert total(found, HOUSE) == total(venue.engine, HOUSE)
    ended = [each for each in account(venue.engine)["orders"] if "open" not in each]
    assert len(ended) > 100
    assert account(venue.engine)["fills"]
    assert any(each["status"] != "EXECUTING" for each in account(venue.engine)["lists"])


def purses(engine: Engine, name: str) -> list[dict[str, int]]:
    found = account(engine, name)["purses"].values()
    return [{"free": free, "held": held} for free, held in found]


def total(engine: Engine, name: str) -> dict[str, int]:
    return {asset: sum(each) for asset, each in account(engine, name)["purses"].items()}


def test_a_kill_between_the_two_files_leaves_the_account_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "paper"
    venue = opened(path)
    quote(venue, PRICE)
    buy(venue)
    before, history = account(kept(path)), path.with_name("paper.history")

    def killed(*_: object) -> None:
        raise OSError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(StateFileError):
            buy(venue)
    history.write_bytes(history.read_bytes() + b'["orders",{"id"')
    assert account(kept(path)) == before
    venue = opened(path)
    quote(venue, PRICE)
    buy(venue, "0.00234")
    assert account(kept(path)) == account(venue.engine)
    assert len(account(venue.engine)["fills"]) == len(before["fills"]) + 1


def test_a_history_that_has_lost_its_end_is_no_account(tmp_path: Path) -> None:
    path = tmp_path / "paper"
    venue = opened(path)
    quote(venue, PRICE)
    buy(venue)
    history = path.with_name("paper.history")
    history.write_bytes(history.read_bytes()[:-10])
    with pytest.raises(StateFileError, match="is not the account"):
        opened(path)


def test_an_account_that_is_in_one_file_goes_on_in_two(tmp_path: Path) -> None:
    path = tmp_path / "paper"
    venue = opened(path)
    quote(venue, PRICE)
    buy(venue)
    path.write_text(json.dumps(venue.engine.snapshot()))
    venue = opened(path)
    quote(venue, PRICE)
    buy(venue)
    assert account(kept(path)) == account(venue.engine)
    assert len(account(venue.engine)["orders"]) == 2


def test_an_event_writes_as_much_late_as_early(tmp_path: Path) -> None:
    path = tmp_path / "paper"
    venue, history = opened(path), path.with_name("paper.history")
    quote(venue, PRICE)
    grown = []
    for number in range(200):
        side = Side.SELL if number % 2 else Side.BUY
        order = NewOrder(
            symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=Decimal("0.0001")
        )
        before = history.stat().st_size if history.exists() else 0
        venue.apply(lambda engine, now, order=order: engine.submit(ACCOUNT, order, now=now))
        grown.append(path.stat().st_size + history.stat().st_size - before)
    assert max(grown[-10:]) < 1.1 * max(grown[:10])


def test_no_kill_loses_what_the_ledger_has_counted(start: Gateways, tmp_path: Path) -> None:
    rng = random.Random(5)
    gateway = start(
        "--state", str(tmp_path / "ledger"), mode="Paper", maxOrdersPerMinute=10000
    ).ready()
    for _ in range(KILLS):
        killed_meanwhile(gateway, trade, seconds=rng.uniform(0.3, 1.2))
        gateway.begin()
        gateway.ready()
        eventually(lambda: abs(exposed(gateway) - worth(gateway)) < Decimal(1))


def trade(gateway: Gateway, over: threading.Event) -> None:
    """Buy and sell, until told otherwise or until nobody answers."""
    while not over.is_set():
        try:
            gateway.order(timeout=10)
            gateway.order(side="SELL", quantity="0.0007", timeout=10)
        except (OSError, HTTPException):
            return


def exposed(gateway: Gateway) -> Decimal:
    return Decimal(gateway.risk()["exposure"])


def worth(gateway: Gateway) -> Decimal:
    """What the account's bitcoins are worth, by the exchange inside the gateway."""
    balances = gateway.signed("GET", "/api/v3/account").body["balances"]
    held = {each["asset"]: Decimal(each["free"]) + Decimal(each["locked"]) for each in balances}
    return held["BTC"] * gateway.price()

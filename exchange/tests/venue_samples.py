"""A venue whose clock a test moves, and orders in short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.engine.types import Event, NewOrder, Order, OrderType, Side
from tradingbot_exchange.faults.board import ActiveFault
from tradingbot_exchange.faults.model import FAULT
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.venue import ApiKey

START = 1_764_520_000_000
KEYS = (ApiKey(name="key", account="main", secret="secret"),)
FUNDS: Mapping[str, Decimal] = {"USDT": Decimal(1_000_000), "BTC": Decimal(10)}


def choices(**changes: Any) -> Choices:
    return Choices(**({"dialect": DialectName.BINANCE, "seed": 7, "balances": FUNDS} | changes))


@dataclass
class Clock:
    time: int = START

    def __call__(self) -> int:
        return self.time


@dataclass
class Harness:
    """A venue in memory."""

    venue: SimulatedVenue
    clock: Clock
    events: list[Event] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        """Let time pass as it does while the server ticks."""
        for _ in range(int(seconds * 4)):
            self.clock.time += 250
            self.venue.advance()

    def submit(self, order: NewOrder) -> Order:
        made = self.venue.apply(lambda engine, now: engine.submit("main", order, now=now))
        assert isinstance(made, Order)
        return made

    def buy(self, quantity: str, *, symbol: str = "BTC-USDT") -> Order:
        return self.submit(market(Side.BUY, quantity, symbol=symbol))

    def fault(self, **body: Any) -> ActiveFault:
        return self.venue.add_fault(FAULT.validate_python(body))

    def last(self, symbol: str = "BTC-USDT") -> Decimal:
        price = self.venue.engine.last_price(symbol)
        assert price is not None
        return price


def harness(**changes: Any) -> Harness:
    clock = Clock()
    venue = simulated_venue(choices(**changes), keys=KEYS, wall=clock)
    made = Harness(venue, clock)
    venue.listen(made.events.extend)
    return made


def market(side: Side, quantity: str, *, symbol: str = "BTC-USDT") -> NewOrder:
    return NewOrder(symbol=symbol, side=side, type=OrderType.MARKET, quantity=Decimal(quantity))


def limit(side: Side, quantity: str, price: Decimal, **more: Any) -> NewOrder:
    return NewOrder(
        symbol="BTC-USDT", side=side, type=OrderType.LIMIT, quantity=Decimal(quantity),
        price=price, **more,
    )  # fmt: skip


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path

"""Markets, quotes, orders and a desk for the tests of the core."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from typing import Any

from tradingbot_exchange.engine.types import Level, OrderType, Side
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import Acknowledged, End, Ended, Filled
from tradingbot_gateway.risk.limits import Limits, Settings
from tradingbot_gateway.risk.types import Market, Order, Quote, Request
from tradingbot_gateway.risk.verdicts import Allowed, Control, Refused

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
NOON = 1_764_072_000_000
"""2025-11-25 12:00 UTC."""
HOUR, DAY = 3_600_000, 86_400_000


@dataclass(frozen=True)
class Calendar:
    """Where trading days begin."""

    time_zone: str = "UTC"
    day_start: str = "00:00"


def market(symbol: str, **changes: Any) -> Market:
    """Return a market with small steps."""
    base, quote = symbol.split("-")
    return replace(
        Market(
            symbol=symbol,
            base=base,
            quote=quote,
            tick=D("0.01") if quote == "USDT" else D("0.00001"),
            lot=D("0.001"),
            min_quantity=D("0.001"),
            min_notional=D(5) if quote == "USDT" else D("0.0001"),
        ),
        **changes,
    )


MARKETS = {m.symbol: m for m in map(market, ("BTC-USDT", "ETH-USDT", "SOL-USDT", "ETH-BTC"))}
LIMITS = Limits(
    money="USDT",
    max_position_size=D(1000),
    max_open_positions=2,
    daily_loss_limit=D(100),
    stop_loss_percentage=D("2.5"),
    take_profit_percentage=D(5),
    price_collar_percentage=D(5),
    max_orders_per_minute=60,
)
PRICES = {"BTC-USDT": "100", "ETH-USDT": "10", "SOL-USDT": "1", "ETH-BTC": "0.1"}


def quote(symbol: str, bid: str | Decimal, ask: str | Decimal | None = None, *, at: int) -> Quote:
    """Return a book with 1000 at the best price of each side, and as much 1 % behind it."""
    bid = D(bid)
    ask = bid if ask is None else D(ask)
    size = D(1000)
    return Quote(
        symbol=symbol,
        bids=(Level(bid, size), Level(bid * D("0.99"), size)),
        asks=(Level(ask, size), Level(ask * D("1.01"), size)),
        time=at,
    )


def settings(**changes: Any) -> Settings:
    """Return settings; `calendar`, `halted_until` and `closed` or a limit can be given."""
    own = {
        name: changes.pop(name) for name in ("calendar", "halted_until", "closed")
        if name in changes
    }  # fmt: skip
    return Settings(**{"limits": replace(LIMITS, **changes), "calendar": Calendar(), **own})


_NAMES = count()


def order(side: Side, quantity: str | None, price: str | None = None, **terms: Any) -> Order:
    """Return a limit order, or one at the market without a price, for BTC-USDT."""
    kind = terms.pop("type", OrderType.MARKET if price is None else OrderType.LIMIT)
    return Order(
        client_id=terms.pop("client_id", None) or f"order-{next(_NAMES)}",
        symbol=terms.pop("symbol", "BTC-USDT"),
        side=side,
        type=kind,
        quantity=None if quantity is None else D(quantity),
        price=None if price is None else D(price),
        **terms,
    )


def request(*orders: Order, **terms: Any) -> Request:
    """Return a request for orders."""
    return Request(orders=orders, **terms)


@dataclass
class Harness:
    """A desk that is reconciled, with a quote of each symbol, and a clock."""

    desk: Desk = field(default_factory=lambda: Desk(MARKETS, settings()))
    now: int = NOON
    trades: Iterable[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        for symbol, price in PRICES.items():
            self.quote(symbol, price)
        self.desk.reconciled(self.now)

    def quote(self, symbol: str, bid: str | Decimal, ask: str | Decimal | None = None) -> None:
        """Let the market quote a symbol now."""
        self.desk.quoted(quote(symbol, bid, ask, at=self.now), self.now)

    def refresh(self) -> None:
        """Let the market quote all symbols now, at the prices that they had."""
        for symbol, price in PRICES.items():
            self.quote(symbol, price)

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds

    def ask(self, *orders: Order, **terms: Any) -> Any:
        """Ask for orders, and return the verdict."""
        return self.desk.decide(request(*orders, **terms), self.now)

    def allowed(self, *orders: Order, **terms: Any) -> Order:
        """Ask for orders that must be allowed, and return the first."""
        verdict = self.ask(*orders, **terms)
        assert isinstance(verdict, Allowed), verdict
        return orders[0]

    def refused(self, *orders: Order, **terms: Any) -> Refused:
        """Ask for orders that must be refused, and return the refusal."""
        verdict = self.ask(*orders, **terms)
        assert isinstance(verdict, Refused), verdict
        return verdict

    def opened(self, *orders: Order, **terms: Any) -> Order:
        """Ask for orders that must be allowed, and acknowledge them."""
        first = self.allowed(*orders, **terms)
        for one in orders:
            self.desk.on(
                Acknowledged(time=self.now, client_id=one.client_id, exchange_id=one.client_id),
                self.now,
            )
        return first

    def fill(self, one: Order, quantity: str, price: str, **terms: Any) -> Filled:
        """Fill a part of an order, and return the event."""
        event = Filled(
            time=terms.pop("time", self.now),
            client_id=one.client_id,
            symbol=one.symbol,
            trade_id=terms.pop("trade_id", None) or str(next(iter(self.trades))),
            price=D(price),
            quantity=D(quantity),
            fee=D(terms.pop("fee", "0")),
            fee_asset=terms.pop("fee_asset", "USDT"),
            **terms,
        )
        self.desk.on(event, self.now)
        return event

    def end(self, one: Order, how: End = End.CANCELED, executed: str | None = "0") -> None:
        """End an order."""
        self.desk.on(
            Ended(
                time=self.now,
                client_id=one.client_id,
                how=how,
                executed=None if executed is None else D(executed),
            ),
            self.now,
        )

    def holds(self, quantity: str, price: str, **terms: Any) -> Order:
        """Buy something, completely."""
        bought = self.opened(order(BUY, quantity, price, **terms))
        self.fill(bought, quantity, price)
        return bought

    def control(self, *orders: Order, **terms: Any) -> Control:
        """Return the control that refuses orders."""
        return self.refused(*orders, **terms).control

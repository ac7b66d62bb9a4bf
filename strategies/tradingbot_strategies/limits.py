"""The limits of bot.json, between what a strategy wants and what is sent.

docs/bot-contract.md has the meaning of each limit. Orders that only reduce a position pass always.
An order that could open or add is made smaller until it fits, or left out. The value of a position
counts all of the bot's entry orders as filled, at the worse of their limit and the market.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_api.contract import BotRisk
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.view import ZERO, Market, Position, Quote, Resting, Style, View, Wish

HEADROOM = Decimal("0.02")
"""What the first trade of a cycle leaves free of maxPositionSize: the next may be worth more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`risk` of bot.json as numbers. Percentages are in percent, money in the quote asset."""

    max_position_size: Decimal
    max_open_positions: int
    daily_loss_limit: Decimal
    stop_loss_percentage: Decimal
    take_profit_percentage: Decimal

    @classmethod
    def of(cls, risk: BotRisk) -> "Limits":
        """Read the decimals of bot.json."""
        return cls(
            max_position_size=Decimal(risk.max_position_size),
            max_open_positions=risk.max_open_positions,
            daily_loss_limit=Decimal(risk.daily_loss_limit),
            stop_loss_percentage=Decimal(risk.stop_loss_percentage),
            take_profit_percentage=Decimal(risk.take_profit_percentage),
        )


def is_open(position: Position, market: Market, quote: Quote) -> bool:
    """Whether a position counts: less than the exchange lets anybody sell does not."""
    return market.accepts(market.quantity_down(position.quantity), quote.bid)


def open_assets(view: View, money: str) -> set[str]:
    """Return the assets of the positions that count."""
    return {
        asset
        for asset, position in view.positions.items()
        if is_open(position, view.markets[f"{asset}-{money}"], view.quotes[f"{asset}-{money}"])
    }


def permitted(
    wishes: Sequence[Wish], view: View, limits: Limits, *, money: str, entries: bool
) -> list[Wish]:
    """Return the wishes that keep the limits, smaller where necessary, in their order.

    `entries`: whether anything may be opened or added now.
    """
    budget = _Budget(view, limits, money)
    passed = []
    for wish in wishes:
        target = acquired(wish, view.markets[wish.symbol])
        if target == money:
            passed.append(wish)
        elif entries:
            passed += budget.fit(wish, target)
    return passed


def acquired(wish: Wish, market: Market) -> str:
    """Return the asset that an order receives."""
    return market.base if wish.side is Side.BUY else market.quote


class _Budget:
    """What is left of the limits while wishes are fitted in, one after the other."""

    def __init__(self, view: View, limits: Limits, money: str) -> None:
        self._view, self._limits, self._money = view, limits, money
        self._open = open_assets(view, money)
        self._quantities = {
            asset: max(position.quantity, ZERO) for asset, position in view.positions.items()
        }
        self._free = view.free + sum(
            (_cost(view.markets[order.symbol], order.remaining, order.price)
             for order in view.resting
             if order.side is Side.BUY and view.markets[order.symbol].quote == money),
            ZERO,
        )  # fmt: skip

    def fit(self, wish: Wish, target: str) -> list[Wish]:
        """Return the wish in the size that fits, or nothing."""
        view, market = self._view, self._view.markets[wish.symbol]
        opened = self._open - self._closed_by(wish) | {target}
        if len(opened) > self._limits.max_open_positions:
            return []
        quote = view.quotes[wish.symbol]
        worst = max(wish.price or quote.ask, quote.ask)
        quantity = min(wish.quantity, self._room(wish, target, worst))
        if market.quote == self._money:
            quantity = min(quantity, self._free / _cost(market, Decimal(1), worst))
        quantity = _steady(wish, market.quantity_down(quantity), view.resting)
        if not market.accepts(quantity, min(worst, quote.bid)):
            return []
        self._open = opened
        received = quantity if wish.side is Side.BUY else quantity * worst
        self._quantities[target] = self._quantities.get(target, ZERO) + received
        if market.quote == self._money:
            self._free -= _cost(market, quantity, wish.price or worst)
        return [wish.of_size(quantity)]

    def _room(self, wish: Wish, target: str, worst: Decimal) -> Decimal:
        """Return how large the order may be under maxPositionSize."""
        market = self._view.markets[wish.symbol]
        price = self._view.quotes[f"{target}-{self._money}"].ask
        if market.quote == self._money:
            price = max(price, worst)
        elif wish.side is Side.BUY:
            price = max(price, worst * self._view.quotes[f"{market.quote}-{self._money}"].ask)
        limit = self._limits.max_position_size
        if wish.style is Style.ALL_OR_NOTHING and market.quote == self._money:
            limit *= 1 - HEADROOM
        room = max(limit / price - self._quantities.get(target, ZERO), ZERO)
        return room if wish.side is Side.BUY else room / worst

    def _closed_by(self, wish: Wish) -> set[str]:
        """Return the asset that the order spends, if it spends all of the position."""
        market = self._view.markets[wish.symbol]
        spent = market.quote if wish.side is Side.BUY else market.base
        if spent == self._money or spent not in self._view.positions:
            return set()
        price = wish.price or self._view.quotes[wish.symbol].bid
        used = wish.quantity * price if wish.side is Side.BUY else wish.quantity
        held = self._view.positions[spent]
        rest = Position(quantity=held.quantity - used, cost=ZERO)
        symbol = f"{spent}-{self._money}"
        return (
            set()
            if is_open(rest, self._view.markets[symbol], self._view.quotes[symbol])
            else {spent}
        )


def _cost(market: Market, quantity: Decimal, price: Decimal) -> Decimal:
    return quantity * price * (1 + market.taker_fee)


def _steady(wish: Wish, quantity: Decimal, resting: Sequence[Resting]) -> Decimal:
    """Keep an order that is in the book as it is while it fits, although a larger one would."""
    if wish.style is not Style.REST or quantity == wish.quantity:
        return quantity
    for order in resting:
        same = order.symbol == wish.symbol and order.side is wish.side and order.tag == wish.tag
        if same and order.price == wish.price and order.remaining <= quantity:
            return order.remaining
    return quantity


def exposure(view: View, marks: Mapping[str, Decimal]) -> Decimal:
    """Return the value of all positions at `marks` (by asset), added without sign."""
    return sum(
        (abs(position.quantity) * marks[asset] for asset, position in view.positions.items()), ZERO
    )

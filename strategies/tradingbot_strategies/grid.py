"""Grid trading: buy orders below the price and sell orders above it, at fixed levels.

Each pair of neighbouring levels is a cell: what the order at its lower level buys, an order at its
upper level sells. The tag of an order names its cell, so what a cell holds can be read from the
exchange's records at any time, and no level is lost by a partial fill or a restart.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import pairwise

from tradingbot_api.strategies import GridParameters, GridSpacing
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs, base_asset, quote_asset
from tradingbot_strategies.view import ZERO, Market, Quote, Resting, Style, View, Wish


def needs(parameters: GridParameters) -> Needs:
    """Return what to read for `decide`."""
    return Needs(symbols=(parameters.symbol,), money=quote_asset(parameters.symbol))


def decide(view: View, parameters: GridParameters) -> Sequence[Wish]:
    """Return the order or orders of each cell: sales first, then buys, the highest first."""
    market, quote = view.markets[parameters.symbol], view.quotes[parameters.symbol]
    lots = view.position(base_asset(parameters.symbol)).lots
    in_book = {order.tag: order for order in view.resting if order.side is Side.BUY}
    sales: list[Wish] = []
    buys: list[Wish] = []
    for cell in cells(parameters, market):
        held = lots.get(cell.tag, ZERO)
        if held and market.accepts(quantity := market.quantity_down(held), cell.upper):
            # A price that is there already, after a jump, is taken.
            style = Style.TAKE if cell.upper <= quote.bid else Style.REST
            sales.append(
                _wish(market, cell.tag, Side.SELL, quantity=quantity, price=cell.upper, style=style)
            )
        resting = in_book.get(cell.tag)
        if cell.lower < quote.ask or resting is not None:  # one that is being filled stays
            quantity = _missing(market, cell, held, resting)
            if quantity:
                buys.append(cell.buy if quantity == cell.full else cell.buy.of_size(quantity))
    return [*sales, *reversed(buys)]


def unchanged(view: View, before: View, parameters: GridParameters) -> bool:
    """Whether `decide` returns what it did before: the prices are between the same levels."""
    if view.positions is not before.positions or view.resting is not before.resting:
        return False
    levels = cells(parameters, view.markets[parameters.symbol])
    now, then = view.quotes[parameters.symbol], before.quotes[parameters.symbol]
    return _place(levels, now) == _place(levels, then)


def _place(levels: Sequence["Cell"], quote: Quote) -> tuple[int, int]:
    """Return how many cells could buy below the ask, and how many could sell at the bid."""
    buying = bisect_left(levels, quote.ask, key=lambda cell: cell.lower)
    return buying, bisect_right(levels, quote.bid, key=lambda cell: cell.upper)


@dataclass(frozen=True, slots=True)
class Cell:
    """Two neighbouring levels. `buy` is its order while it holds nothing, of quantity `full`."""

    tag: str
    lower: Decimal
    upper: Decimal
    full: Decimal
    buy: Wish


@cache
def cells(parameters: GridParameters, market: Market) -> Sequence[Cell]:
    """Return the cells of a grid, the lowest first."""
    low, high, steps = parameters.lower_price, parameters.upper_price, parameters.levels - 1
    if parameters.spacing is GridSpacing.ARITHMETIC:
        exact = [low + (high - low) * step / steps for step in range(steps + 1)]
    else:
        exact = [low * (high / low) ** (Decimal(step) / steps) for step in range(steps + 1)]
    levels = [market.price_down(price + market.tick / 2) for price in exact]
    return [
        _cell(market, f"{number:02}", lower, upper, parameters.order_size)
        for number, (lower, upper) in enumerate(pairwise(levels))
    ]


def _cell(market: Market, tag: str, lower: Decimal, upper: Decimal, value: Decimal) -> Cell:
    full = market.quantity_down(value / lower)
    buy = _wish(market, tag, Side.BUY, quantity=full, price=lower, style=Style.REST)
    return Cell(tag, lower, upper, full, buy)


def _missing(market: Market, cell: Cell, held: Decimal, resting: Resting | None) -> Decimal:
    """Return what the order at the lower level is to buy, 0 if too little is missing."""
    missing = market.quantity_down(cell.full - held) if held else cell.full
    if resting is not None and resting.price == cell.lower and resting.remaining <= missing:
        # An order in the book keeps its place unless enough is missing for one more order.
        more = missing - resting.remaining
        return missing if more and market.accepts(more, cell.lower) else resting.remaining
    return missing if market.accepts(missing, cell.lower) else ZERO


def _wish(
    market: Market, tag: str, side: Side, *, quantity: Decimal, price: Decimal, style: Style
) -> Wish:
    return Wish(
        symbol=market.symbol, side=side, quantity=quantity, price=price, style=style, tag=tag
    )

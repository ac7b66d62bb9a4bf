"""An account's statement: balances, fills, fees, and profit by average cost. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from tradingbot_exchange.engine.types import Balance, Fill, Instrument, Side

_CONTEXT = Context(prec=28)
_ZERO = Decimal(0)
_PLACES = Decimal("1e-8")


def _name(field: str) -> str:
    return to_camel(field).replace("Pnl", "PnL")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=_name, populate_by_name=True)


class BalanceLine(_Answer):
    """One asset."""

    free: str
    held: str


class FillLine(_Answer):
    """One fill. `time` is in milliseconds since the epoch."""

    time: int
    symbol: str
    side: Side
    price: str
    quantity: str
    fee: str
    fee_asset: str
    maker: bool
    order_id: int
    trade_id: int


class SymbolLine(_Answer):
    """Trading in one symbol. Money is in the quote asset.

    `position` is what was bought and not sold, less fees in the base asset; `average_price` is what
    it cost without fees. `realized_pnl` is net of `fees`, which are converted at the price of their
    fill. Sales of what was deposited realize nothing: `unmatched_quantity`.
    """

    position: str
    average_price: str
    realized_pnl: str
    fees: str
    unrealized_pnl: str | None
    mark: str | None
    bought: str
    sold: str
    unmatched_quantity: str
    fills: int


class Statement(_Answer):
    """A statement. Totals are by quote asset."""

    account: str
    time: int
    since: int
    balances: Mapping[str, BalanceLine]
    symbols: Mapping[str, SymbolLine]
    realized_pnl: Mapping[str, str]
    unrealized_pnl: Mapping[str, str]
    fees: Mapping[str, str]
    open_orders: int
    fills: Sequence[FillLine]


@dataclass(slots=True)
class Position:
    """What an account's fills in one symbol add up to, by average cost."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realized: Decimal = _ZERO
    fees: Decimal = _ZERO
    bought: Decimal = _ZERO
    sold: Decimal = _ZERO
    unmatched: Decimal = _ZERO
    fills: int = 0

    def add(self, fill: Fill, instrument: Instrument) -> None:
        """Count a fill."""
        self.fills += 1
        in_base = fill.fee_asset == instrument.base
        fee = _CONTEXT.multiply(fill.fee, fill.price) if in_base else fill.fee
        self.fees += fee
        self.realized -= fee
        if fill.side is Side.BUY:
            self.bought += fill.quantity
            self.quantity += fill.quantity
            self.cost += fill.quote_quantity
        else:
            self.sold += fill.quantity
            self._close(fill.quantity, fill.price)
        if in_base:
            # The fee leaves the position as a sale at the fill's price would.
            self._close(fill.fee, fill.price)

    @property
    def average(self) -> Decimal:
        """What one unit cost."""
        return _CONTEXT.divide(self.cost, self.quantity) if self.quantity else _ZERO

    def _close(self, quantity: Decimal, price: Decimal) -> None:
        matched = min(quantity, self.quantity)
        self.unmatched += quantity - matched
        if not matched:
            return
        cost = (
            self.cost
            if matched == self.quantity
            else _CONTEXT.divide(_CONTEXT.multiply(self.cost, matched), self.quantity)
        )
        self.realized += _CONTEXT.multiply(matched, price) - cost
        self.quantity -= matched
        self.cost -= cost


def positions(
    fills: Iterable[Fill], instruments: Mapping[str, Instrument], *, since: int = 0
) -> dict[str, Position]:
    """Return the positions by symbol. What fills before `since` realized is left out."""
    found: dict[str, Position] = {}
    for fill in fills:
        position = found.setdefault(fill.symbol, Position())
        position.add(fill, instruments[fill.symbol])
        if fill.time < since:
            found[fill.symbol] = Position(quantity=position.quantity, cost=position.cost)
    return found


def statement(
    account: str,
    *,
    now: int,
    since: int,
    limit: int,
    balances: Mapping[str, Balance],
    fills: Sequence[Fill],
    open_orders: int,
    instruments: Mapping[str, Instrument],
    marks: Mapping[str, Decimal | None],
) -> Statement:
    """Return a statement of the fills since `since`, the last `limit` of them listed.

    `marks` are the best bids, at which a position could be closed.
    """
    shown = [fill for fill in fills if fill.time >= since]
    fees: dict[str, Decimal] = {}
    for fill in shown:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, _ZERO) + fill.fee
    realized: dict[str, Decimal] = {}
    unrealized: dict[str, Decimal] = {}
    lines = {}
    for symbol, position in positions(fills, instruments, since=since).items():
        quote, mark = instruments[symbol].quote, marks.get(symbol)
        realized[quote] = realized.get(quote, _ZERO) + position.realized
        open_profit = None if mark is None else position.quantity * mark - position.cost
        if open_profit is not None:
            unrealized[quote] = unrealized.get(quote, _ZERO) + open_profit
        lines[symbol] = _line(position, mark, open_profit)
    return Statement(
        account=account,
        time=now,
        since=since,
        balances={
            asset: BalanceLine(free=_text(balance.free), held=_text(balance.held))
            for asset, balance in balances.items()
        },
        symbols=lines,
        realized_pnl={asset: _text(amount) for asset, amount in realized.items()},
        unrealized_pnl={asset: _text(amount) for asset, amount in unrealized.items()},
        fees={asset: _text(amount) for asset, amount in fees.items()},
        open_orders=open_orders,
        fills=[_fill_line(fill) for fill in shown[-limit:]],
    )


def _line(position: Position, mark: Decimal | None, profit: Decimal | None) -> SymbolLine:
    return SymbolLine(
        position=_text(position.quantity),
        average_price=_text(position.average),
        realized_pnl=_text(position.realized),
        fees=_text(position.fees),
        unrealized_pnl=None if profit is None else _text(profit),
        mark=None if mark is None else _text(mark),
        bought=_text(position.bought),
        sold=_text(position.sold),
        unmatched_quantity=_text(position.unmatched),
        fills=position.fills,
    )


def _fill_line(fill: Fill) -> FillLine:
    return FillLine(
        time=fill.time,
        symbol=fill.symbol,
        side=fill.side,
        price=_text(fill.price),
        quantity=_text(fill.quantity),
        fee=_text(fill.fee),
        fee_asset=fill.fee_asset,
        maker=fill.maker,
        order_id=fill.order_id,
        trade_id=fill.trade_id,
    )


def _text(value: Decimal) -> str:
    """Return a decimal without an exponent or trailing zeros, with 8 places at most."""
    text = f"{value.quantize(_PLACES):f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text

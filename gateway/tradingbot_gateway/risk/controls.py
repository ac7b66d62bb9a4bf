"""The controls: each is a function that refuses an entry, with the figures, or has no objection.

They judge entries alone. `Case` has all that an entry is judged by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.engine.types import Level, OrderType, Side

from tradingbot_gateway.risk.figures import (
    Figures,
    Flow,
    Prices,
    figures,
    open_assets,
    value_if_filled,
)
from tradingbot_gateway.risk.ledger import RATE_WINDOW, Ledger
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.risk.orders import Stage, Unit
from tradingbot_gateway.risk.types import STOPS, UNPRICED, ZERO, Order, Request, assets_of
from tradingbot_gateway.risk.verdicts import Control, Refused

SAME_ENTRY = 1_000
"""Milliseconds in which the same entry again is a duplicate."""
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Why nothing may be opened at all, if there is a reason. It does not depend on the order."""

    not_reconciled: str | None = None
    terminating: str | None = None
    not_granted: str | None = None
    """Another pod of the bot may pass entries: those of this one are cancelled."""
    outdated: str | None = None
    """The limits have changed, and are not known yet."""
    closed: str | None = None
    halted_until: int = 0
    """From bot.json; the ledger has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request and all that it is judged by."""

    limits: Limits
    ledger: Ledger
    prices: Prices
    standing: Standing
    request: Request
    unit: Unit
    """The request as the ledger would count it."""
    extends: tuple[Flow, ...]
    """What it may move beyond closing a position."""

    @property
    def now(self) -> int:
        """The time of the decision."""
        return self.prices.now


Check = Callable[[Case], Refused | None]


def refused(control: Control, message: str, **values: Decimal) -> Refused:
    """Return a refusal whose message begins with the name of the control."""
    return Refused(control=control, message=f"{control}: {message}", figures=values)


def figure(value: Decimal) -> str:
    """Return a figure as people read it: without an exponent, without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# The controls


def not_reconciled(case: Case) -> Refused | None:
    """Refuse while the books may lack something that the exchange knows."""
    reason = case.standing.not_reconciled
    return refused(Control.NOT_RECONCILED, f"no entries: {reason}") if reason else None


def terminating(case: Case) -> Refused | None:
    """Refuse once the pod has been told to go."""
    reason = case.standing.terminating
    return refused(Control.TERMINATING, f"no entries: {reason}") if reason else None


def granted(case: Case) -> Refused | None:
    """Refuse without a grant of the operator, and while changed limits have not arrived."""
    reason = case.standing.not_granted or case.standing.outdated
    return refused(Control.NOT_GRANTED, f"no entries: {reason}") if reason else None


def closed(case: Case) -> Refused | None:
    """Refuse while the bot is paused or its trading window is closed."""
    reason = case.standing.closed
    return refused(Control.CLOSED, f"no entries: {reason}") if reason else None


def halted(case: Case) -> Refused | None:
    """Refuse until the halt ends: that of the ledger, or that of bot.json."""
    state = case.ledger.state
    until = max(state.halted_until, case.standing.halted_until)
    if case.now >= until:
        return None
    own = state.halted_until == until and state.halt_reason
    return refused(
        Control.DAILY_LOSS_LIMIT,
        f"no entries for another {-(-(until - case.now) // 60_000)} minutes:"
        f" {own or 'the bot is halted for its daily loss'}",
        minutes=Decimal(-(-(until - case.now) // 60_000)),
    )


def symbols(case: Case) -> Refused | None:
    """Refuse symbols that are not allowed, unknown, or whose assets have no price in money."""
    allowed, prices = case.limits.allowed_symbols, case.prices
    symbol = case.unit.symbol
    quote = assets_of(symbol)[1]
    if symbol not in prices.markets:
        return refused(Control.ALLOWED_SYMBOLS, f"{symbol} is not traded at this exchange")
    if allowed is not None and symbol not in allowed:
        names = ", ".join(sorted(allowed)) or "none"
        return refused(Control.ALLOWED_SYMBOLS, f"{symbol} is not one of allowedSymbols: {names}")
    if allowed is None and quote != case.limits.money:
        return refused(
            Control.ALLOWED_SYMBOLS,
            f"{symbol} is not quoted in {case.limits.money}; allowedSymbols does not list it",
        )
    for flow in case.extends:
        if prices.symbol(flow.asset) not in prices.markets:
            return refused(
                Control.ALLOWED_SYMBOLS,
                f"{flow.asset} can't be valued: {prices.symbol(flow.asset)} is not traded",
            )
    return None


def duplicate(case: Case) -> Refused | None:
    """Refuse a client id that is known, and the same entry again within a second.

    An entry that the exchange has not taken may be sent again, as its answer asks for.
    """
    for order in case.request.orders:
        if case.ledger.order(order.client_id) is not None:
            return refused(
                Control.DUPLICATE, f"client order id {order.client_id} has been used already"
            )
        terms = order.terms()
        for sent, other in reversed(case.ledger.state.entries):
            if case.now - sent >= SAME_ENTRY:
                break
            if other.terms() == terms and not _is_not_taken(case.ledger, other):
                return refused(
                    Control.DUPLICATE,
                    f"the same entry was sent {case.now - sent} ms ago, as {other.client_id}",
                    milliseconds=Decimal(case.now - sent),
                )
    return None


def _is_not_taken(ledger: Ledger, order: Order) -> bool:
    tracked = ledger.order(order.client_id)
    return tracked is not None and tracked.not_taken


def unknown_outcome(case: Case) -> Refused | None:
    """Refuse while it is unknown what became of an order of that symbol and side."""
    for unit in case.ledger.units():
        if unit.symbol == case.unit.symbol and unit.side is case.unit.side:
            for tracked in unit.orders:
                if tracked.stage is Stage.LOST:
                    return refused(
                        Control.UNKNOWN_OUTCOME,
                        f"the exchange has not said yet what became of order"
                        f" {tracked.order.client_id}, to {unit.side.lower()} {unit.symbol}",
                    )
    return None


def order_rate(case: Case) -> Refused | None:
    """Refuse more entries in 60 s than `maxOrdersPerMinute`. Only those that were sent count."""
    limit = case.limits.max_orders_per_minute
    sent = case.ledger.entries_since(case.now - RATE_WINDOW)
    if sent + len(case.request.orders) <= limit:
        return None
    return refused(
        Control.ORDER_RATE,
        f"{sent} entries were sent in the last 60 s; maxOrdersPerMinute is {limit}",
        sent=Decimal(sent),
        limit=Decimal(limit),
    )


def no_price(case: Case) -> Refused | None:
    """Refuse without a fresh quote of the symbol, and of each asset that is to be valued."""
    wanted = [case.unit.symbol, *(case.prices.symbol(flow.asset) for flow in case.extends)]
    quote = assets_of(case.unit.symbol)[1]
    if quote != case.limits.money:
        wanted.append(case.prices.symbol(quote))
    for symbol in wanted:
        if case.prices.quote(symbol) is None:
            return refused(Control.NO_PRICE, f"no price of {symbol} is younger than 30 s")
    return None


def daily_loss(case: Case) -> Refused | None:
    """Refuse at the loss limit, and while the profit of the day is unknown."""
    known, limit = figures(case.ledger, case.prices), case.limits.daily_loss_limit
    if not isinstance(known, Figures):
        return refused(
            Control.DAILY_LOSS_LIMIT, f"the profit of the day is unknown: {known.reason}"
        )
    if known.day_pnl > -limit:
        return None
    return refused(
        Control.DAILY_LOSS_LIMIT,
        f"the day has lost {figure(-known.day_pnl)} {case.limits.money};"
        f" dailyLossLimit is {figure(limit)}",
        day_pnl=known.day_pnl,
        limit=limit,
    )


def price_collar(case: Case) -> Refused | None:
    """Refuse prices far from the mark on the costly side, of limits and of fills by the book.

    The mark is the price at which the new position could be closed: the bid for a purchase. An
    order that waits for its stop price is compared with that price: the market will be there.
    """
    quote = case.prices.quote(case.unit.symbol)
    if quote is None:
        return None  # no_price has answered
    buy, collar = case.unit.side is Side.BUY, case.limits.price_collar_percentage
    sign = 1 if buy else -1
    for order in case.request.orders:
        if order.type in UNPRICED and order.type is not OrderType.MARKET:
            return refused(
                Control.PRICE_COLLAR,
                "an entry that waits for a stop price needs a limit price as well",
            )
        mark = quote.bid if buy else quote.ask
        if order.type in STOPS and order.stop_price is not None:
            mark = order.stop_price
        price = order.price
        if order.type is OrderType.MARKET:
            price = _reaches(order, quote.asks if buy else quote.bids)
            if price is None:
                return refused(
                    Control.PRICE_COLLAR,
                    f"the known book of {order.symbol} does not hold a market order of this size",
                )
        bound = mark * (1 + sign * collar / _HUNDRED)
        if price is None or sign * (price - bound) > 0:
            return refused(
                Control.PRICE_COLLAR,
                f"{order.symbol} would {'fill' if order.type is OrderType.MARKET else 'trade'}"
                f" at {figure(price or ZERO)}, more than {figure(collar)} % from"
                f" {figure(mark)}: the bound is {figure(bound)}",
                price=price or ZERO,
                mark=mark,
                bound=bound,
                limit=collar,
            )
    return None


def _reaches(order: Order, levels: tuple[Level, ...]) -> Decimal | None:
    """Return the price of the last level that a market order fills; None: beyond all levels."""
    wanted = order.quantity if order.quantity is not None else order.quote_quantity or ZERO
    for level in levels:
        wanted -= level.quantity if order.quantity is not None else level.quantity * level.price
        if wanted <= 0:
            return level.price
    return None


def open_positions(case: Case) -> Refused | None:
    """Refuse an entry in one asset more than `maxOpenPositions`. Open entry orders count.

    While more are open than that, after the limit was lowered, nothing is added to them either: the
    position could be closed by the time that the order arrives.
    """
    before = open_assets(case.ledger, case.prices)
    after = before | {flow.asset for flow in case.extends}
    limit = case.limits.max_open_positions
    if len(after) <= limit:
        return None
    return refused(
        Control.MAX_OPEN_POSITIONS,
        f"positions are open, or may open, in {', '.join(sorted(before)) or 'no asset'};"
        f" maxOpenPositions is {limit}",
        open=Decimal(len(before)),
        limit=Decimal(limit),
    )


def position_size(case: Case) -> Refused | None:
    """Refuse what could make a position worth more than `maxPositionSize`."""
    limit, money = case.limits.max_position_size, case.limits.money
    for flow in case.extends:
        sign = 1 if flow.quantity > 0 else -1
        value = value_if_filled(case.ledger, case.prices, flow.asset, sign, also=(case.unit,))
        if value is None:
            return refused(Control.NO_PRICE, f"{flow.asset} can't be valued: a price is too old")
        if value > limit:
            return refused(
                Control.MAX_POSITION_SIZE,
                f"the position in {flow.asset} could be worth {figure(value)} {money} with this"
                f" order and all open ones; maxPositionSize is {figure(limit)}",
                value=value,
                limit=limit,
                held=case.ledger.held(flow.asset),
            )
    return None


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        not_reconciled,
        terminating,
        granted,
        closed,
        halted,
        symbols,
        duplicate,
        unknown_outcome,
        order_rate,
        no_price,
        daily_loss,
        price_collar,
        open_positions,
        position_size,
    )
}
"""All controls, by name, in the order in which they answer."""

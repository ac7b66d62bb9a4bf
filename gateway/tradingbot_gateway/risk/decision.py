"""Whether an order may be sent.

An order that only reduces positions is never refused by a limit. What reduces is judged by the own
position, less all open exits; the gateway's own protection is released for it.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from tradingbot_exchange.engine.types import Side

from tradingbot_gateway.risk.actions import Cancel
from tradingbot_gateway.risk.controls import CHECKS, Case, Standing, refused
from tradingbot_gateway.risk.figures import ENDLESS, Flow, Prices, flows
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.risk.orders import Stage, Tracked, Unit
from tradingbot_gateway.risk.types import ZERO, Market, Order, Purpose, Quote, Request, assets_of
from tradingbot_gateway.risk.verdicts import Allowed, Control, Release, Verdict

_STEP = Decimal("0.00000001")


def decide(
    limits: Limits,
    ledger: Ledger,
    quotes: Mapping[str, Quote],
    request: Request,
    now: int,
    *,
    markets: Mapping[str, Market],
    standing: Standing,
) -> Verdict:
    """Judge a request. Does not change anything."""
    prices = Prices(limits.money, markets, quotes, now)
    for order in request.orders:
        if ledger.counts(order.client_id):
            return refused(
                Control.DUPLICATE, f"client order id {order.client_id} is that of an open order"
            )
    unit = as_unit(request, prices)
    extends = _extends(ledger, request, unit, prices)
    if extends:
        case = Case(
            limits=limits,
            ledger=ledger,
            prices=prices,
            standing=standing,
            request=request,
            unit=unit,
            extends=extends,
        )
        for check in CHECKS.values():
            refusal = check(case)
            if refusal is not None:
                return refusal
    locks = _locks(ledger, unit, prices, extends)
    return Release(cancels=locks) if locks else Allowed(entry=bool(extends))


def as_unit(request: Request, prices: Prices) -> Unit:
    """Return a request as the ledger will count it once it has been sent."""
    tracked = tuple(
        Tracked(
            order=order,
            counted=_counted(order, prices),
            group=request.group,
            purpose=Purpose.BOT,
            entry=True,
            sent=prices.now,
            stage=Stage.SENT,
        )
        for order in request.orders
    )
    return Unit(tracked, max(order.counted for order in tracked))


def _counted(order: Order, prices: Prices) -> Decimal:
    """Return the quantity of an order: at most what a quote quantity can buy, or has to sell.

    An old quote is good enough here, because an entry needs a young one anyway. Without any, the
    order counts as endless, and is an entry.
    """
    if order.quantity is not None:
        return order.quantity
    quote, amount = prices.quotes.get(order.symbol), order.quote_quantity or ZERO
    if quote is None or not quote.bids or not quote.asks:
        return ENDLESS
    price = quote.ask if order.side is Side.BUY else quote.bids[-1].price
    quantity = amount / price
    # Decimals have 28 digits: one that has none left for _STEP can't be rounded to it.
    return quantity if quantity >= ENDLESS else quantity.quantize(_STEP, ROUND_CEILING)


def _extends(ledger: Ledger, request: Request, unit: Unit, prices: Prices) -> tuple[Flow, ...]:
    """Return the moves of assets that could open or add, with all open exits counted."""
    extending = []
    for flow in flows(unit, ledger.money, prices):
        sign = 1 if flow.quantity > 0 else -1
        closable = max(-sign * ledger.held(flow.asset), ZERO)
        for other in ledger.units():
            if other.purpose is Purpose.PROTECTION or _is_replaced(other, request):
                continue  # it ends before this one is sent
            for taken in flows(other, ledger.money, prices):
                if taken.asset == flow.asset and sign * taken.quantity > 0:
                    closable -= abs(taken.quantity)
        if abs(flow.quantity) > closable:
            extending.append(flow)
    return tuple(extending)


def _is_replaced(unit: Unit, request: Request) -> bool:
    return request.replaces is not None and any(
        tracked.order.client_id == request.replaces for tracked in unit.orders
    )


def _locks(
    ledger: Ledger, unit: Unit, prices: Prices, extends: tuple[Flow, ...]
) -> tuple[Cancel, ...]:
    """Return the cancels of protection that locks what a request closes."""
    closes = {flow.asset: flow.quantity > 0 for flow in flows(unit, ledger.money, prices)}
    for flow in extends:
        closes.pop(flow.asset, None)
    return tuple(
        cancel(other, "the bot closes the position by itself")
        for other in ledger.units()
        if other.purpose is Purpose.PROTECTION
        and other.open
        and closes.get(assets_of(other.symbol)[0]) is (other.side is Side.BUY)
    )


def cancel(unit: Unit, reason: str) -> Cancel:
    """Return the cancel of a unit that is open."""
    return Cancel(
        client_id=next(tracked.order.client_id for tracked in unit.orders if tracked.open),
        symbol=unit.symbol,
        group=unit.first.group,
        reason=reason,
    )

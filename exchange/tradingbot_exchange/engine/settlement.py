"""Fills: who pays and receives what, and the fees."""

from tradingbot_exchange.engine.amounts import from_units
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.journal import Journal
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.state import State
from tradingbot_exchange.engine.types import (
    Change,
    Fill,
    OrderStatus,
    Side,
    Trade,
    TradeEvent,
)


def trade(journal: Journal, market: Market, *, price: int, lots: int, buyer_is_maker: bool) -> int:
    """Record a trade for everybody, and return its id."""
    market.trades += 1
    if journal.quiet:
        return market.trades
    journal.events.append(
        TradeEvent(
            trade=Trade(
                id=market.trades,
                symbol=market.symbol,
                price=market.price(price),
                quantity=market.quantity(lots),
                time=journal.now,
                buyer_is_maker=buyer_is_maker,
            )
        )
    )
    return market.trades


def fill(
    state: State,
    journal: Journal,
    entry: Entry,
    *,
    price: int,
    lots: int,
    trade_id: int,
    maker: bool,
) -> None:
    """Fill a part of an order: move its money, lower what it wants, record the fill.

    A resting entry's level must be lowered by the caller before.
    """
    market = entry.market
    quote = price * lots * market.notional_units
    base = lots * market.lot_units
    in_quote = market.fee_in_quote or not entry.buy
    entry.fee_exact += (quote if in_quote else base) * (
        market.maker_fee if maker else market.taker_fee
    )
    # The fee of an order is rounded once, so many small fills cost no more than one large fill, and
    # never more than the order holds.
    total_fee = market.fee_units(entry.fee_exact)
    fee = total_fee - entry.fee_charged
    entry.fee_charged = total_fee
    fee_asset = market.quote if in_quote else market.base
    state.fees[fee_asset] = state.fees.get(fee_asset, 0) + fee

    if entry.buy:
        paid, received = (quote + fee, base) if in_quote else (quote, base - fee)
        paid_asset, received_asset = market.quote, market.base
    else:
        paid, received = base, quote - fee
        paid_asset, received_asset = market.base, market.quote
    purse = journal.purse(entry.account, paid_asset)
    held = entry.need()
    released = entry.held - held
    entry.held = held
    purse.held -= released
    purse.free += released - paid
    journal.purse(entry.account, received_asset).free += received

    entry.lots_filled += lots
    entry.quote_filled += quote
    _record(
        journal, entry, price=price, lots=lots, quote=quote, fee=fee, trade_id=trade_id, maker=maker
    )


def _record(
    journal: Journal,
    entry: Entry,
    *,
    price: int,
    lots: int,
    quote: int,
    fee: int,
    trade_id: int,
    maker: bool,
) -> None:
    order, market = entry.order, entry.market
    fee_asset = market.quote if market.fee_in_quote or not entry.buy else market.base
    order.filled = market.quantity(entry.lots_filled)
    order.filled_quote = from_units(market.unit, entry.quote_filled)
    order.fills += 1
    order.fees[fee_asset] = from_units(market.unit, entry.fee_charged)
    if order.request.quote_quantity is not None:
        order.quantity = order.filled
    done = not entry.lots and not entry.unspent
    order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    record = Fill(
        trade_id=trade_id,
        order_id=order.id,
        account=order.account,
        symbol=market.symbol,
        side=Side.BUY if entry.buy else Side.SELL,
        price=market.price(price),
        quantity=market.quantity(lots),
        quote_quantity=from_units(market.unit, quote),
        fee=from_units(market.unit, fee),
        fee_asset=fee_asset,
        maker=maker,
        time=journal.now,
    )
    if entry.account.keeps_history:
        entry.account.fills.append(record)
    journal.order(entry, Change.FILLED, fill=record)


def outside_trade(state: State, journal: Journal, entry: Entry, *, price: int, lots: int) -> None:
    """Fill a resting order against the outside market, which has no account.

    Its side of the trade is counted in `state.outside`, and it pays no fee.
    """
    market = entry.market
    sign = 1 if entry.buy else -1
    quote = price * lots * market.notional_units * sign
    base = lots * market.lot_units * sign
    state.outside[market.quote] = state.outside.get(market.quote, 0) + quote
    state.outside[market.base] = state.outside.get(market.base, 0) - base
    number = trade(journal, market, price=price, lots=lots, buyer_is_maker=entry.buy)
    fill(state, journal, entry, price=price, lots=lots, trade_id=number, maker=True)

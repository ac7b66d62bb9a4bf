"""Between the words of the engine, which the checker speaks, and those of the gateway."""

from dataclasses import dataclass

from tradingbot_exchange.engine.types import (
    Change,
    Fill,
    NewOrder,
    OrderEvent,
    OrderStatus,
)
from tradingbot_exchange.engine.types import Order as EngineOrder
from tradingbot_gateway.risk.events import End, Filled
from tradingbot_gateway.risk.limits import Limits, Settings
from tradingbot_gateway.risk.reconciliation import ExchangeOrder, ExchangeTrade
from tradingbot_gateway.risk.types import Market, Order, Request

from breaches.facts import LIVE, Asked, Rules
from breaches.venue import INSTRUMENTS, MONEY, Account

MARKETS = {symbol: Market.of(one) for symbol, one in INSTRUMENTS.items()}
_ENDS = {
    OrderStatus.FILLED: End.FILLED,
    OrderStatus.CANCELED: End.CANCELED,
    OrderStatus.EXPIRED: End.EXPIRED,
}


@dataclass(frozen=True)
class Midnight:
    """Days begin at 00:00 UTC."""

    time_zone: str = "UTC"
    day_start: str = "00:00"


def settings_of(rules: Rules) -> Settings:
    """Return the rules as settings."""
    return Settings(
        limits=Limits(
            money=MONEY,
            max_position_size=rules.size,
            max_open_positions=rules.positions,
            daily_loss_limit=rules.loss,
            stop_loss_percentage=rules.stop,
            take_profit_percentage=rules.profit,
            price_collar_percentage=rules.collar,
            max_orders_per_minute=rules.rate,
            allowed_symbols=rules.symbols,
        ),
        calendar=Midnight(),
        halted_until=rules.halted_until or None,
        closed="the trading window is over" if rules.closed else None,
    )


def gateway_order(terms: NewOrder) -> Order:
    """Return an order as the gateway has it."""
    return Order(
        client_id=terms.client_id,
        symbol=terms.symbol,
        side=terms.side,
        type=terms.type,
        quantity=terms.quantity,
        quote_quantity=terms.quote_quantity,
        price=terms.price,
        stop_price=terms.stop_price,
    )


def engine_order(order: Order) -> NewOrder:
    """Return an order as the engine has it."""
    return NewOrder(
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        quote_quantity=order.quote_quantity,
        price=order.price,
        stop_price=order.stop_price,
    )


def request_of(asked: Asked) -> Request:
    """Return a request as the gateway gets it."""
    return Request(
        orders=tuple(gateway_order(leg) for leg in asked.legs),
        group=asked.group,
        replaces=asked.replaces,
    )


def filled(client_id: str, fill: Fill) -> Filled:
    """Return a fill as an event of the stream."""
    return Filled(
        time=fill.time,
        client_id=client_id,
        symbol=fill.symbol,
        trade_id=str(fill.trade_id),
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        exchange_id=str(fill.order_id),
    )


def fill_of(event: Filled, account: Account) -> Fill | None:
    """Return the exchange's fill that an event speaks of, unless it is forgotten."""
    ids = event.exchange_id, event.trade_id
    fills = account.fills.get(event.client_id, ())
    return next((fill for fill in fills if (str(fill.order_id), str(fill.trade_id)) == ids), None)


def end_of(event: OrderEvent) -> End:
    """Return how an order ended, by the event that says so."""
    if event.change is Change.CANCELED:
        return End.CANCELED
    return End.EXPIRED if event.change is Change.EXPIRED else End.FILLED


def seen_order(order: EngineOrder, group: str | None) -> ExchangeOrder:
    """Return an order as the exchange answers."""
    return ExchangeOrder(
        order=gateway_order(order.request),
        exchange_id=str(order.id),
        own=True,
        created=order.created,
        executed=order.filled,
        ended=None if order.status in LIVE else _ENDS[order.status],
        group=group,
    )


def seen_trade(fill: Fill) -> ExchangeTrade:
    """Return a trade as the exchange answers."""
    return ExchangeTrade(
        symbol=fill.symbol,
        trade_id=str(fill.trade_id),
        exchange_id=str(fill.order_id),
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        time=fill.time,
    )

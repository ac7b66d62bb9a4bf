"""Instruments and orders for the tests of the engine."""

from dataclasses import replace
from decimal import Decimal

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Instrument,
    NewOrder,
    OrderType,
    Reason,
    RefusedError,
    Side,
    TimeInForce,
)
from tradingbot_exchange.market.symbols import DialectName, default_symbols

D = Decimal
BUY, SELL = Side.BUY, Side.SELL

BTC, ETH = (
    replace(symbol.instrument, taker_fee=D("0.002"))  # unlike the maker's, so that they differ
    for symbol in default_symbols(DialectName.BINANCE)[:2]
)

COARSE = Instrument(
    symbol="A-B",
    base="A",
    quote="B",
    tick=D("0.1"),
    lot=D("0.01"),
    min_price=D("0.1"),
    max_price=D(100),
    min_quantity=D("0.01"),
    max_quantity=D(10),
    min_notional=D("0.1"),
    maker_fee=D("0.0007"),
    taker_fee=D("0.0013"),
    max_orders=6,
    max_stops=3,
    price_band=D("0.5"),
)
"""Few prices and small limits, so that random orders meet each other and every refusal."""


def order(
    side: Side,
    quantity: str | None = None,
    price: str | None = None,
    *,
    type: OrderType | None = None,  # noqa: A002 -- the field's name
    stop: str | None = None,
    quote: str | None = None,
    tif: TimeInForce = TimeInForce.GTC,
    symbol: str = "BTC-USDT",
    post_only: bool = False,
    client_id: str = "",
    expires_at: int | None = None,
) -> NewOrder:
    """Return a request; the type follows from the prices unless given."""
    if type is None:
        if stop is None:
            type = OrderType.MARKET if price is None else OrderType.LIMIT  # noqa: A001
        else:
            type = OrderType.STOP_MARKET if price is None else OrderType.STOP_LIMIT  # noqa: A001
    return NewOrder(
        symbol=symbol,
        side=side,
        type=type,
        time_in_force=tif,
        quantity=None if quantity is None else D(quantity),
        quote_quantity=None if quote is None else D(quote),
        price=None if price is None else D(price),
        stop_price=None if stop is None else D(stop),
        post_only=post_only,
        client_id=client_id,
        expires_at=expires_at,
    )


def funded(
    *accounts: str, instrument: Instrument = BTC, base: str = "10", quote: str = "1000000"
) -> Engine:
    """Return an engine whose accounts have money."""
    engine = Engine([instrument, ETH])
    for account in accounts:
        engine.deposit(account, instrument.base, D(base), now=0)
        engine.deposit(account, instrument.quote, D(quote), now=0)
    return engine


def free_and_held(engine: Engine, account: str, asset: str) -> tuple[Decimal, Decimal]:
    """Return an account's amounts of one asset."""
    balance = engine.balances(account)[asset]
    return balance.free, balance.held


def refusal(engine: Engine, account: str, request: NewOrder, *, now: int = 1) -> Reason:
    """Submit an order that must be refused, see that nothing changes, and return the reason."""
    before = engine.snapshot()
    try:
        engine.submit(account, request, now=now)
    except RefusedError as error:
        assert engine.snapshot() == before
        return error.reason
    raise AssertionError(f"accepted: {request}")

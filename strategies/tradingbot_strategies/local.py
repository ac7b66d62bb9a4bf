"""An account on the matching engine in this process: for backtests, for Paper and for tests.

A house quotes the best bid and ask with as much as there is, so that orders of the bot meet them as
they would meet anyone's.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from tradingbot_exchange.engine import types as engine_types
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    Fill,
    Instrument,
    Order,
    OrderEvent,
    OrderStatus,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)

from tradingbot_strategies.exchange import NotAcceptedError, RawFill
from tradingbot_strategies.orders import NewCover, NewOrder, OrderState
from tradingbot_strategies.view import Market, Quote, Style

BOT = "bot"
HOUSE = ".house"
FUNDS = Decimal(10**12)

_OPEN = frozenset({OrderStatus.WAITING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})
_TIME_IN_FORCE = {
    Style.REST: TimeInForce.GTC,
    Style.TAKE: TimeInForce.IOC,
    Style.ALL_OR_NOTHING: TimeInForce.FOK,
    Style.AT_MARKET: TimeInForce.IOC,
}


def market_of(instrument: Instrument) -> Market:
    """Return an instrument as strategies see it."""
    return Market(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        tick=instrument.tick,
        lot=instrument.lot,
        min_quantity=instrument.min_quantity,
        min_notional=instrument.min_notional,
        maker_fee=instrument.maker_fee,
        taker_fee=instrument.taker_fee,
    )


class LocalAccount:
    """The bot's account. `clock` is the exchange's time in milliseconds."""

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self.engine = engine
        self._clock = clock
        self._house: dict[str, tuple[int, ...]] = {}
        """The house's open orders, by symbol."""
        self._fills: dict[str, list[RawFill]] = {}
        self.changes = 0
        """Grows with each change of an order of the bot."""
        if BOT in engine.accounts():
            self._keep(engine.fills(BOT))
        if HOUSE in engine.accounts():  # left over in a restored engine
            for order in engine.open_orders(HOUSE):
                engine.cancel(HOUSE, order.id, now=clock())

    @classmethod
    def open(
        cls,
        instruments: Iterable[Instrument],
        clock: Callable[[], int],
        *,
        asset: str,
        money: Decimal,
    ) -> "LocalAccount":
        """Return an account with `money` of one asset, on a new engine."""
        account = cls(Engine(instruments, quiet=True), clock)
        engine = account.engine
        engine.deposit(BOT, asset, money, now=clock())
        engine.open_account(HOUSE, keeps_history=False)
        for instrument in engine.instruments():
            for each in (instrument.base, instrument.quote):
                if each not in engine.balances(HOUSE):
                    engine.deposit(HOUSE, each, FUNDS, now=clock())
        return account

    # The market

    def trade(self, symbol: str, price: Decimal) -> None:
        """Let the outside market trade at `price`: fills what it reaches, triggers stops."""
        self._heed(self.engine.trade_through(symbol, price, now=self._clock()))

    def quote(self, symbol: str, quote: Quote) -> None:
        """Make `quote` the best bid and ask. Orders of the bot that cross it are filled."""
        self.withdraw(symbol)
        lot = self.engine.instrument(symbol).lot
        placed = []
        for side, price, size in (
            (Side.BUY, quote.bid, quote.bid_size),
            (Side.SELL, quote.ask, quote.ask_size),
        ):
            offer = engine_types.NewOrder(
                symbol=symbol,
                side=side,
                type=OrderType.LIMIT,
                quantity=size // lot * lot,
                price=price,
            )
            try:
                order, events = self.engine.submit(HOUSE, offer, now=self._clock())
            except RefusedError:
                continue  # too small for an order: there is nothing on this side
            self._heed(events)
            if order.status in _OPEN:
                placed.append(order.id)
        self._house[symbol] = tuple(placed)

    def reach(self, symbol: str, quote: Quote) -> None:
        """Let the outside market trade where nothing rests, so that stops see the price.

        A stop that the bid has reached is triggered: then the smallest quantity trades at the bid.
        """
        instrument = self.engine.instrument(symbol)
        price = quote.bid
        if not any(
            order.stop_price is not None and order.stop_price >= quote.bid
            for order in self.open_orders(symbol)
        ):
            book = self.engine.book(symbol, 1)
            low = book.bids[0].price if book.bids else quote.bid
            high = book.asks[0].price if book.asks else quote.ask
            price = (low + high) / 2 // instrument.tick * instrument.tick
            if not low < price < high:
                return
        quantity, now = instrument.min_quantity, self._clock()
        self._heed(self.engine.trade_through(symbol, price, now=now, quantity=quantity))

    def withdraw(self, symbol: str) -> None:
        """Take the house's orders away."""
        for order_id in self._house.pop(symbol, ()):
            try:
                self.engine.cancel(HOUSE, order_id, now=self._clock())
            except RefusedError:
                continue  # filled

    # Orders

    def submit(self, order: NewOrder) -> None:
        """Send an order. Raises NotAcceptedError."""
        request = engine_types.NewOrder(
            symbol=order.symbol,
            side=order.side,
            type=OrderType.MARKET if order.price is None else OrderType.LIMIT,
            time_in_force=_TIME_IN_FORCE[order.style],
            quantity=order.quantity,
            price=order.price,
            post_only=order.style is Style.REST,
            client_id=order.client_id,
        )
        try:
            self._heed(self.engine.submit(BOT, request, now=self._clock())[1])
        except RefusedError as error:
            raise NotAcceptedError(str(error)) from error

    def protect(self, cover: NewCover) -> None:
        """Send a protective order. Raises NotAcceptedError."""
        limit = engine_types.NewOrder(
            symbol=cover.symbol,
            side=Side.SELL,
            type=OrderType.LIMIT,
            quantity=cover.quantity,
            price=cover.price,
            client_id=f"{cover.client_id}a",
        )
        stop = engine_types.NewOrder(
            symbol=cover.symbol,
            side=Side.SELL,
            type=OrderType.STOP_MARKET,
            quantity=cover.quantity,
            stop_price=cover.stop_price,
            client_id=f"{cover.client_id}b",
        )
        try:
            _, events = self.engine.submit_oco(
                BOT, limit, stop, client_id=cover.client_id, now=self._clock()
            )
        except RefusedError as error:
            raise NotAcceptedError(str(error)) from error
        self._heed(events)

    def cancel(self, order: OrderState) -> OrderState:
        """Cancel an order and return how it ended. Raises NotAcceptedError."""
        self.end(order)
        ended = self.order(order.order_ids[0])
        assert ended is not None  # noqa: S101 - the engine keeps it
        return ended

    def end(self, order: OrderState) -> None:
        """Cancel an order. Raises NotAcceptedError."""
        try:
            _, events = self.engine.cancel(BOT, int(order.order_ids[0]), now=self._clock())
        except RefusedError as error:
            raise NotAcceptedError(str(error)) from error
        self._heed(events)

    def _heed(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, OrderEvent) and event.order.account == BOT:
                self.changes += 1
                self._keep([event.fill] if event.fill else [])

    def _keep(self, fills: Iterable[Fill]) -> None:
        for fill in fills:
            self._fills.setdefault(fill.symbol, []).append(
                RawFill(
                    time=fill.time,
                    number=fill.trade_id,
                    symbol=fill.symbol,
                    order_id=str(fill.order_id),
                    side=fill.side,
                    price=fill.price,
                    quantity=fill.quantity,
                    value=fill.quote_quantity,
                    fee=fill.fee,
                    fee_asset=fill.fee_asset,
                )
            )

    # Queries

    def free(self, asset: str) -> Decimal:
        """Return what can be spent of an asset."""
        return self.engine.free(BOT, asset)

    def fills(self, symbol: str, after: int) -> list[RawFill]:
        """Return the fills with a higher number than `after`, oldest first."""
        newer: list[RawFill] = []
        for fill in reversed(self._fills.get(symbol, ())):
            if fill.number <= after:
                break
            newer.append(fill)
        return newer[::-1]

    def has_open_orders(self) -> bool:
        """Whether an order of the bot waits or rests."""
        return self.engine.has_open_orders(BOT)

    def open_orders(self, symbol: str) -> list[OrderState]:
        """Return the open orders, those of an OCO list as one."""
        return _joined(self.engine.open_orders(BOT, symbol))

    def orders(self, symbol: str) -> list[OrderState]:
        """Return all orders."""
        return [_state(order) for order in self.engine.orders(BOT, symbol)]

    def order(self, order_id: str) -> OrderState | None:
        """Return an order by the engine's id."""
        try:
            return _state(self.engine.order(BOT, int(order_id)))
        except RefusedError:
            return None

    def find(self, symbol: str, client_id: str) -> OrderState | None:
        """Return an order, or the two orders of a list, by client id."""
        for engine_list in reversed(self.engine.order_lists(BOT)):
            if engine_list.client_id == client_id:
                both = [self.engine.order(BOT, number) for number in engine_list.orders]
                return _pair(both[0], both[1])
        try:
            return _state(self.engine.order_by_client_id(BOT, client_id, symbol))
        except RefusedError:
            return None


def _joined(orders: Sequence[Order]) -> list[OrderState]:
    lists: dict[int, list[Order]] = {}
    for order in orders:
        if order.list_id is not None:
            lists.setdefault(order.list_id, []).append(order)
    return [
        *(_state(order) for order in orders if order.list_id is None),
        *(_pair(legs[0], legs[1]) if len(legs) > 1 else _state(legs[0]) for legs in lists.values()),
    ]


def _pair(limit: Order, stop: Order) -> OrderState:
    if limit.request.stop_price is not None:
        limit, stop = stop, limit
    return OrderState(
        symbol=limit.request.symbol,
        order_ids=(str(limit.id), str(stop.id)),
        client_id=limit.request.client_id,
        side=limit.request.side,
        open=limit.status in _OPEN or stop.status in _OPEN,
        price=limit.request.price,
        stop_price=stop.request.stop_price,
        quantity=limit.quantity,
        filled=limit.filled + stop.filled,
        created=limit.created,
        list_id=str(limit.list_id),
    )


def _state(order: Order) -> OrderState:
    return OrderState(
        symbol=order.request.symbol,
        order_ids=(str(order.id),),
        client_id=order.request.client_id,
        side=order.request.side,
        open=order.status in _OPEN,
        price=order.request.price,
        stop_price=order.request.stop_price,
        quantity=order.quantity,
        filled=order.filled,
        created=order.created,
        list_id="" if order.list_id is None else str(order.list_id),
    )

"""What the exchange has recorded of the bot: its orders, its fills, and what follows from them.

An exchange's fills do not name the bot; its orders do, by their client ids. So each fill is joined
with its order. At a start everything is read again; later only what can have changed.
"""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.account import Account, OwnFill
from tradingbot_strategies.exchange import Exchange, RawFill
from tradingbot_strategies.orders import ClientIds, Label, OrderState, Role
from tradingbot_strategies.view import ZERO, Market

logger = logging.getLogger(__name__)

_STOPPED = Label(Role.COVER, "")
"""Of what the bot's gateway has sold at a stop. It has no tag, so it is taken from the last lot."""
READ_ALL_EVERY = 30_000
"""Milliseconds after which fills are read although nothing seems to have changed."""


class Records:
    """Own orders and fills of the strategy's symbols, with the account that they make."""

    def __init__(
        self, exchange: Exchange, ids: ClientIds, markets: Mapping[str, Market], money: str
    ) -> None:
        self._exchange, self._ids, self._markets, self._money = exchange, ids, markets, money
        self._labels: dict[tuple[str, str], Label | None] = {}
        """By symbol and order id; None for orders of others."""
        self._fills: list[OwnFill] = []
        self._fee_prices: dict[tuple[str, int], Decimal] = {}
        self._newest = dict.fromkeys(markets, 0)
        """The highest number of a fill that was read, by symbol."""
        self._read = dict.fromkeys(markets, -READ_ALL_EVERY)
        self._dirty = set(markets)
        self._last_seen: dict[str, Sequence[tuple[str, Decimal]]] = {}
        self._day_start = 0
        self._loaded = False
        """Whether fills of an earlier process are counted already: new ones are logged."""
        self.account = self._new_account()
        self.open: list[OrderState] = []
        """Own open orders, as last read."""

    async def load(self) -> None:
        """Read which orders are the bot's own. Call it once, before `refresh`."""
        for symbol in self._markets:
            for order in await self._exchange.order_history(symbol):
                self._learn(order)

    def distrust(self, symbol: str) -> None:
        """Read the fills of a symbol at the next refresh, because something may have happened."""
        self._dirty.add(symbol)

    async def refresh(self, now: int) -> None:
        """Read open orders, then fills where something may have happened.

        In this order: an order that is filled in between counts twice, never not at all.
        """
        orders: list[OrderState] = []
        for symbol in self._markets:
            mine = [
                order
                for order in await self._exchange.open_orders(symbol)
                if self._learn(order) and not order.of_gateway
            ]
            state = sorted((order.order_ids[0], order.filled) for order in mine)
            if state != self._last_seen.get(symbol):
                self._dirty.add(symbol)
            self._last_seen[symbol] = state
            orders += mine
        raw: dict[str, Sequence[RawFill]] = {}
        for symbol in self._markets:
            if symbol in self._dirty or now - self._read[symbol] >= READ_ALL_EVERY:
                raw[symbol] = await self._exchange.fills(symbol, self._newest[symbol])
        own = [await self._own(fill) for fills in raw.values() for fill in fills]
        # Everything was read: from here on nothing can fail, so no fill is lost or counted twice.
        for symbol, fills in raw.items():
            self._newest[symbol] = max(
                (fill.number for fill in fills), default=self._newest[symbol]
            )
            self._read[symbol] = now
            self._dirty.discard(symbol)
        self._count(sorted(fill for fill in own if fill is not None))
        self._loaded = True
        self.open = orders

    def start_day(self, day_start: int) -> None:
        """Compute the figures of the trading day that began at `day_start`."""
        self._day_start = day_start
        self._fold()

    def filled(self, order: OrderState) -> Decimal:
        """Return how much of an order the fills so far account for."""
        return sum(
            (
                fill.quantity
                for fill in self._fills
                if fill.symbol == order.symbol and fill.order_id in order.order_ids
            ),
            ZERO,
        )

    @property
    def last_fill(self) -> int:
        """The time of the newest own fill, 0 if there is none."""
        return self._fills[-1].time if self._fills else 0

    def _learn(self, order: OrderState) -> bool:
        """Remember whose an order is. Return whether it is the bot's."""
        label = self._label(order)
        for order_id in order.order_ids:
            self._labels[order.symbol, order_id] = label
        return label is not None

    def _label(self, order: OrderState) -> Label | None:
        return _STOPPED if order.of_gateway else self._ids.label(order.client_id)

    async def _own(self, raw: RawFill) -> OwnFill | None:
        key = raw.symbol, raw.order_id
        if key not in self._labels:
            order = await self._exchange.order(*key)
            self._labels[key] = self._label(order) if order else None
        label = self._labels[key]
        if label is None:
            return None
        market = self._markets[raw.symbol]
        fill = OwnFill(
            time=raw.time,
            number=raw.number,
            symbol=raw.symbol,
            base=market.base,
            quote=market.quote,
            order_id=raw.order_id,
            tag=label.tag,
            side=raw.side,
            price=raw.price,
            quantity=raw.quantity,
            value=raw.value,
            fee=raw.fee,
            fee_asset=raw.fee_asset,
        )
        if fill.fee and fill.fee_asset not in {self._money, fill.base, fill.quote}:
            price = await self._exchange.price_at(f"{fill.fee_asset}-{self._money}", fill.time)
            self._fee_prices[fill.fee_asset, fill.time] = price
        return fill

    def _count(self, found: list[OwnFill]) -> None:
        if not found:
            return
        for fill in found if self._loaded else ():
            word = "bought" if fill.side is Side.BUY else "sold"
            logger.info("%s %s %s at %s", word, fill.quantity, fill.symbol, fill.price)
        late = bool(self._fills) and found[0] < self._fills[-1]
        self._fills += found
        if late:  # it belongs between fills that were counted already
            self._fills.sort()
            self._fold()
        else:
            self.account.apply(found)

    def _fold(self) -> None:
        self.account = self._new_account()
        self.account.apply(self._fills)

    def _new_account(self) -> Account:
        return Account(
            self._money,
            day_start=self._day_start,
            price_of_fee=lambda fill: self._fee_prices[fill.fee_asset, fill.time],
        )

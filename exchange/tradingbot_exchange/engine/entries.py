"""An order while it is open, in whole numbers: ticks, lots, and units of an asset."""

from typing import TYPE_CHECKING

from tradingbot_exchange.engine.types import Order

if TYPE_CHECKING:
    from tradingbot_exchange.engine.accounts import Account
    from tradingbot_exchange.engine.ladder import PriceLevel
    from tradingbot_exchange.engine.lists import Pair
    from tradingbot_exchange.engine.markets import Market


class Entry:
    """An order that is open or being matched.

    `price` is the limit, None for a market order. `stop` is the price that triggers it, None once
    it has been reached. `hold_price` is what a buy holds for each lot, 0 if it holds nothing.
    """

    __slots__ = (
        "account",
        "buy",
        "fee_charged",
        "fee_exact",
        "held",
        "hold_price",
        "level",
        "lots",
        "lots_filled",
        "market",
        "next",
        "order",
        "pair",
        "previous",
        "price",
        "quote_filled",
        "stop",
        "unspent",
    )

    def __init__(
        self,
        *,
        order: Order,
        account: "Account",
        market: "Market",
        buy: bool,
        lots: int,
        price: int | None,
        stop: int | None,
        hold_price: int,
    ) -> None:
        self.order = order
        self.account = account
        self.market = market
        self.buy = buy
        self.lots = lots
        self.price = price
        self.stop = stop
        self.hold_price = hold_price
        self.held = 0
        self.lots_filled = 0
        self.quote_filled = 0
        self.fee_exact = 0
        """The fee without rounding, in units times `market.fee_scale`."""
        self.fee_charged = 0
        self.unspent = False
        """A market order by quote quantity that the whole book can't satisfy."""
        self.pair: Pair | None = None
        self.level: PriceLevel | None = None
        self.previous: Entry | None = None
        self.next: Entry | None = None

    def need(self) -> int:
        """Return what the rest of the order has to hold, in units of `hold_asset`."""
        return self.need_for(lots=self.lots, price=self.hold_price)

    def need_for(self, *, lots: int, price: int) -> int:
        """Return what the order would have to hold for `lots` at `price`.

        A buy whose fee is in the quote asset holds the highest fee that can still be charged.
        """
        market = self.market
        if not self.buy:
            return lots * market.lot_units
        notional = lots * price * market.notional_units
        if not market.fee_in_quote or not price:
            return notional
        fee = market.fee_units(self.fee_exact + notional * market.max_fee)
        return notional + fee - self.fee_charged

    @property
    def hold_asset(self) -> str:
        """The asset that the order pays with."""
        return self.market.quote if self.buy else self.market.base

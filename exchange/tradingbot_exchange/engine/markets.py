"""One instrument, its book, its waiting stops and its last price, in whole numbers."""

from decimal import Decimal
from math import lcm

from tradingbot_exchange.engine.amounts import (
    MAX_AMOUNT,
    from_units,
    steps_up,
    times,
    to_units,
    whole_steps,
)
from tradingbot_exchange.engine.ladder import Ladder
from tradingbot_exchange.engine.types import Instrument


class Market:
    """What the engine knows of one instrument.

    Raises ValueError for an instrument whose figures do not fit together. `unit`: the
    smallest amount of any asset. `public`: whether changes of the book are noted, for its events.
    """

    def __init__(self, instrument: Instrument, *, unit: Decimal, public: bool = True) -> None:
        _check_instrument(instrument)
        self.instrument = instrument
        self.unit = unit
        self.symbol = instrument.symbol
        self.base = instrument.base
        self.quote = instrument.quote
        self.tick = instrument.tick
        self.lot = instrument.lot
        self.lot_units = _exact_units(instrument, "lot", instrument.lot, unit)
        self.notional_units = _exact_units(
            instrument, "tick * lot", instrument.tick * instrument.lot, unit
        )
        self.min_lots = max(1, steps_up(instrument.min_quantity, instrument.lot))
        self.max_lots = int(instrument.max_quantity // instrument.lot)
        self.min_notional = steps_up(instrument.min_notional, unit)
        self.fee_in_quote = instrument.fee_in_quote
        maker, taker = (
            fee.as_integer_ratio() for fee in (instrument.maker_fee, instrument.taker_fee)
        )
        self.fee_scale = lcm(maker[1], taker[1])
        self.maker_fee = maker[0] * (self.fee_scale // maker[1])
        self.taker_fee = taker[0] * (self.fee_scale // taker[1])
        self.max_fee = max(self.maker_fee, self.taker_fee)
        self.band, self.band_scale = instrument.price_band.as_integer_ratio()

        self.bids = Ladder(highest_first=True, public=public)
        self.asks = Ladder(highest_first=False, public=public)
        self.rising = Ladder(highest_first=False, public=False)
        """Stops that trigger when the price rises to them."""
        self.falling = Ladder(highest_first=True, public=False)
        """Stops that trigger when the price falls to them."""
        self.last: int | None = None
        self.halted = False
        self.trades = 0
        self.sequence = 0

    def fee_units(self, exact: int) -> int:
        """Return a fee, rounded up to a whole unit."""
        return -(-exact // self.fee_scale)

    def meets(self, price: int) -> bool:
        """Whether an order in the book or a waiting stop is met by a trade at `price`."""
        bid, ask, rising, falling = (
            self.bids.best,
            self.asks.best,
            self.rising.best,
            self.falling.best,
        )
        return (
            (bid is not None and bid.price >= price)
            or (ask is not None and ask.price <= price)
            or (rising is not None and rising.price <= price)
            or (falling is not None and falling.price >= price)
        )

    def price(self, ticks: int) -> Decimal:
        """Return a price."""
        return times(self.tick, ticks)

    def quantity(self, lots: int) -> Decimal:
        """Return a quantity of the base asset."""
        return times(self.lot, lots)

    def notional(self, ticks: int, lots: int) -> Decimal:
        """Return an amount of the quote asset."""
        return from_units(self.unit, ticks * lots * self.notional_units)


def _check_instrument(instrument: Instrument) -> None:
    for name in ("tick", "lot", "max_price", "max_quantity"):
        value: Decimal = getattr(instrument, name)
        if not value.is_finite() or not 0 < value < MAX_AMOUNT:
            raise ValueError(f"{instrument.symbol}: {name} must be a positive number, not {value}")
    for name in ("min_price", "min_quantity", "min_notional", "price_band"):
        value = getattr(instrument, name)
        if not value.is_finite() or not 0 <= value < MAX_AMOUNT:
            raise ValueError(f"{instrument.symbol}: {name} must not be negative, and is {value}")
    for name in ("maker_fee", "taker_fee"):
        value = getattr(instrument, name)
        if not value.is_finite() or not 0 <= value < 1:
            raise ValueError(f"{instrument.symbol}: {name} must be from 0 to below 1, not {value}")
    if instrument.base == instrument.quote:
        raise ValueError(f"{instrument.symbol}: base and quote must be different assets")
    for name in ("min_price", "max_price"):
        if whole_steps(getattr(instrument, name), instrument.tick) is None:
            raise ValueError(f"{instrument.symbol}: {name} must be a multiple of the tick")


def _exact_units(instrument: Instrument, name: str, value: Decimal, unit: Decimal) -> int:
    units = to_units(value, unit)
    if not units:
        raise ValueError(f"{instrument.symbol}: {name} must be a multiple of {unit:f}")
    return units

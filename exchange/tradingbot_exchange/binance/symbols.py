"""Binance's names of instruments, and their filters."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.call_parameters import ORDER_TYPES
from tradingbot_exchange.engine.types import Instrument

PREVENTION_MODE = "EXPIRE_MAKER"
"""What happens to the resting order of an account that would trade with itself."""


def amount(value: Decimal) -> str:
    """Return a price or quantity with 8 decimal places, never in exponent form."""
    return f"{value:.8f}"


class Symbols:
    """The instruments of an exchange by Binance's names: `BTCUSDT` for the engine's `BTC-USDT`."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_name = {each.base + each.quote: each for each in instruments}
        self._names = {each.symbol: name for name, each in self._by_name.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def instrument(self, name: str) -> Instrument:
        """Return an instrument by Binance's name. Raises ApiError (-1121)."""
        try:
            return self._by_name[name]
        except KeyError:
            raise errors.bad_symbol() from None

    def name(self, symbol: str) -> str:
        """Return Binance's name of the engine's symbol."""
        return self._names[symbol]

    def assets(self) -> list[str]:
        """Return every asset that is traded, in the order of the instruments."""
        names = (asset for each in self._by_name.values() for asset in (each.base, each.quote))
        return list(dict.fromkeys(names))


def filters(instrument: Instrument) -> list[dict[str, object]]:
    """Return the filters that the engine enforces, in Binance's words."""
    band = instrument.price_band
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": amount(instrument.min_price),
            "maxPrice": amount(instrument.max_price),
            "tickSize": amount(instrument.tick),
        },
        *(_lot_filter(name, instrument) for name in ("LOT_SIZE", "MARKET_LOT_SIZE")),
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": f"{1 + band:.4f}",
            "bidMultiplierDown": "0.0000",
            "askMultiplierUp": "1000000.0000",
            "askMultiplierDown": f"{max(1 - band, Decimal(0)):.4f}",
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": amount(instrument.max_price * instrument.max_quantity),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": instrument.max_stops},
    ]


def _lot_filter(name: str, instrument: Instrument) -> dict[str, object]:
    return {
        "filterType": name,
        "minQty": amount(instrument.min_quantity),
        "maxQty": amount(instrument.max_quantity),
        "stepSize": amount(instrument.lot),
    }


def symbol_information(
    name: str, instrument: Instrument, *, halted: bool, permission_sets: bool = True
) -> dict[str, object]:
    """Return a symbol as exchangeInfo has it."""
    return {
        "symbol": name,
        "status": "HALT" if halted else "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(ORDER_TYPES),
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]] if permission_sets else [],
        "defaultSelfTradePreventionMode": PREVENTION_MODE,
        "allowedSelfTradePreventionModes": [PREVENTION_MODE],
    }

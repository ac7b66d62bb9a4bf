"""What can be traded, as exchangeInfo says it, read for each symbol when it is first needed."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.parameters import LEGAL_RANGES, Kind
from tradingbot_exchange.engine.types import Instrument

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.binance.upstream import Upstream, code_of
from tradingbot_gateway.errors import UnreachableError

_PATH = "/api/v3/exchangeInfo"
_INVALID_SYMBOL = -1121
_NAME = re.compile(LEGAL_RANGES[Kind.SYMBOL])
"""Binance has no symbol of another form, and answers another error to its question."""
_ZERO, _UNLIMITED = Decimal(0), Decimal(10**12)
_SMALLEST = Decimal("0.00000001")
_FEE = Decimal("0.001")
"""Binance's usual fee. exchangeInfo has none; only Paper and estimates use this one."""


def name_of(symbol: str) -> str:
    """Return Binance's name of a core's symbol: `BTCUSDT` of `BTC-USDT`."""
    return symbol.replace("-", "")


class Instruments:
    """The instruments of one exchange by Binance's names, such as `BTCUSDT`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: dict[str, Instrument] = {}
        self._lock = asyncio.Lock()

    def known(self) -> Mapping[str, Instrument]:
        """Return what has been read so far, by Binance's names."""
        return self._known

    def has_to_ask(self, name: str) -> bool:
        """Whether `get` asks the exchange: a name is not known, and could be one."""
        return name not in self._known and _NAME.fullmatch(name) is not None

    async def get(self, name: str) -> Instrument:
        """Return an instrument. Raises ApiError (-1121), UnreachableError."""
        if self.has_to_ask(name):
            await self.load((name,))
        found = self._known.get(name)
        if found is None:
            raise errors.bad_symbol()
        return found

    async def load(self, names: Iterable[str]) -> None:
        """Read instruments that are not known yet. Raises ApiError (-1121), UnreachableError."""
        async with self._lock:
            missing = sorted(set(names) - set(self._known))
            if not missing:
                return
            listed = json.dumps(missing, separators=(",", ":"))
            await self._read(f"symbols={quote(listed, safe='')}")

    async def load_all(self, quote_asset: str) -> None:
        """Read all instruments of a quote asset, in one long answer. Raises UnreachableError."""
        async with self._lock:
            await self._read("", quote_asset)

    async def _read(self, query: str, quote_asset: str | None = None) -> None:
        answer = await self._upstream.public("GET", _PATH, query)
        for found in _symbols(answer):
            if quote_asset in {None, found.quote}:
                self._known[found.base + found.quote] = found


def _symbols(answer: Answer) -> list[Instrument]:
    if code_of(answer) == _INVALID_SYMBOL:
        raise errors.bad_symbol()
    if not answer.succeeded:
        raise UnreachableError(f"exchangeInfo: answered {answer.status}")
    try:
        return [read_instrument(each) for each in answer.json()["symbols"]]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreachableError("exchangeInfo is not as Binance documents it") from error


def read_instrument(symbol: Mapping[str, Any]) -> Instrument:
    """Return the instrument of one symbol of exchangeInfo. Raises KeyError, ValueError."""
    filters = {each["filterType"]: each for each in symbol["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return Instrument(
        symbol=f"{symbol['baseAsset']}-{symbol['quoteAsset']}",
        base=symbol["baseAsset"],
        quote=symbol["quoteAsset"],
        tick=_step(price["tickSize"]),
        lot=_step(lot["stepSize"]),
        min_price=_limit(price["minPrice"], _SMALLEST),
        max_price=_limit(price["maxPrice"], _UNLIMITED),
        min_quantity=_limit(lot["minQty"], _SMALLEST),
        max_quantity=_limit(lot["maxQty"], _UNLIMITED),
        min_notional=Decimal(notional.get("minNotional", "0")),
        maker_fee=_FEE,
        taker_fee=_FEE,
        max_orders=int(filters.get("MAX_NUM_ORDERS", {}).get("maxNumOrders", 200)),
        max_stops=int(filters.get("MAX_NUM_ALGO_ORDERS", {}).get("maxNumAlgoOrders", 5)),
    )


def _step(text: str) -> Decimal:
    """Return a step; Binance writes 0 for a filter that is off."""
    value = Decimal(text)
    return value if value > _ZERO else _SMALLEST


def _limit(text: str, otherwise: Decimal) -> Decimal:
    value = Decimal(text)
    return value if value > _ZERO else otherwise

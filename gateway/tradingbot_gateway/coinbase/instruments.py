"""What can be traded, as Coinbase lists it, read for each product when it is first needed."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.engine.types import Instrument

from tradingbot_gateway.coinbase.refusals import UnknownProductError
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.errors import UnreachableError

PRODUCT = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")
"""Ids of spot products. Futures have more parts."""

_PATH = f"{V3}/market/products"
_NOT_THERE = frozenset({400, 404})
_SPOT = "SPOT"
_UNLIMITED = Decimal(10**12)
_FEE = Decimal("0.006")
"""The taker's fee of the first tier. Only Paper uses it."""
_MOST_ORDERS = 500
"""Open orders of a product. Stops have no limit of their own."""


class Instruments:
    """The spot products of one exchange, by their ids, such as `BTC-USD`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: dict[str, Instrument] = {}
        self._aliases: dict[str, str] = {}
        self._lock = asyncio.Lock()

    def known(self) -> Mapping[str, Instrument]:
        """Return what has been read so far."""
        return self._known

    def book_of(self, name: str) -> str:
        """Return the product whose book a product has: its own, or the one that it is an alias of.

        The exchange sends that book under that name.
        """
        return self._aliases.get(name, name)

    def has_to_ask(self, name: str) -> bool:
        """Whether `get` asks the exchange: a name is not known, and could be one."""
        return name not in self._known and PRODUCT.fullmatch(name) is not None

    async def get(self, name: str) -> Instrument:
        """Return an instrument. Raises UnknownProductError, UnreachableError."""
        if name not in self._known:
            await self._load(name)
        return self._known[name]

    async def load(self, names: Iterable[str]) -> None:
        """Read instruments; those that do not exist are left out. Raises UnreachableError."""
        for name in names:
            try:
                await self.get(name)
            except UnknownProductError:
                continue

    async def load_all(self, quote: str) -> None:
        """Read all instruments of a quote asset, in one long answer. Raises UnreachableError."""
        answer = await self._upstream.public("GET", _PATH, "product_type=SPOT")
        if not answer.succeeded:
            raise UnreachableError(f"the exchange's products: answered {answer.status}")
        for product in answer.json().get("products", ()):
            if product.get("quote_currency_id") == quote:
                found = _read(product)
                if found is not None:
                    self._learn(found, product)

    async def _load(self, name: str) -> None:
        if PRODUCT.fullmatch(name) is None:
            raise UnknownProductError
        async with self._lock:
            if name in self._known:
                return
            answer = await self._upstream.public("GET", f"{_PATH}/{name}")
            if answer.status in _NOT_THERE:
                raise UnknownProductError
            if not answer.succeeded:
                raise UnreachableError(f"the exchange's products: answered {answer.status}")
            product = answer.json()
            found = _read(product)
            if found is None or found.symbol != name:
                raise UnknownProductError
            self._learn(found, product)

    def _learn(self, instrument: Instrument, product: Mapping[str, Any]) -> None:
        self._known[instrument.symbol] = instrument
        book = alias_of(product)
        if book is not None:
            self._aliases[instrument.symbol] = book


def _read(product: Any) -> Instrument | None:
    try:
        return read_instrument(product)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreachableError("a product is not as Coinbase documents it") from error


def alias_of(product: Mapping[str, Any]) -> str | None:
    """Return the product whose book a product has, if it is another one: of the same base asset."""
    book = product.get("alias")
    if not isinstance(book, str) or PRODUCT.fullmatch(book) is None:
        return None
    same_base = book.split("-")[0] == product["base_currency_id"]
    return book if same_base and book != product["product_id"] else None


def read_instrument(product: Mapping[str, Any]) -> Instrument | None:
    """Return the instrument of a product; None if it is not one of spot.

    Raises KeyError, TypeError, ArithmeticError.
    """
    base, quote = product["base_currency_id"], product["quote_currency_id"]
    name = f"{base}-{quote}"
    spot = product.get("product_type", _SPOT) == _SPOT
    if not spot or product["product_id"] != name or PRODUCT.fullmatch(name) is None:
        return None
    tick = Decimal(product.get("price_increment") or product["quote_increment"])
    return Instrument(
        symbol=name,
        base=base,
        quote=quote,
        tick=tick,
        lot=Decimal(product["base_increment"]),
        min_price=tick,
        max_price=_UNLIMITED,
        min_quantity=Decimal(product["base_min_size"]),
        max_quantity=Decimal(product["base_max_size"]),
        min_notional=Decimal(product["quote_min_size"]),
        maker_fee=_FEE,
        taker_fee=_FEE,
        fee_in_quote=True,
        max_orders=_MOST_ORDERS,
        max_stops=_MOST_ORDERS,
    )

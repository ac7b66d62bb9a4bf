"""The bot's own orders: their ids at the exchange, and what the exchange says about them.

An id begins with a prefix of its bot, so a bot that starts finds its orders again and leaves those
of others alone. The rest says what the order is for.
"""

import hashlib
import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.view import Style

_LABELS_KEPT = 256
"""More than a bot has open orders, which are read again and again."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Role(StrEnum):
    """What an order is for."""

    ENTRY = "e"
    """It opens a position or adds to one."""
    EXIT = "x"
    """It closes, at once."""
    COVER = "c"
    """It rests and closes: at a target price, or at a stop price, whichever comes first."""


class Label(NamedTuple):
    """What the id of an order says."""

    role: Role
    tag: str


class NewOrder(NamedTuple):
    """An order to send. `price` is None for AT_MARKET."""

    client_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    style: Style


class NewCover(NamedTuple):
    """A sale to send that rests at `price`, and becomes a market order at `stop_price`.

    One hold on the asset: an OCO list on Binance, a bracket order on Coinbase.
    """

    client_id: str
    symbol: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal


class OrderState(NamedTuple):
    """An order as the exchange knows it. The two orders of an OCO list are one of these."""

    symbol: str
    order_ids: tuple[str, ...]
    """The exchange's ids: of one order, or of the orders of an OCO list."""
    client_id: str
    side: Side
    open: bool
    price: Decimal | None
    stop_price: Decimal | None
    quantity: Decimal
    filled: Decimal
    created: int
    list_id: str = ""
    """The exchange's id of the OCO list, if it is one."""
    of_gateway: bool = False
    """Whether the bot's own risk gateway has sent it: a stop of the bot's position."""

    @property
    def remaining(self) -> Decimal:
        """The quantity that can still be filled."""
        return self.quantity - self.filled


class ClientIds:
    """Ids for new orders of one bot. The exchange refuses an id that is already open."""

    def __init__(self, namespace: str, name: str, *, started: int) -> None:
        """Make ids that differ from those of other starts. `started` is in milliseconds."""
        digest = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()
        self.prefix = f"tb{digest[:10]}"
        self._form = re.compile(
            rf"{self.prefix}-([{''.join(Role)}])([A-Za-z0-9]{{0,4}})-[0-9a-z]+-[0-9a-z]+[a-c]?"
        )
        self.label = lru_cache(_LABELS_KEPT)(self._read)
        """Return what an id says, None if it is not one of this bot."""
        self._started = base36(started)
        self._numbers: Iterator[int] = count(1)

    def new(self, role: Role, tag: str = "") -> str:
        """Return an id that was not used before: at most 34 letters, digits and `-`."""
        return f"{self.prefix}-{role}{tag}-{self._started}-{base36(next(self._numbers))}"

    def _read(self, client_id: str) -> Label | None:
        match = self._form.fullmatch(client_id)
        return Label(Role(match[1]), match[2]) if match else None


def is_cover(client_id: str) -> bool:
    """Return whether an id of `ClientIds` is that of a cover. Its number may have any letter."""
    return client_id.partition("-")[2].startswith(Role.COVER)


def base36(number: int) -> str:
    """Return a number in the digits 0-9 and a-z."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"

"""What the runtime needs of an exchange, and the errors that it tells apart.

Two things implement this: ccxt against a real or simulated exchange, and the matching engine in
this process, for Paper, backtests and tests.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.orders import NewCover, NewOrder, OrderState
from tradingbot_strategies.view import Closes, Market, Quote


class ExchangeError(RuntimeError):
    """Base of what can go wrong with an exchange. The text never has a key."""


class NotAcceptedError(ExchangeError):
    """The exchange refused a request; nothing has changed there."""


class UnknownOutcomeError(ExchangeError):
    """No answer came to a request that may have been carried out."""


class UnavailableError(ExchangeError):
    """Something could not be read; nothing was asked to change."""


class RawFill(NamedTuple):
    """A fill on the account, of any order. Values as in `account.OwnFill`."""

    time: int
    number: int
    symbol: str
    order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    value: Decimal
    fee: Decimal
    fee_asset: str


class Exchange(Protocol):
    """One account of one exchange. Every method may raise `UnavailableError`."""

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Return those of the symbols that exist."""

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the best bid and ask of each symbol."""

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        """Return the newest `count` closed candles, or as many as there are."""

    async def price_at(self, symbol: str, time: int) -> Decimal:
        """Return the close of the newest one-minute candle that had ended by `time`."""

    async def free(self, asset: str) -> Decimal:
        """Return what the account can spend of an asset."""

    async def open_orders(self, symbol: str) -> Sequence[OrderState]:
        """Return all open orders of the account."""

    async def order_history(self, symbol: str) -> Sequence[OrderState]:
        """Return all orders of the account, open or not, as far back as the exchange has them."""

    async def fills(self, symbol: str, after: int) -> Sequence[RawFill]:
        """Return all fills of the account with a higher number than `after`, oldest first."""

    async def order(self, symbol: str, order_id: str) -> OrderState | None:
        """Return an order by the exchange's id."""

    async def find(self, symbol: str, client_id: str) -> OrderState | None:
        """Return an order, or a protective order, by the id that this bot gave it."""

    async def submit(self, order: NewOrder) -> None:
        """Send an order. Raises NotAcceptedError or UnknownOutcomeError."""

    async def protect(self, cover: NewCover) -> None:
        """Send a protective order. Raises as `submit`."""

    async def cancel(self, order: OrderState) -> OrderState:
        """Cancel an order, and return how it ended. Raises as `submit`."""

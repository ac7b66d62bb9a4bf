"""Orders whose outcome is not in the records yet: just sent, or sent without an answer.

Nothing new is sent for a symbol until each of its orders is settled: the exchange shows it open, or
ended with all its fills in the records, or has not got it although it can't arrive any more.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from tradingbot_strategies.exchange import Exchange
from tradingbot_strategies.records import Records

logger = logging.getLogger(__name__)

LATEST_ARRIVAL = 10_000
"""Milliseconds after which a request that is still on its way is refused: requests are signed for
5 s, and clocks may differ."""


@dataclass(frozen=True, slots=True)
class _Sent:
    symbol: str
    client_id: str
    at: int
    answered: bool


class InFlight:
    """The orders that are not settled."""

    def __init__(self, exchange: Exchange, records: Records) -> None:
        self._exchange, self._records = exchange, records
        self._sent: dict[str, _Sent] = {}

    def add(self, symbol: str, client_id: str, now: int, *, answered: bool) -> None:
        """Remember an order that was just sent."""
        self._sent[client_id] = _Sent(symbol, client_id, now, answered)
        self._records.distrust(symbol)

    @property
    def symbols(self) -> Collection[str]:
        """The symbols for which nothing new may be sent."""
        return {sent.symbol for sent in self._sent.values()}

    async def settle(self, now: int) -> None:
        """Find out what became of each order. Call it after the records were read."""
        shown = {order.client_id for order in self._records.open}
        for sent in list(self._sent.values()):
            if shown.intersection((sent.client_id, f"{sent.client_id}a")):
                del self._sent[sent.client_id]
                continue
            order = await self._exchange.find(sent.symbol, sent.client_id)
            if order is None:
                if not sent.answered and now - sent.at > LATEST_ARRIVAL:
                    logger.info("order %s never arrived at the exchange", sent.client_id)
                    del self._sent[sent.client_id]
                continue
            if not order.open and self._records.filled(order) == order.filled:
                del self._sent[sent.client_id]
            else:  # the records are older than this answer
                self._records.distrust(sent.symbol)

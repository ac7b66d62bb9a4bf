"""Orders on their way: judged, counted as sent, and what is known at once of their outcome.

No dialect: one passes its requests in, and reads its own answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from tradingbot_exchange.engine.types import NewOrder

from tradingbot_gateway.answers import Answer, NotSentError
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.risk.actions import Cancel, Place
from tradingbot_gateway.risk.events import End, Ended, Lost
from tradingbot_gateway.risk.types import Order, Request
from tradingbot_gateway.risk.verdicts import Release, Verdict

_RELEASES = 3
"""How often protection is released for one exit. Afterwards the exchange's own text for a locked
asset is answered: clients try again, and none sells at the market because of it."""


class Sending:
    """Counts what is sent for one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def admit(
        self, request: Request, cancel_own: Callable[[Cancel], Awaitable[None]]
    ) -> Verdict:
        """Judge a request; once it is allowed, it counts as sent.

        Protection that locks what the request sells is released first. Release: it is still there.
        """
        verdict = self._gate.decide(request)
        for _ in range(_RELEASES):
            if not isinstance(verdict, Release):
                break
            await asyncio.gather(*(cancel_own(each) for each in verdict.cancels))
            verdict = self._gate.decide(request)
        return verdict

    async def send(
        self,
        orders: Iterable[Order],
        request: Awaitable[Answer],
        *,
        is_refused: Callable[[Answer], bool],
    ) -> Answer:
        """Send orders that count as sent. Raises UnreachableError.

        `is_refused`: whether an answer says that none of the orders was accepted.
        """
        orders = tuple(orders)
        try:
            answer = await request
        except NotSentError:
            self._ended(orders, End.NOT_TAKEN)
            self._count_error("not_sent")
            raise
        except UnreachableError:
            self._lost(orders)
            self._count_error("lost")
            raise
        if answer.is_unclear:
            self._lost(orders)
            self._count_error("failed")
        elif answer.is_limited:
            self._ended(orders, End.NOT_TAKEN)
            self._count_error("limited")
        elif is_refused(answer):
            self.refused(orders)
            self._count_error("refused")
        return answer

    def refused(self, orders: Iterable[Order]) -> None:
        """Count orders as not accepted."""
        self._ended(orders, End.REFUSED)

    def _ended(self, orders: Iterable[Order], how: End) -> None:
        now = self._gate.wall()
        self._gate.on(*(Ended(time=now, client_id=each.client_id, how=how) for each in orders))

    def acts(self, place: Place) -> None:
        """Write down that an order of the gateway is sent."""
        purpose = place.purpose.value.lower()
        self._gate.metrics.own_orders.labels(purpose).inc()
        for order in place.orders:
            self._gate.drop_copy.acted(purpose, order, reason=place.reason, now=self._gate.wall())

    def cancels(self, cancel: Cancel) -> None:
        """Write down that the gateway cancels an order."""
        self._gate.metrics.own_orders.labels("cancel").inc()
        reason = f"{cancel.client_id}: {cancel.reason}"
        self._gate.drop_copy.acted("cancel", None, reason=reason, now=self._gate.wall())

    def _lost(self, orders: Iterable[Order]) -> None:
        now = self._gate.wall()
        self._gate.on(*(Lost(time=now, client_id=each.client_id) for each in orders))

    def _count_error(self, kind: str) -> None:
        self._gate.metrics.exchange_errors.labels(kind).inc()


def core_order(order: NewOrder) -> Order:
    """Return the core's order of one that was read from a request."""
    return Order(
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        quote_quantity=order.quote_quantity,
        price=order.price,
        stop_price=order.stop_price,
    )

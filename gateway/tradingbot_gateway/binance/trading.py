"""Orders and cancels: those of the bot, after the core has judged them, and the gateway's own."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.calls import Security

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.binance.calls import Allowed, Treatment
from tradingbot_gateway.binance.proof import without_proof
from tradingbot_gateway.binance.queries import Queries
from tradingbot_gateway.binance.refusals import refused
from tradingbot_gateway.binance.requests import Submission, new_client_id, read_submission
from tradingbot_gateway.binance.translation import (
    Tag,
    canceled,
    list_parameters,
    order_parameters,
    placed,
    trimmed,
)
from tradingbot_gateway.binance.upstream import Upstream, code_of
from tradingbot_gateway.binance.views import is_protection
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.risk.actions import Cancel, Place
from tradingbot_gateway.risk.events import Event
from tradingbot_gateway.risk.types import Order, Purpose
from tradingbot_gateway.risk.verdicts import Refused, Release
from tradingbot_gateway.sending import Sending

log = logging.getLogger(__name__)

ORDER, OCO, LIST = "/api/v3/order", "/api/v3/orderList/oco", "/api/v3/orderList"
_INSUFFICIENT = "Account has insufficient balance for requested action."
_UNKNOWN_ORDER = -2011
_PARTLY_DONE = frozenset({-2021, -2022})
"""Codes of a cancel-replace of which a half or both failed: `data` says which."""

Json = dict[str, Any]


class Trading:
    """Sends what the gate lets through, and reports to the gate what became of it."""

    def __init__(
        self, gate: Gate, upstream: Upstream, markets: Markets, queries: Queries, tag: Tag
    ) -> None:
        self._gate = gate
        self._upstream = upstream
        self._markets = markets
        self._queries = queries
        self._tag = tag
        self._sending = Sending(gate)

    # The bot's orders

    async def place(self, call: Allowed, sent: Mapping[str, str]) -> Answer:
        """Judge and send a new order, order list or cancel-replace.

        Raises ApiError for what is refused, here or in form; UnreachableError.
        """
        name = sent.get("symbol")
        if not name:
            raise errors.missing("symbol")
        if call.treatment is Treatment.CANCEL_REPLACE:
            sent = await self._replacing_own(sent)
        instrument = await self._markets.for_order(name)
        submission = read_submission(call, sent, instrument, self._tag, client_of=self._client_of)
        await self._admit(submission)
        answer = await self._send(
            call.method, str(call.path), submission.parameters, submission.request.orders
        )
        if call.treatment is Treatment.CANCEL_REPLACE:
            return self._replaced(answer, submission)
        if answer.succeeded:
            body = answer.json()
            self._placed(body, submission.request.orders)
            if call.treatment is Treatment.ORDER:
                return answer.with_body(
                    trimmed(body, submission.asked_response, submission.order_type)
                )
        return answer

    async def _admit(self, submission: Submission) -> None:
        """Return when the request counts as sent. Raises RefusalError."""
        verdict = await self._sending.admit(submission.request, self.cancel_own)
        if isinstance(verdict, Refused):
            raise refused(verdict.control.value, verdict.message)
        if isinstance(verdict, Release):
            raise errors.rejected(_INSUFFICIENT)

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str], orders: Iterable[Order]
    ) -> Answer:
        """Send orders that count as sent, and count what is known at once of their outcome."""
        request = self._upstream.call(method, path, parameters, Security.TRADE)
        return await self._sending.send(orders, request, is_refused=_is_refused)

    def _placed(self, body: Json, orders: Iterable[Order]) -> None:
        """Count the answer to an order, or to the orders of a list."""
        by_client_id = {order.client_id: order for order in orders}
        for report in body.get("orderReports", (body,)):
            order = by_client_id.get(report["clientOrderId"])
            if order is not None:
                self.count(placed(report, order))

    def _replaced(self, answer: Answer, submission: Submission) -> Answer:
        """Count both halves of a cancel-replace; its new order is answered as it was asked for."""
        if answer.is_unclear:
            return answer
        whole = answer.json()
        partly = code_of(answer) in _PARTLY_DONE
        if not answer.succeeded and not partly:
            return answer
        body = whole["data"] if partly else whole
        if body["cancelResult"] == "SUCCESS":
            self.count(canceled(body["cancelResponse"], self._tag))
        if body["newOrderResult"] != "SUCCESS":
            self._sending.refused(submission.request.orders)
            return answer
        self._placed(body["newOrderResponse"], submission.request.orders)
        body["newOrderResponse"] = trimmed(
            body["newOrderResponse"], submission.asked_response, submission.order_type
        )
        return answer.with_body(whole)

    # Cancels

    async def cancel(self, call: Allowed, sent: Mapping[str, str]) -> Answer:
        """Send a cancel of an order of the bot, which no limit refuses.

        The orders of the gateway, of people and of other bots are not the bot's to cancel: for the
        bot they do not exist. Raises ApiError (-2011), UnreachableError.
        """
        if call.path == LIST:
            may_be_sent = await self._may_cancel_list(sent)
        else:
            names = {"client_id": "origClientOrderId", "number": "orderId"}
            may_be_sent = await self._may_cancel(sent, **names)
        if not may_be_sent:
            raise errors.unknown_cancel()
        answer = await self._upstream.call(
            call.method, str(call.path), without_proof(sent), call.security
        )
        if answer.succeeded:
            self._canceled(answer)
        return answer

    async def _replacing_own(self, sent: Mapping[str, str]) -> Mapping[str, str]:
        """Return a cancel-replace of an order of the bot.

        In the place of any other order it names one that does not exist, so that the exchange
        answers as it does then: the new order may be an exit.
        """
        number, client_id = "cancelOrderId", "cancelOrigClientOrderId"
        if await self._may_cancel(sent, client_id=client_id, number=number):
            return sent
        others = {name: text for name, text in sent.items() if name != number}
        return {**others, client_id: new_client_id()}

    async def _may_cancel(self, sent: Mapping[str, str], *, client_id: str, number: str) -> bool:
        """Whether a cancel by these ids may be sent. One without an id is the exchange's to refuse.

        Open orders of the bot are known once the books are those of the exchange. Until then the
        exchange is asked, which has the tag of each order.
        """
        named = (("origClientOrderId", sent.get(client_id)), ("orderId", sent.get(number)))
        asked = {name: value for name, value in named if value}
        if not asked or self._is_own(sent.get(client_id), sent.get(number)):
            return True
        if self._gate.reconciled:
            return False
        view = await self._found(ORDER, {"symbol": sent.get("symbol", ""), **asked})
        return view is not None and self._is_of_the_bot(view)

    def _is_own(self, client_id: str | None, number: str | None) -> bool:
        orders = self._gate.desk.ledger.state.orders
        found = self._client_of(number) if number else client_id
        if found is None or client_id not in {None, "", found}:
            return False
        tracked = orders.get(found)
        return tracked is not None and tracked.purpose is Purpose.BOT

    async def _may_cancel_list(self, sent: Mapping[str, str]) -> bool:
        """As above. The books have no numbers of lists, so the exchange is asked for the orders."""
        number, client_id = sent.get("orderListId"), sent.get("listClientOrderId")
        if not (number or client_id):
            return True
        asked = {"orderListId": number} if number else {"origClientOrderId": client_id or ""}
        body = await self._found(LIST, asked)
        if body is None or (client_id and body.get("listClientOrderId") != client_id):
            return False
        for each in body["orders"]:
            ids = {"symbol": each["symbol"], "orderId": str(each["orderId"])}
            if await self._may_cancel(ids, client_id="origClientOrderId", number="orderId"):
                return True
        return False

    async def _found(self, path: str, asked: Mapping[str, str]) -> Json | None:
        """Return an order or a list of the account; None if the exchange knows none.

        Raises UnreachableError if it does not say: what nobody knows of is not cancelled.
        """
        answer = await self._upstream.call("GET", path, asked, Security.USER_DATA)
        if answer.is_unclear or answer.is_limited:
            raise UnreachableError(f"{path}: answered {answer.status}")
        found: Json | None = answer.json() if answer.succeeded else None
        return found

    async def cancel_all(self, call: Allowed, sent: Mapping[str, str]) -> Answer:
        """Cancel the bot's open orders of a symbol. Raises UnreachableError.

        The exchange's own call would cancel the gateway's protection as well, and what others have
        on the account.
        """
        symbol = sent.get("symbol", "")
        listed = await self._upstream.call(
            "GET", str(call.path), {"symbol": symbol}, Security.USER_DATA
        )
        if not listed.succeeded:
            return listed
        wanted: dict[tuple[str, str], None] = {}
        for view in listed.json():
            if self._is_of_the_bot(view):
                in_list = view["orderListId"] >= 0
                name = "orderListId" if in_list else "orderId"
                wanted[name, str(view[name])] = None
        if not wanted:
            raise errors.unknown_cancel()
        answers = await asyncio.gather(
            *(
                self._upstream.call(
                    "DELETE",
                    LIST if name == "orderListId" else ORDER,
                    {"symbol": symbol, name: number},
                    Security.TRADE,
                )
                for name, number in wanted
            )
        )
        done = [answer for answer in answers if answer.succeeded]
        for answer in done:
            self._canceled(answer)
        # An order that ended meanwhile is no longer there to cancel, as the exchange sees it too.
        return done[-1].with_body([each.json() for each in done]) if done else answers[-1]

    def _is_of_the_bot(self, view: Json) -> bool:
        own = self._tag.marks(view.get("strategyId"), view.get("strategyType"))
        return own and not is_protection(view)

    def _canceled(self, answer: Answer) -> None:
        body = answer.json()
        for each in body if isinstance(body, list) else (body,):
            self.count(canceled(each, self._tag))

    async def cancel_own(self, cancel: Cancel) -> None:
        """Cancel an order or a list for the gateway. What fails is asked for, or tried again."""
        name = self._markets.name(cancel.symbol)
        path, named = ORDER, {"origClientOrderId": cancel.client_id}
        if cancel.group is not None:
            path, named = LIST, {"listClientOrderId": cancel.group}
        self._sending.cancels(cancel)
        try:
            answer = await self._upstream.call(
                "DELETE", path, {"symbol": name, **named}, Security.TRADE
            )
        except UnreachableError as error:
            log.warning("a cancel of the gateway: %s", error)
            return
        if answer.succeeded:
            self._canceled(answer)
        elif code_of(answer) == _UNKNOWN_ORDER:
            await self._queries.ask(cancel.client_id, cancel.symbol)
        else:
            log.warning("a cancel of the gateway was answered %s", answer.status)

    # The gateway's orders

    async def place_own(self, place: Place) -> None:
        """Send an order or a list of the gateway; it counts as sent already."""
        name = self._markets.name(place.orders[0].symbol)
        self._sending.acts(place)
        if len(place.orders) == 1:
            path, parameters = ORDER, order_parameters(place.orders[0], name, self._tag)
        else:
            path = OCO
            parameters = list_parameters(place.orders, name, place.group, self._tag)
        try:
            answer = await self._send("POST", path, parameters, place.orders)
        except UnreachableError as error:
            log.warning("an order of the gateway: %s", error)
            return
        if answer.succeeded:
            self._placed(answer.json(), place.orders)
        else:
            log.warning(
                "the exchange did not take an order of the gateway",
                extra={"purpose": place.purpose.value, "status": answer.status},
            )

    # Events

    def count(self, events: Iterable[Event]) -> None:
        """Count events."""
        self._gate.on(*events)

    def _client_of(self, exchange_id: str) -> str | None:
        """Return the client id of an own order that is remembered."""
        orders = self._gate.desk.ledger.state.orders.values()
        found = (each for each in orders if each.exchange_id == exchange_id)
        return next((each.order.client_id for each in found), None)


def _is_refused(answer: Answer) -> bool:
    return not answer.succeeded and code_of(answer) not in _PARTLY_DONE

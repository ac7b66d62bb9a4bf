"""Orders and cancels: those of the bot, after the core has judged them, and the gateway's own."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.failures import OrderFailedError
from tradingbot_exchange.coinbase.order_requests import parse_cancel

from tradingbot_gateway.answers import Answer, NotSentError, encode_json
from tradingbot_gateway.coinbase.queries import MINUTE_MS, Queries
from tradingbot_gateway.coinbase.rates import SENT_SECONDS, BotRates, Rate
from tradingbot_gateway.coinbase.refusals import LOCKED, refused
from tradingbot_gateway.coinbase.requests import Submission, read_submission
from tradingbot_gateway.coinbase.translation import Tag, is_protection, own_body
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.risk.actions import Cancel, Place
from tradingbot_gateway.risk.types import Order, Purpose
from tradingbot_gateway.risk.verdicts import Refused, Release
from tradingbot_gateway.sending import Sending

log = logging.getLogger(__name__)

ORDERS, CANCEL = f"{V3}/orders", f"{V3}/orders/batch_cancel"
_REMEMBERED_MS = 5 * MINUTE_MS
"""An order that is older than this, with the client id of a new one, is not that new one."""
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_ASKED = 100
"""Ids of one cancel that the exchange is asked for: more would not fit into an address."""
_ASKS = 3
"""Cancels in a second for which the exchange is asked: the gateway's own reads come first."""
_NOT_THERE, _NOT_READ = "UNKNOWN_CANCEL_ORDER", "UNKNOWN_CANCEL_FAILURE_REASON"
"""What is answered of orders that are not the bot's, and of those of which that is not known."""
_JSON = {"Content-Type": "application/json"}

Json = dict[str, Any]


class Trading:
    """Sends what the gate lets through, and reports to the gate what became of it."""

    def __init__(
        self,
        gate: Gate,
        upstream: Upstream,
        markets: Markets,
        queries: Queries,
        *,
        tag: Tag,
        rates: BotRates,
    ) -> None:
        self._gate = gate
        self._upstream = upstream
        self._markets = markets
        self._queries = queries
        self._tag = tag
        self._sending = Sending(gate)
        self._rates = rates
        self._asks = Rate(_ASKS, gate.wall)

    # The bot's orders

    async def place(self, body: Mapping[str, object]) -> Answer:
        """Judge and send a new order.

        Raises OrderFailedError, ApiError for what is refused, here or in form; UnreachableError.
        """
        submission = read_submission(body, self._tag)
        symbol = submission.request.orders[0].symbol
        known = self._known(submission)
        if known is not None:
            return known
        await self._markets.for_order(symbol)
        # Before the decision: what is judged is sent at once.
        await self._rates.sent.wait_briefly(SENT_SECONDS)
        await self._admit(submission)
        sent = self._upstream.clock.now()
        answer = await self._send(submission.body, submission.request.orders)
        if not answer.succeeded:
            return answer
        shown = answer.json()
        if shown.get("success"):
            await self._accepted(shown, submission, sent=sent)
        return answer.with_body(self._shown(shown))

    def _known(self, submission: Submission) -> Answer | None:
        """Return the answer to an order that was sent with this client id before, or None.

        Coinbase answers with the first order as well. It is not judged again, and not sent.
        """
        tracked = self._gate.desk.ledger.order(submission.client_id)
        if tracked is None or not tracked.exchange_id:
            return None
        body = {
            "success": True,
            "failure_reason": "UNKNOWN_FAILURE_REASON",
            "order_id": tracked.exchange_id,
            "success_response": {
                "order_id": tracked.exchange_id,
                "product_id": tracked.order.symbol,
                "side": tracked.order.side.value,
                "client_order_id": submission.client_id,
                "attached_order_id": "",
            },
            "order_configuration": submission.body["order_configuration"],
        }
        return Answer(200, encode_json(body), _JSON)

    async def _admit(self, submission: Submission) -> None:
        """Return when the request counts as sent. Raises OrderFailedError."""
        verdict = await self._sending.admit(submission.request, self.cancel_own)
        if isinstance(verdict, Refused):
            raise refused(verdict.control, verdict.message)
        if isinstance(verdict, Release):
            raise OrderFailedError(LOCKED)

    async def _send(self, body: Mapping[str, object], orders: Iterable[Order]) -> Answer:
        """Send orders that count as sent, and count what is known at once of their outcome."""
        request = self._upstream.call("POST", ORDERS, body=body)
        return await self._sending.send(orders, request, is_refused=_is_refused)

    async def _accepted(self, shown: Json, submission: Submission, *, sent: int) -> None:
        """Count an order that was accepted, with its fills: the bot may sell them at once."""
        orders = submission.request.orders
        try:
            is_new = await self._queries.settle(
                _order_id(shown),
                until_ended=submission.ends_at_once,
                not_before=sent - _REMEMBERED_MS,
            )
        except UnreachableError as error:
            # It counts as sent, and is asked for again.
            log.warning("an order was accepted, and could not be read: %s", error)
            return
        if not is_new:
            self._sending.refused(orders)

    def _shown(self, body: Json) -> Json:
        """Return an answer with the client id as the bot has sent it."""
        response = body.get("success_response")
        if not isinstance(response, dict):
            return body
        client_id = self._tag.original(str(response.get("client_order_id")))
        if client_id is None:
            return body
        return {**body, "success_response": {**response, "client_order_id": client_id}}

    # Cancels

    async def cancel(self, body: Mapping[str, object]) -> Answer:
        """Send a cancel of the bot, which no limit refuses. Raises ApiError, UnreachableError.

        Of the bot's own orders alone: those of the gateway, of people and of other bots on the
        account do not exist for the bot.
        """
        ids = parse_cancel(body)
        left = await self._left_alone(ids)
        own = [each for each in ids if each not in left]
        answer = Answer(200, encode_json({"results": []}), _JSON)
        if own:
            await self._rates.sent.wait_briefly(SENT_SECONDS)
            answer = await self._upstream.call("POST", CANCEL, body={"order_ids": own})
            if not answer.succeeded:
                return answer
            await self._count_canceled(own)
        return answer if not left else answer.with_body(_with_left(answer.json(), ids, left))

    async def _left_alone(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Return the ids whose orders are not known to be the bot's, and what is answered of them.

        The bot chooses the ids, so it could make the question fail: what has no answer is not
        canceled. The ledger has the ids of the bot's open orders, and no question is needed.
        """
        orders = self._gate.desk.ledger.state.orders.values()
        own = {each.exchange_id for each in orders if each.purpose is Purpose.BOT}
        left = {each: _NOT_THERE for each in ids if not each or each not in own}
        unknown = sorted(filter(_ORDER_ID.fullmatch, left))
        if not unknown:
            return left
        asked = unknown[:_MOST_ASKED]
        found: list[Json] = []
        try:
            if not self._asks.take():
                asked = []
            elif asked:
                found = await self._queries.orders([("order_ids", each) for each in asked])
        except NotSentError:
            raise  # a cancel could not be sent either
        except UnreachableError as error:
            log.warning("canceled orders could not be read: %s", error)
            asked = []
        left |= dict.fromkeys(set(unknown).difference(asked), _NOT_READ)
        bots = {view["order_id"] for view in found if self._is_bots(view)}
        return {each: reason for each, reason in left.items() if each not in bots}

    def _is_bots(self, view: Json) -> bool:
        client_id = self._tag.original(str(view.get("client_order_id")))
        return client_id is not None and not is_protection(client_id)

    async def _count_canceled(self, ids: Iterable[str]) -> None:
        """Count the end of canceled orders, so that the bot can enter again at once."""
        asked = self._gate.wall()
        try:
            views = await self._queries.orders([("order_ids", each) for each in ids])
            await self._queries.learn(views, asked)
        except UnreachableError as error:
            log.warning("canceled orders could not be read: %s", error)

    async def cancel_own(self, cancel: Cancel) -> None:
        """Cancel an order for the gateway. What fails is asked for, or tried again."""
        self._sending.cancels(cancel)
        try:
            exchange_id = self._queries.exchange_id(cancel.client_id, cancel.group)
            if not exchange_id:
                await self._queries.ask(cancel.client_id, cancel.symbol)
                exchange_id = self._queries.exchange_id(cancel.client_id, cancel.group)
            if not exchange_id:
                return
            answer = await self._upstream.call("POST", CANCEL, body={"order_ids": [exchange_id]})
            if answer.succeeded:
                await self._queries.settle(exchange_id, until_ended=True)
            else:
                log.warning("a cancel of the gateway was answered %s", answer.status)
        except UnreachableError as error:
            log.warning("a cancel of the gateway: %s", error)

    # The gateway's orders

    async def place_own(self, place: Place) -> None:
        """Send an order or a bracket of the gateway; it counts as sent already."""
        self._sending.acts(place)
        body = own_body(place.orders, place.group, self._tag)
        try:
            request = self._upstream.call("POST", ORDERS, body=body)
            answer = await self._sending.send(place.orders, request, is_refused=_is_refused)
            shown = answer.json() if answer.succeeded else {}
            if shown.get("success"):
                await self._queries.settle(_order_id(shown), until_ended=place.group is None)
                return
        except UnreachableError as error:
            log.warning("an order of the gateway: %s", error)
            return
        log.warning(
            "the exchange did not take an order of the gateway",
            extra={"purpose": place.purpose.value, "status": answer.status},
        )


def _with_left(body: Json, ids: Iterable[str], left: Mapping[str, str]) -> Json:
    """Return the answer to a cancel with a result for each of the bot's ids, in their order."""
    found = {each["order_id"]: each for each in body["results"]}
    results = (
        {"success": False, "failure_reason": left[each], "order_id": each}
        if each in left
        else found.get(each)
        for each in ids
    )
    return {**body, "results": [each for each in results if each is not None]}


def _is_refused(answer: Answer) -> bool:
    """Whether the exchange has not accepted an order. Raises UnreachableError."""
    if not answer.succeeded:
        return True
    body = answer.json()
    return not isinstance(body, dict) or body.get("success") is False


def _order_id(body: Json) -> str:
    """Return the exchange's id of an order that was accepted. Raises UnreachableError."""
    response = body.get("success_response")
    found = body.get("order_id") or (response or {}).get("order_id")
    if not found:
        raise UnreachableError("an order was accepted without an id")
    return str(found)

"""One call of the bot over REST, to the answer that the bot gets."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from tradingbot_exchange.coinbase.authentication import SignedRequest
from tradingbot_exchange.coinbase.errors import ApiError
from tradingbot_exchange.coinbase.failures import OrderFailedError, error_response
from tradingbot_exchange.coinbase.order_requests import parse_json

from tradingbot_gateway.answers import REFUSED_HEADER, Answer, NotSentError, encode_json
from tradingbot_gateway.coinbase.account import Account
from tradingbot_gateway.coinbase.calls import BEST_BID_ASK, Allowed, Treatment, public_twin
from tradingbot_gateway.coinbase.proof import Gatekeeper
from tradingbot_gateway.coinbase.queries import Queries
from tradingbot_gateway.coinbase.rates import BotRateError, BotRates
from tradingbot_gateway.coinbase.refusals import (
    OrderRefusedError,
    RefusalError,
    UnknownProductError,
)
from tradingbot_gateway.coinbase.trading import Trading
from tradingbot_gateway.coinbase.translation import Tag
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.coinbase.views import in_account, of_the_bot
from tradingbot_gateway.errors import StateFileError, UnreachableError
from tradingbot_gateway.gate import Gate

log = logging.getLogger(__name__)

_UNKNOWN_OUTCOME = ApiError(
    504, "DEADLINE_EXCEEDED", "The exchange did not answer: what became of the request is unknown"
)
_UNAVAILABLE = ApiError(503, "UNAVAILABLE", "The exchange can't be reached: nothing was sent")


class Dispatch:
    """Carries out the calls of the table."""

    def __init__(
        self,
        gate: Gate,
        gatekeeper: Gatekeeper,
        *,
        account: Account,
        queries: Queries,
        trading: Trading,
        tag: Tag,
        upstream: Upstream,
        market: Upstream,
        rates: BotRates,
        quoted: Callable[[str], Awaitable[object]] | None,
    ) -> None:
        """`upstream` has the account, `market` the prices: one exchange, except in Paper.

        `quoted`: in Paper, it returns when the account's exchange has the quotes of a product.
        """
        self._gate = gate
        self._gatekeeper = gatekeeper
        self._account = account
        self._queries = queries
        self._trading = trading
        self._tag = tag
        self._upstream = upstream
        self._market = market
        self._quoted = quoted
        self._rates = rates

    async def answer(self, call: Allowed, request: SignedRequest, body: bytes) -> Answer:
        """Return the answer to a call."""
        sent: Mapping[str, object] = {}
        try:
            if call.signed:
                self._gatekeeper.check(request)
            if request.method == "POST":
                sent = parse_json(body)
            return await self._carry_out(call, request, sent)
        except OrderFailedError as error:
            return self._failed(error, sent)
        except ApiError as error:
            return self.refusal(error)
        except NotSentError as error:
            log.warning("%s", error)
            return self.refusal(_UNAVAILABLE)
        except UnreachableError as error:
            log.warning("%s", error)
            return self.refusal(_UNKNOWN_OUTCOME)
        except StateFileError:
            log.exception("nothing can be sent: the ledger can't be written")
            return self.refusal(_UNAVAILABLE)

    async def _carry_out(
        self, call: Allowed, request: SignedRequest, sent: Mapping[str, object]
    ) -> Answer:
        treatment, method, path = call.treatment, request.method, request.path
        if treatment is Treatment.MARKET:
            return await self._read_market(method, path, request.query)
        if treatment is Treatment.ORDER:
            return await self._trading.place(sent)
        if treatment is Treatment.CANCEL:
            return await self._trading.cancel(sent)
        if self._quoted is not None:
            twin = public_twin(path)
            if twin is not None:  # the account's exchange knows quotes alone
                return await self._read_market(method, twin, request.query)
            if path == BEST_BID_ASK:
                await self._quote(request.query, self._quoted)
        await self._rates.reads.wait_briefly()
        asked = self._gate.wall()
        body = sent if method == "POST" else None
        answer = await self._upstream.call(method, path, request.query, body)
        if not answer.succeeded or treatment in {Treatment.READ, Treatment.PREVIEW}:
            return answer
        shown = answer.json()
        if treatment is Treatment.ACCOUNTS:
            holds = self._account.holds()
            if "accounts" in shown:
                shown["accounts"] = [in_account(each, holds) for each in shown["accounts"]]
            if "account" in shown:
                shown["account"] = in_account(shown["account"], holds)
        else:
            await self._show_orders(shown, asked)
        return answer.with_body(shown)

    async def _read_market(self, method: str, path: str, query: str) -> Answer:
        await self._rates.public.wait_briefly()
        return await self._market.public(method, path, query)

    async def _quote(self, query: str, quoted: Callable[[str], Awaitable[object]]) -> None:
        """Have quotes of the products that a query names. Those that can't be traded have none."""
        for name in parse_qs(query).get("product_ids", ()):
            with suppress(UnknownProductError):
                await quoted(name)

    async def _show_orders(self, shown: dict[str, Any], asked: int) -> None:
        """Count what the bot is about to learn, and show its orders as it has sent them."""
        single = "order" in shown
        views = [shown["order"]] if single else shown.get("orders", [])
        news = [view for view in views if self._queries.is_news(view)]
        if news:
            await self._queries.learn(news, asked)
        found = of_the_bot(views, self._tag)
        if not single:
            shown["orders"] = found
        elif found:
            shown["order"] = found[0]
        else:
            raise ApiError(404, "NOT_FOUND", "order with this orderID was not found")

    def _failed(self, error: OrderFailedError, sent: Mapping[str, object]) -> Answer:
        """Return the refusal of an order: HTTP 200, as the exchange refuses orders."""
        configuration = sent.get("order_configuration")
        body = {
            "success": False,
            "failure_reason": error.failure.error,
            "order_id": "",
            "error_response": error_response(error),
            "order_configuration": configuration if isinstance(configuration, dict) else {},
        }
        headers = {"Content-Type": "application/json"}
        if isinstance(error, OrderRefusedError):
            headers[REFUSED_HEADER] = error.control
        return Answer(200, encode_json(body), headers)

    def refusal(self, error: ApiError) -> Answer:
        """Return an error in the exchange's form."""
        headers = {"Content-Type": error.content_type}
        if isinstance(error, RefusalError | BotRateError):
            headers[REFUSED_HEADER] = error.control
        if isinstance(error, BotRateError):
            headers["Retry-After"] = "1"
        return Answer(error.status, error.body().encode(), headers)

    def refuse(self, what: str, error: RefusalError) -> Answer:
        """Return, and write down, the refusal of something that is not on the list."""
        self._gate.refused(what, control=error.control, reason=error.details)
        return self.refusal(error)

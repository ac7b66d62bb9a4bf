"""One call of the bot, from REST or the WebSocket API, to the answer that the bot gets."""

import logging
from collections.abc import Mapping

from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.framing import Proof

from tradingbot_gateway.answers import REFUSED_HEADER, Answer, NotSentError, encode_json
from tradingbot_gateway.binance.account import Account
from tradingbot_gateway.binance.budget import Budget
from tradingbot_gateway.binance.calls import Allowed, Treatment
from tradingbot_gateway.binance.proof import Gatekeeper, without_proof
from tradingbot_gateway.binance.refusals import RefusalError
from tradingbot_gateway.binance.trading import Trading
from tradingbot_gateway.binance.upstream import Upstream, encode
from tradingbot_gateway.binance.views import in_account, of_the_bot, without_tag
from tradingbot_gateway.errors import StateFileError, UnreachableError
from tradingbot_gateway.gate import Gate

log = logging.getLogger(__name__)

_JSON = {"Content-Type": "application/json;charset=UTF-8"}
_JUDGED = frozenset({Treatment.ORDER, Treatment.ORDER_LIST, Treatment.CANCEL_REPLACE})
_NEVER_WAIT = _JUDGED | {Treatment.CANCEL, Treatment.CANCEL_ALL, Treatment.NOTHING}
_UNKNOWN_OUTCOME = ApiError(
    -1007,
    "Timeout waiting for response from backend server. Send status unknown; execution status"
    " unknown.",
    status=504,
)


class Dispatch:
    """Carries out the calls of the table."""

    def __init__(
        self,
        gate: Gate,
        gatekeeper: Gatekeeper,
        *,
        account: Account,
        trading: Trading,
        upstream: Upstream,
        market: Upstream,
        budget: Budget,
    ) -> None:
        """`upstream` has the account, `market` the prices: one exchange, except in Paper."""
        self._gate = gate
        self._gatekeeper = gatekeeper
        self._account = account
        self._trading = trading
        self._upstream = upstream
        self._market = market
        self._budget = budget

    async def answer(
        self, call: Allowed, sent: Mapping[str, str], proof: Proof, query: str | None = None
    ) -> Answer:
        """Return the answer to a call. `query`: market data's own, passed on byte by byte."""
        try:
            self._gatekeeper.check(call.security, proof, sent)
            self._budget.spend(call.weigh(sent), may_wait=call.treatment not in _NEVER_WAIT)
            return self._untagged(await self._carry_out(call, sent, query))
        except ApiError as error:
            return self.refusal(error)
        except NotSentError as error:
            log.warning("%s", error)
            # An empty 503 is what clients take for an exchange that is not available.
            return Answer(503, b"")
        except UnreachableError as error:
            log.warning("%s", error)
            return self.refusal(_UNKNOWN_OUTCOME)
        except StateFileError:
            log.exception("nothing can be sent: the ledger can't be written")
            return Answer(503, b"")

    async def _carry_out(self, call: Allowed, sent: Mapping[str, str], query: str | None) -> Answer:
        treatment, path = call.treatment, str(call.path)
        if treatment is Treatment.MARKET:
            return await self._market.public(
                call.method, path, encode(sent) if query is None else query
            )
        if treatment in _JUDGED:
            return await self._trading.place(call, sent)
        if treatment is Treatment.CANCEL:
            return await self._trading.cancel(call, sent)
        if treatment is Treatment.CANCEL_ALL:
            return await self._trading.cancel_all(call, sent)
        if treatment is Treatment.NOTHING:
            return Answer(200, b"[]", _JSON)
        answer = await self._upstream.call(call.method, path, without_proof(sent), call.security)
        if not answer.succeeded or treatment is Treatment.READ:
            return answer
        if treatment is Treatment.ACCOUNT:
            shown: object = in_account(answer.json(), self._account.holds())
        else:
            shown = of_the_bot(answer.json())
        return answer.with_body(shown)

    def _untagged(self, answer: Answer) -> Answer:
        if b'"strategyId"' not in answer.body:
            return answer
        shown = without_tag(answer.json(), self._account.tag)
        return answer.with_body(shown)

    def refusal(self, error: ApiError) -> Answer:
        """Return an error in the exchange's form."""
        headers = dict(_JSON)
        if isinstance(error, RefusalError):
            headers[REFUSED_HEADER] = error.control
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        return Answer(error.status, encode_json(error.body()), headers)

    def refuse(self, what: str, error: RefusalError) -> Answer:
        """Return, and write down, the refusal of something that is not on the list."""
        self._gate.refused(what, control=error.control, reason=error.message)
        return self.refusal(error)

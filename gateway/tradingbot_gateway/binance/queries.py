"""What the gateway asks the exchange: orders, trades, balances and old prices."""

import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_exchange.binance.calls import Security

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.binance.translation import Tag, exchange_order, exchange_trade, totals
from tradingbot_gateway.binance.upstream import KEY_CODES, Upstream, code_of
from tradingbot_gateway.errors import KeysRefusedError, UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.risk.actions import FindPrice
from tradingbot_gateway.risk.events import Priced
from tradingbot_gateway.risk.reconciliation import Answers, ExchangeOrder, ExchangeTrade

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
_UNKNOWN_ORDER = -2013
_MOST = 1000
_CLOSE = 4
"""Column of a candle's last price."""

Json = dict[str, Any]


class Queries:
    """Reads one account and one exchange, and hands the answers to the gate."""

    def __init__(
        self, gate: Gate, account: Upstream, market: Upstream, markets: Markets, tag: Tag
    ) -> None:
        """`account` and `market` are the same exchange, except in Paper."""
        self._gate = gate
        self._account = account
        self._market = market
        self._markets = markets
        self._tag = tag

    async def ask(self, client_id: str, symbol: str) -> None:
        """Find out what became of an order. Raises UnreachableError."""
        asked = self._gate.wall()
        name = self._markets.name(symbol)
        answer = await self._read(
            "/api/v3/order", {"symbol": name, "origClientOrderId": client_id}, (_UNKNOWN_ORDER,)
        )
        if code_of(answer) == _UNKNOWN_ORDER:
            self._gate.answered(Answers(asked=asked, not_found=frozenset({client_id})))
            return
        view = answer.json()
        order = exchange_order(view, symbol, self._tag, groups=await self._groups((view,)))
        trades = await self._trades_of(name, symbol, (order,))
        self._gate.answered(
            Answers(asked=asked, orders=(order,), trades=trades, named=frozenset({client_id}))
        )

    async def find_price(self, action: FindPrice) -> None:
        """Find the price of an asset at an instant: the close of the minute before it.

        Raises UnreachableError.
        """
        instrument = await self._markets.value(action.asset)
        if instrument is None:
            log.warning("%s has no price in %s", action.asset, self._gate.limits.money)
            return
        name = self._markets.name(instrument.symbol)
        start = (action.at // MINUTE_MS - 1) * MINUTE_MS
        query = f"symbol={name}&interval=1m&startTime={start}&limit=1"
        answer = await self._market.public("GET", "/api/v3/klines", query)
        rows = answer.json() if answer.succeeded else []
        if rows:
            price = Decimal(rows[0][_CLOSE])
            self._gate.on(
                Priced(time=self._gate.wall(), asset=action.asset, at=action.at, price=price)
            )

    # Reconciliation

    async def all_orders(self, names: Iterable[str], *, since: int) -> None:
        """Hand all own open orders, and those of some symbols since a time, to the gate.

        In one step: a part of them would show exits without their positions. Raises
        UnreachableError.
        """
        asked = self._gate.wall()
        listed: list[Json] = (await self._read("/api/v3/openOrders", {})).json()
        for name in names:
            listed += await self._past_orders(name, since=since)
        views = {(view["symbol"], view["orderId"]): view for view in listed if self._is_own(view)}
        await self._hand_over(asked, list(views.values()))

    async def _past_orders(self, name: str, *, since: int) -> list[Json]:
        """Return the orders of a symbol since a time, ended ones and others' included."""
        await self._markets.ready(name)
        now = self._account.clock.now()
        found: list[Json] = []
        start = since
        while start < now:
            window = {
                "symbol": name,
                "startTime": str(start),
                "endTime": str(min(start + DAY_MS - 1, now + MINUTE_MS)),
                "limit": str(_MOST),
            }
            views = (await self._read("/api/v3/allOrders", window)).json()
            found += views
            start = int(views[-1]["time"]) + 1 if len(views) == _MOST else start + DAY_MS
        return found

    async def balances(self) -> Mapping[str, Decimal]:
        """Hand the account's balances to the gate, and return them. Raises UnreachableError."""
        asked = self._gate.wall()
        account = (await self._read("/api/v3/account", {})).json()
        found = totals(account)
        self._gate.answered(Answers(asked=asked, balances=found))
        return found

    async def may_withdraw(self) -> bool:
        """Return whether the key may withdraw or transfer. Raises UnreachableError."""
        shown = (await self._read("/sapi/v1/account/apiRestrictions", {})).json()
        if not isinstance(shown, dict):
            raise UnreachableError("what the key may do is not as Binance documents it")
        names = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
        return any(shown.get(name) is True for name in names)

    async def _hand_over(self, asked: int, views: list[Json]) -> None:
        groups = await self._groups(views)
        orders: list[ExchangeOrder] = []
        trades: list[ExchangeTrade] = []
        for view in views:
            symbol = (await self._markets.ready(view["symbol"])).symbol
            order = exchange_order(view, symbol, self._tag, groups=groups)
            orders.append(order)
            trades += await self._trades_of(view["symbol"], symbol, (order,))
        self._gate.answered(Answers(asked=asked, orders=tuple(orders), trades=tuple(trades)))

    async def _trades_of(
        self, name: str, symbol: str, orders: Iterable[ExchangeOrder]
    ) -> tuple[ExchangeTrade, ...]:
        found: list[ExchangeTrade] = []
        for order in orders:
            tracked = self._gate.desk.ledger.order(order.order.client_id)
            if order.executed > (0 if tracked is None else tracked.filled):
                parameters = {"symbol": name, "orderId": order.exchange_id, "limit": str(_MOST)}
                views = (await self._read("/api/v3/myTrades", parameters)).json()
                found += (exchange_trade(view, symbol) for view in views)
        return tuple(found)

    async def _groups(self, views: Iterable[Json]) -> dict[int, str]:
        """Return the client ids of the lists that some orders belong to."""
        numbers = {view["orderListId"] for view in views if view["orderListId"] >= 0}
        found = {}
        for number in sorted(numbers):
            answer = await self._read("/api/v3/orderList", {"orderListId": str(number)})
            found[number] = answer.json()["listClientOrderId"]
        return found

    async def _read(
        self, path: str, parameters: Mapping[str, str], accepted: tuple[int, ...] = ()
    ) -> Answer:
        answer = await self._account.call("GET", path, parameters, Security.USER_DATA)
        code = code_of(answer)
        if not answer.succeeded and code not in accepted:
            error = KeysRefusedError if code in KEY_CODES else UnreachableError
            raise error(f"{path}: answered {answer.status}, code {code}")
        return answer

    def _is_own(self, view: Json) -> bool:
        return self._tag.marks(view.get("strategyId"), view.get("strategyType"))

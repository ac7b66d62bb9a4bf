"""What the gateway asks the exchange: orders, fills, balances and old prices."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.wire import instant, parse_instant

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.coinbase.rates import LIMITED_SECONDS, OWN_READS, Rate
from tradingbot_gateway.coinbase.translation import (
    FAILED,
    UNSETTLED,
    Tag,
    bracket_ids,
    exchange_orders,
    exchange_trade,
    of_one_order,
    sent_id,
    totals,
)
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.errors import KeysRefusedError, UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.risk.actions import FindPrice
from tradingbot_gateway.risk.events import End, Ended, Priced
from tradingbot_gateway.risk.orders import Stage
from tradingbot_gateway.risk.reconciliation import Answers, ExchangeOrder, ExchangeTrade

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
LOOK_BACK_DAYS = 7
"""How far back own orders are looked for if there is no ledger."""

_PAGE = 250
_MOST_PAGES = 400
_MINUTES = 60
"""Of candles that are looked through for a price: one without trades has no candle."""
_LIMITED_TURNS = 4
_KEY_STATUSES = frozenset({401, 403})
"""Of answers that refuse a key, or what it may do."""
_TURNS, _TURN_SECONDS = 20, 0.1
"""How often, and after which pauses, an order is asked for that is about to end."""

Json = dict[str, Any]
Parameters = Sequence[tuple[str, str]]


class Queries:
    """Reads one account and one exchange, and hands the answers to the gate."""

    def __init__(
        self,
        gate: Gate,
        account: Upstream,
        market: Upstream,
        markets: Markets,
        tag: Tag,
        *,
        book_of: Callable[[str], str],
    ) -> None:
        """`account` and `market` are the same exchange, except in Paper.

        `book_of` returns the product whose book a product has.
        """
        self._gate = gate
        self._account = account
        self._market = market
        self._markets = markets
        self._tag = tag
        self._book_of = book_of
        self._own_rate = Rate(OWN_READS, gate.wall)

    def is_awaited(self, view: Json) -> bool:
        """Whether an order is one that is just being sent: who sends it reads it, too."""
        client_id = self._tag.original(str(view.get("client_order_id")))
        if client_id is None:
            return False
        ledger = self._gate.desk.ledger
        tracked = ledger.order(client_id) or ledger.order(bracket_ids(client_id)[0])
        return tracked is not None and tracked.stage is Stage.SENT

    async def ask(self, client_id: str, symbol: str) -> None:
        """Find out what became of an order. Raises UnreachableError.

        Coinbase is asked by its own id. If that is not known, because an answer was lost, the
        orders of that time are looked through.
        """
        asked = self._gate.wall()
        tracked = self._gate.desk.ledger.order(client_id)
        group = None if tracked is None else tracked.group
        sent = self._tag.marked(sent_id(client_id, group))
        exchange_id = "" if tracked is None else self.exchange_id(client_id, group)
        if exchange_id:
            await self.learn(await self.orders([("order_ids", exchange_id)]), asked)
            return
        since = self._account.clock.now() - LOOK_BACK_DAYS * DAY_MS
        if tracked is not None:
            since = tracked.sent + self._account.clock.offset - MINUTE_MS
        # An order that is not found counts as not sent, so it is looked for under both names.
        products = [("product_ids", each) for each in sorted({symbol, self._book_of(symbol)})]
        listed = await self.orders([*products, ("start_date", instant(since))])
        found = [view for view in listed if view.get("client_order_id") == sent]
        if found:
            await self.learn(found, asked)
        else:
            members = (client_id,) if group is None else bracket_ids(group)
            self._gate.answered(Answers(asked=asked, not_found=frozenset(members)))

    async def settle(
        self, exchange_id: str, *, until_ended: bool, not_before: int | None = None
    ) -> bool:
        """Count what became of an order. False, and nothing counts, if it is an old one.

        Coinbase accepts orders and cancels before it carries them out. `until_ended`: wait for the
        end, but not for long: a stream reports it later. `not_before`: an order that was made
        before this time of the exchange is an old one. Raises UnreachableError.
        """
        for _ in range(_TURNS):
            asked = self._gate.wall()
            views = await self.orders([("order_ids", exchange_id)])
            if not_before is not None and any(_is_older(view, not_before) for view in views):
                return False
            await self.learn(views, asked)
            settled = views and views[0]["status"] not in UNSETTLED
            if settled and not (until_ended and self._may_fill(views[0])):
                break
            await asyncio.sleep(_TURN_SECONDS)
        return True

    async def find_price(self, action: FindPrice) -> None:
        """Find the price of an asset at an instant: the close of the last minute that had trades.

        Raises UnreachableError.
        """
        instrument = await self._markets.value(action.asset)
        if instrument is None:
            log.warning("%s has no price in %s", action.asset, self._gate.limits.money)
            return
        end = (action.at // MINUTE_MS - 1) * 60
        query = urlencode(
            {
                "granularity": "ONE_MINUTE",
                "start": str(end - 60 * (_MINUTES - 1)),
                "end": str(end),
                "limit": str(_MINUTES),
            }
        )
        path = f"{V3}/market/products/{instrument.symbol}/candles"
        answer = await self._market.public("GET", path, query)
        rows = answer.json()["candles"] if answer.succeeded else []
        before = [row for row in rows if int(row["start"]) <= end]
        if before:
            latest = max(before, key=lambda row: int(row["start"]))
            price = Decimal(latest["close"])
            self._gate.on(
                Priced(time=self._gate.wall(), asset=action.asset, at=action.at, price=price)
            )

    # Reconciliation

    async def all_orders(self, *, since: int) -> None:
        """Hand all own open orders, and those since a time, to the gate, in one step.

        A part of them would show exits without their positions. Raises UnreachableError.
        """
        asked = self._gate.wall()
        listed = await self.orders([("order_status", "OPEN")])
        listed += await self.orders([("start_date", instant(since))])
        await self.learn({view["order_id"]: view for view in listed}.values(), asked)

    async def balances(self) -> Mapping[str, Decimal]:
        """Hand the account's balances to the gate, and return them. Raises UnreachableError."""
        asked = self._gate.wall()
        found = totals(await self._pages(f"{V3}/accounts", (), "accounts"))
        self._gate.answered(Answers(asked=asked, balances=found))
        return found

    async def may_withdraw(self) -> bool:
        """Return whether the key may transfer. Raises UnreachableError."""
        path = f"{V3}/key_permissions"
        answer = await self._read(path, "")
        if not answer.succeeded:
            raise UnreachableError(f"{path}: answered {answer.status}")
        shown = answer.json()
        if not isinstance(shown, dict):
            raise UnreachableError("what the key may do is not as Coinbase documents it")
        return shown.get("can_transfer") is True

    async def learn(self, views: Iterable[Json], asked: int) -> None:
        """Count what orders of a query say, in one step, with the fills that are missing.

        `asked`: when the query was sent, by the machine. Raises UnreachableError.
        """
        orders: list[ExchangeOrder] = []
        trades: list[ExchangeTrade] = []
        for view in views:
            try:
                found = self._as_sent(exchange_orders(view, self._tag))
            except (KeyError, TypeError, ValueError, ArithmeticError) as error:
                raise UnreachableError("an order is not as Coinbase documents it") from error
            if not found or view["status"] in UNSETTLED:
                continue
            if view["status"] == FAILED and not found[0].executed:
                self._failed(found, asked)
                continue
            symbol = found[0].order.symbol
            try:
                await self._markets.ready(symbol)
            except self._markets.unknown:
                log.warning("the exchange does not trade %s", symbol)
                continue
            orders += found
            trades += await self._missing_fills(found[0])
        self._gate.answered(Answers(asked=asked, orders=tuple(orders), trades=tuple(trades)))

    def _as_sent(self, found: tuple[ExchangeOrder, ...]) -> tuple[ExchangeOrder, ...]:
        """Return an order with the product of which it was sent, if the exchange names its book."""
        if not found:
            return found
        tracked = self._gate.desk.ledger.order(found[0].order.client_id)
        if tracked is None or self._book_of(tracked.order.symbol) != found[0].order.symbol:
            return found
        symbol = tracked.order.symbol
        return tuple(replace(each, order=replace(each.order, symbol=symbol)) for each in found)

    def is_news(self, view: Json) -> bool:
        """Whether an order of the bot is further than the ledger knows."""
        client_id = self._tag.original(str(view.get("client_order_id")))
        if client_id is None:
            return False
        ledger = self._gate.desk.ledger
        tracked = ledger.order(client_id) or ledger.order(bracket_ids(client_id)[0])
        if tracked is None:
            # One that has ended was read at the start, as far back as it matters.
            return self._may_fill(view)
        filled = Decimal(view.get("filled_size") or view.get("cumulative_quantity") or "0")
        return filled > tracked.filled or tracked.open is not self._may_fill(view)

    async def orders(self, parameters: Parameters) -> list[Json]:
        """Return orders of the account. Raises UnreachableError."""
        return await self._pages(f"{V3}/orders/historical/batch", parameters, "orders")

    async def _missing_fills(self, order: ExchangeOrder) -> tuple[ExchangeTrade, ...]:
        tracked = self._gate.desk.ledger.order(order.order.client_id)
        if order.executed <= (0 if tracked is None else tracked.filled):
            return ()
        lot = (await self._markets.ready(order.order.symbol)).lot
        path, parameters = f"{V3}/orders/historical/fills", [("order_ids", order.exchange_id)]
        fills = await self._pages(path, parameters, "fills")
        try:
            symbol = order.order.symbol
            trades = tuple(exchange_trade(fill, symbol, lot) for fill in fills)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise UnreachableError("a fill is not as Coinbase documents it") from error
        if order.ended is None or not any(fill.get("size_in_quote") for fill in fills):
            return trades
        known = () if tracked is None else tracked.trades
        return of_one_order(trades, order.executed, lot, known=known)

    def _failed(self, orders: Iterable[ExchangeOrder], asked: int) -> None:
        """Count an order that the exchange has taken back: as refused, if it counted as sent."""
        ledger = self._gate.desk.ledger
        for each in orders:
            tracked = ledger.order(each.order.client_id)
            if tracked is not None and tracked.open:
                known = bool(tracked.exchange_id)
                how = End.CANCELED if known else End.REFUSED
                self._gate.on(Ended(time=asked, client_id=each.order.client_id, how=how))

    def exchange_id(self, client_id: str, group: str | None) -> str:
        """Return the exchange's id; of a bracket, that of its first order."""
        first = client_id if group is None else bracket_ids(group)[0]
        tracked = self._gate.desk.ledger.order(first)
        return "" if tracked is None else tracked.exchange_id

    def _may_fill(self, view: Mapping[str, Any]) -> bool:
        return view.get("status") in {"OPEN", "QUEUED", "CANCEL_QUEUED"}

    async def _pages(self, path: str, parameters: Parameters, member: str) -> list[Json]:
        """Return the members of all pages of a query. Raises UnreachableError."""
        found: list[Json] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = [*parameters, ("limit", str(_PAGE)), *([("cursor", cursor)] if cursor else [])]
            answer = await self._read(path, urlencode(page))
            if not answer.succeeded:
                error = KeysRefusedError if answer.status in _KEY_STATUSES else UnreachableError
                raise error(f"{path}: answered {answer.status}")
            body = answer.json()
            try:
                found += body[member]
                cursor = body.get("cursor") or ""
                more = bool(cursor) and body.get("has_next", True)
            except (AttributeError, KeyError, TypeError) as error:
                raise UnreachableError(f"{path} is not as Coinbase documents it") from error
            if not more or not body[member]:
                return found
        raise UnreachableError(f"{path} does not end")

    async def _read(self, path: str, query: str) -> Answer:
        """Read a page. What the exchange refuses for the rate of requests is read again."""
        for _ in range(_LIMITED_TURNS):
            await self._own_rate.wait()
            answer = await self._account.call("GET", path, query)
            if not answer.is_limited:
                break
            await asyncio.sleep(LIMITED_SECONDS)
        return answer


def _is_older(view: Json, than: int) -> bool:
    """Whether an order was made before a time of the exchange, in milliseconds."""
    created = parse_instant(str(view.get("created_time")))
    return created is not None and created < than

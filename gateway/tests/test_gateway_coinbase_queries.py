"""What the gateway makes of Coinbase's answers about orders."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.coinbase.queries import Queries
from tradingbot_gateway.coinbase.translation import Tag
from tradingbot_gateway.risk.reconciliation import Answers

TAG = Tag.of("trading", "tested")
FILL = {
    "entry_id": "a-fill",
    "order_id": "an-id",
    "product_id": "BTC-USD",
    "price": "60000",
    "size": "600",
    "size_in_quote": True,
    "commission": "3.6",
    "trade_time": "2026-11-30T16:00:00Z",
}
ORDER = {
    "order_id": "an-id",
    "client_order_id": TAG.marked("mine"),
    "product_id": "BTC-USD",
    "side": "BUY",
    "status": "FILLED",
    "filled_size": "0.01000001",
    "created_time": "2026-11-30T16:00:00Z",
    "order_configuration": {"market_market_ioc": {"quote_size": "600"}},
}


class Account:
    """An exchange whose one order has one fill."""

    async def call(self, *_: object) -> Answer:
        """Answer with the fill."""
        return Answer(200, json.dumps({"fills": [FILL], "cursor": ""}).encode())


class Markets:
    """Markets that are known."""

    unknown = LookupError

    async def ready(self, _: str) -> object:
        """Return the market's step."""
        return SimpleNamespace(lot=Decimal("0.00000001"))


def test_no_fill_is_awaited_for_what_was_rounded() -> None:
    learned: list[Answers] = []
    ledger = SimpleNamespace(order=lambda _: None)
    gate = SimpleNamespace(
        wall=lambda: 0, answered=learned.append, desk=SimpleNamespace(ledger=ledger)
    )
    account = cast("Any", Account())
    queries = Queries(cast("Any", gate), account, account, cast("Any", Markets()), TAG, book_of=str)
    asyncio.run(queries.learn([ORDER], 0))
    (answers,) = learned
    (order,), (trade,) = answers.orders, answers.trades
    assert trade.quantity == order.executed == Decimal("0.01000001")


class OneBook:
    """An exchange that names an order of BTC-USDC, and its fill, by the book: BTC-USD."""

    clock = SimpleNamespace(now=lambda: 0, offset=0)

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, _: str, path: str, query: str, *more: object) -> Answer:
        """Answer with the order if it is asked for by the name of the book."""
        self.asked.append(query)
        fills = path.endswith("/fills")
        shown = [FILL] if fills else [ORDER] if "product_ids=BTC-USD&" in query else []
        body = {"fills" if fills else "orders": shown, "cursor": "", "has_next": False}
        return Answer(200, json.dumps(body).encode())


def test_an_order_under_the_name_of_its_book_is_found_and_counts_as_it_was_sent() -> None:
    learned: list[Answers] = []
    sent = SimpleNamespace(
        order=SimpleNamespace(symbol="BTC-USDC"),
        exchange_id="",
        group=None,
        sent=0,
        filled=Decimal(0),
        trades=(),
    )
    ledger = SimpleNamespace(order=lambda _: sent)
    gate = SimpleNamespace(
        wall=lambda: 0, answered=learned.append, desk=SimpleNamespace(ledger=ledger)
    )
    account = cast("Any", OneBook())
    books = {"BTC-USDC": "BTC-USD"}
    queries = Queries(
        cast("Any", gate),
        account,
        account,
        cast("Any", Markets()),
        TAG,
        book_of=lambda name: books.get(name, name),
    )
    asyncio.run(queries.ask("mine", "BTC-USDC"))
    (answers,) = learned
    (order,), (trade,) = answers.orders, answers.trades
    assert answers.not_found == frozenset()
    assert (order.order.symbol, trade.symbol, trade.fee_asset) == ("BTC-USDC", "BTC-USDC", "USDC")

"""Coinbase Advanced as an `exchange.Exchange`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.calls import Calls, number, optional, plain
from tradingbot_strategies.exchange import (
    NotAcceptedError,
    RawFill,
    UnavailableError,
    UnknownOutcomeError,
)
from tradingbot_strategies.intervals import milliseconds
from tradingbot_strategies.orders import NewCover, NewOrder, OrderState
from tradingbot_strategies.view import ZERO, Closes, Market, Quote, Style

PAGE = 250
CANDLES = 300
"""Of one answer; the exchange has 350 at most."""
MINUTE = 60_000
DEFAULT_FEE = Decimal("0.006")
CANCEL_SECONDS = 5.0
"""How long a cancelled order is watched until it has ended."""

_OPEN = frozenset({"OPEN", "PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})
_GRANULARITY = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "6h": "SIX_HOUR",
    "1d": "ONE_DAY",
}


class Coinbase:
    """Market data, and one account if there are keys. `clock` is in milliseconds."""

    def __init__(self, calls: Calls, *, clock: Callable[[], int], has_keys: bool) -> None:
        self._calls, self._clock, self._has_keys = calls, clock, has_keys
        self._fills: dict[str, dict[str, RawFill]] = {}
        """By symbol and entry id. The exchange does not number fills; this does, as they come."""

    # Market data

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Return those of the symbols that exist."""
        maker, taker = await self._fees()
        answer = await self._read("v3_public_get_brokerage_market_products")
        return {
            row["product_id"]: market(row, maker=maker, taker=taker)
            for row in answer["products"]
            if row["product_id"] in symbols
        }

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the best bid and ask of each symbol."""
        found = {}
        for symbol in symbols:
            answer = await self._read(
                "v3_public_get_brokerage_market_product_book", {"product_id": symbol, "limit": 1}
            )
            book = answer["pricebook"]
            if not book["bids"] or not book["asks"]:
                raise UnavailableError(f"{symbol} has no bid or no ask")
            bid, ask = book["bids"][0], book["asks"][0]
            found[symbol] = Quote(
                bid=number(bid["price"]),
                bid_size=number(bid["size"]),
                ask=number(ask["price"]),
                ask_size=number(ask["size"]),
                time=self._clock(),
            )
        return found

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        """Return the newest `count` closed candles."""
        length = milliseconds(interval)
        end = self._clock() // length * length
        rows: dict[int, Decimal] = {}
        while len(rows) < count:
            start = end - length * min(count - len(rows), CANDLES)
            page = await self._candles(symbol, interval, start, end - 1)
            rows.update({each: price for each, price in page.items() if start <= each < end})
            if not page:
                break
            end = start
        if not rows:
            raise UnavailableError(f"{symbol} has no closed candle of {interval}")
        times = sorted(rows)[-count:]
        return Closes([rows[time] for time in times], times[-1])

    async def price_at(self, symbol: str, time: int) -> Decimal:
        """Return the close of the newest one-minute candle that had ended by `time`."""
        end = time - MINUTE
        rows = await self._candles(symbol, "1m", end - CANDLES * MINUTE, end)
        ended = [start for start in rows if start <= end]
        if not ended:
            raise UnavailableError(f"{symbol} has no candle before {time}")
        return rows[max(ended)]

    async def _candles(
        self, symbol: str, interval: str, start: int, end: int
    ) -> Mapping[int, Decimal]:
        answer = await self._read(
            "v3_public_get_brokerage_market_products_product_id_candles",
            {
                "product_id": symbol,
                "granularity": _GRANULARITY[interval],
                "start": str(start // 1000),
                "end": str(end // 1000),
            },
        )
        return {int(row["start"]) * 1000: number(row["close"]) for row in answer["candles"]}

    # The account

    async def free(self, asset: str) -> Decimal:
        """Return what the account can spend of an asset."""
        for row in await self._pages("v3_private_get_brokerage_accounts", "accounts", {}):
            if row["currency"] == asset:
                return number(row["available_balance"]["value"])
        return ZERO

    async def open_orders(self, symbol: str) -> Sequence[OrderState]:
        """Return all open orders."""
        return await self._orders({"product_id": symbol, "order_status": "OPEN"})

    async def order_history(self, symbol: str) -> Sequence[OrderState]:
        """Return all orders."""
        return await self._orders({"product_id": symbol})

    async def fills(self, symbol: str, after: int) -> Sequence[RawFill]:
        """Return all fills with a higher number."""
        known = self._fills.setdefault(symbol, {})
        rows: list[Mapping[str, Any]] = []
        cursor = ""
        while True:  # the newest come first: up to a page of which everything is known
            answer = await self._read(
                "v3_private_get_brokerage_orders_historical_fills",
                {"product_id": symbol, "limit": PAGE} | ({"cursor": cursor} if cursor else {}),
            )
            new = [row for row in answer["fills"] if row["entry_id"] not in known]
            rows += new
            cursor = answer.get("cursor") or ""
            if not cursor or not new:
                break
        for row in sorted(rows, key=lambda row: str(row["trade_time"])):
            known[row["entry_id"]] = fill(symbol, row, len(known) + 1)
        return [each for each in known.values() if each.number > after]

    async def order(self, symbol: str, order_id: str) -> OrderState | None:
        """Return an order by the exchange's id."""
        del symbol
        answer = await self._read(
            "v3_private_get_brokerage_orders_historical_order_id", {"order_id": order_id}
        )
        return state(answer["order"])

    async def find(self, symbol: str, client_id: str) -> OrderState | None:
        """Return one of the newest orders by client id."""
        answer = await self._read(
            "v3_private_get_brokerage_orders_historical_batch",
            {"product_id": symbol, "limit": PAGE},
        )
        for row in answer["orders"]:
            if row["client_order_id"] == client_id:
                return state(row)
        return None

    async def submit(self, order: NewOrder) -> None:
        """Send an order."""
        await self._send(order.client_id, order.symbol, order.side, configuration(order))

    async def protect(self, cover: NewCover) -> None:
        """Send a protective order, as a bracket."""
        bracket = {
            "base_size": plain(cover.quantity),
            "limit_price": plain(cover.price),
            "stop_trigger_price": plain(cover.stop_price),
        }
        await self._send(cover.client_id, cover.symbol, Side.SELL, {"trigger_bracket_gtc": bracket})

    async def cancel(self, order: OrderState) -> OrderState:
        """Cancel an order, and wait until it has ended."""
        order_id = order.order_ids[0]
        answer = await self._calls.write(
            "v3_private_post_brokerage_orders_batch_cancel", {"order_ids": [order_id]}
        )
        for result in answer["results"]:
            if not result["success"]:
                raise NotAcceptedError(str(result.get("failure_reason")))
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while True:
                    ended = await self.order(order.symbol, order_id)
                    if ended is not None and not ended.open:
                        return ended
                    await asyncio.sleep(0.1)
        except (TimeoutError, UnavailableError) as error:
            raise UnknownOutcomeError(f"the end of order {order_id} is not known") from error

    async def _send(
        self, client_id: str, symbol: str, side: Side, order_configuration: Mapping[str, Any]
    ) -> None:
        answer = await self._calls.write(
            "v3_private_post_brokerage_orders",
            {
                "client_order_id": client_id,
                "product_id": symbol,
                "side": side.value,
                "order_configuration": order_configuration,
            },
        )
        if not answer.get("success"):
            raise NotAcceptedError(str(answer.get("error_response"))[:300])

    async def _orders(self, which: Mapping[str, str]) -> list[OrderState]:
        rows = await self._pages(
            "v3_private_get_brokerage_orders_historical_batch", "orders", which
        )
        return [state(row) for row in rows]

    async def _pages(
        self, call: str, member: str, which: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        cursor = ""
        while True:
            answer = await self._read(
                call, {**which, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
            )
            rows += answer[member]
            cursor = answer.get("cursor") or ""
            if not answer.get("has_next") or not cursor:
                return rows

    async def _fees(self) -> tuple[Decimal, Decimal]:
        if not self._has_keys:
            return DEFAULT_FEE, DEFAULT_FEE
        answer = await self._read("v3_private_get_brokerage_transaction_summary")
        tier = answer["fee_tier"]
        return number(tier["maker_fee_rate"]), number(tier["taker_fee_rate"])

    async def _read(self, call: str, parameters: Mapping[str, Any] | None = None) -> Any:
        try:
            return await self._calls.read(call, parameters)
        except NotAcceptedError as error:
            raise UnavailableError(str(error)) from error


def market(row: Mapping[str, Any], *, maker: Decimal, taker: Decimal) -> Market:
    """Read a product."""
    return Market(
        symbol=row["product_id"],
        base=row["base_currency_id"],
        quote=row["quote_currency_id"],
        tick=number(row.get("price_increment") or row["quote_increment"]),
        lot=number(row["base_increment"]),
        min_quantity=number(row["base_min_size"]),
        min_notional=number(row["quote_min_size"]),
        maker_fee=maker,
        taker_fee=taker,
    )


def configuration(order: NewOrder) -> Mapping[str, Any]:
    """Return the order_configuration of an order."""
    size = {"base_size": plain(order.quantity)}
    if order.price is None:
        return {"market_market_ioc": size}
    limit = {**size, "limit_price": plain(order.price)}
    if order.style is Style.REST:
        return {"limit_limit_gtc": {**limit, "post_only": True}}
    return {"sor_limit_ioc" if order.style is Style.TAKE else "limit_limit_fok": limit}


def state(row: Mapping[str, Any]) -> OrderState:
    """Read an order."""
    (form,) = row["order_configuration"].values()
    filled = number(row.get("filled_size") or "0")
    return OrderState(
        symbol=row["product_id"],
        order_ids=(row["order_id"],),
        client_id=row["client_order_id"],
        side=Side(row["side"]),
        open=row["status"] in _OPEN,
        price=optional(form.get("limit_price")),
        stop_price=optional(form.get("stop_trigger_price") or form.get("stop_price")),
        quantity=optional(form.get("base_size")) or filled,
        filled=filled,
        created=time_of(row["created_time"]),
    )


def fill(symbol: str, row: Mapping[str, Any], number_: int) -> RawFill:
    """Read a fill, and give it a number."""
    price, size = number(row["price"]), number(row["size"])
    quantity = size / price if row.get("size_in_quote") else size
    return RawFill(
        time=time_of(row["trade_time"]),
        number=number_,
        symbol=symbol,
        order_id=row["order_id"],
        side=Side(row["side"]),
        price=price,
        quantity=quantity,
        value=quantity * price,
        fee=number(row["commission"]),
        fee_asset=symbol.partition("-")[2],
    )


def time_of(text: str) -> int:
    """Return milliseconds since the epoch of a time such as `2026-11-24T18:00:00.123456Z`."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)

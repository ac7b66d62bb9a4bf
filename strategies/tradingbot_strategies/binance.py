"""Binance spot as an `exchange.Exchange`."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tradingbot_api.gateway_pod import PROTECTION_PREFIX
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.calls import Calls, number, optional, plain
from tradingbot_strategies.exchange import (
    NotAcceptedError,
    RawFill,
    UnavailableError,
    UnknownOutcomeError,
)
from tradingbot_strategies.orders import NewCover, NewOrder, OrderState, is_cover
from tradingbot_strategies.view import ZERO, Closes, Market, Quote, Style

PAGE = 1000
MINUTE = 60_000
DEFAULT_FEE = Decimal("0.001")
"""Where the account's own rates are not known, as without keys."""

_OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW", "PENDING_CANCEL"})
_ORDER_TYPES: Mapping[Style, Mapping[str, str]] = {
    Style.REST: {"type": "LIMIT_MAKER"},
    Style.TAKE: {"type": "LIMIT", "timeInForce": "IOC"},
    Style.ALL_OR_NOTHING: {"type": "LIMIT", "timeInForce": "FOK"},
    Style.AT_MARKET: {"type": "MARKET"},
}
_NO_LIST = re.compile(r'"code"\s*:\s*-2018\b')
"""The answer for an unknown list. ccxt has no class for it."""


class Binance:
    """Market data, and one account if there are keys. `clock` is in milliseconds."""

    def __init__(self, calls: Calls, *, clock: Callable[[], int], has_keys: bool) -> None:
        self._calls, self._clock, self._has_keys = calls, clock, has_keys

    # Market data

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Return those of the symbols that exist."""
        await self._calls.correct_clock()
        maker, taker = await self._fees()
        found = {}
        for symbol in symbols:
            try:
                answer = await self._calls.read("public_get_exchangeinfo", {"symbol": name(symbol)})
            except NotAcceptedError:
                continue
            for info in answer["symbols"]:
                found[symbol] = market(info, maker=maker, taker=taker)
        return found

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the best bid and ask of each symbol."""
        names = {name(symbol): symbol for symbol in symbols}
        listed = json.dumps(list(names), separators=(",", ":"))
        answer = await self._calls.read("public_get_ticker_bookticker", {"symbols": listed})
        now = self._clock()
        return {
            names[row["symbol"]]: Quote(
                bid=number(row["bidPrice"]),
                bid_size=number(row["bidQty"]),
                ask=number(row["askPrice"]),
                ask_size=number(row["askQty"]),
                time=now,
            )
            for row in answer
        }

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        """Return the newest `count` closed candles."""
        rows = await self._calls.read(
            "public_get_klines", {"symbol": name(symbol), "interval": interval, "limit": count + 1}
        )
        closed = rows[:-1]  # the last one is open
        if not closed:
            raise UnavailableError(f"{symbol} has no closed candle of {interval}")
        return Closes([number(row[4]) for row in closed[-count:]], int(closed[-1][0]))

    async def price_at(self, symbol: str, time: int) -> Decimal:
        """Return the close of the newest one-minute candle that had ended by `time`."""
        rows = await self._calls.read(
            "public_get_klines",
            {"symbol": name(symbol), "interval": "1m", "endTime": time - MINUTE, "limit": 1},
        )
        if not rows:
            raise UnavailableError(f"{symbol} has no candle before {time}")
        return number(rows[-1][4])

    # The account

    async def free(self, asset: str) -> Decimal:
        """Return what the account can spend of an asset."""
        account = await self._account()
        for row in account["balances"]:
            if row["asset"] == asset:
                return number(row["free"])
        return ZERO

    async def open_orders(self, symbol: str) -> Sequence[OrderState]:
        """Return all open orders, those of a list as one."""
        rows = await self._read("private_get_openorders", {"symbol": name(symbol)})
        return joined(symbol, rows)

    async def order_history(self, symbol: str) -> Sequence[OrderState]:
        """Return all orders, page by page."""
        found: list[OrderState] = []
        first = 0
        while True:
            rows = await self._read(
                "private_get_allorders", {"symbol": name(symbol), "orderId": first, "limit": PAGE}
            )
            found += [state(symbol, row) for row in rows]
            if len(rows) < PAGE:
                return found
            first = int(rows[-1]["orderId"]) + 1

    async def fills(self, symbol: str, after: int) -> Sequence[RawFill]:
        """Return all fills with a higher number, page by page."""
        found: list[RawFill] = []
        while True:
            rows = await self._read(
                "private_get_mytrades", {"symbol": name(symbol), "fromId": after + 1, "limit": PAGE}
            )
            found += [fill(symbol, row) for row in rows]
            if len(rows) < PAGE:
                return found
            after = found[-1].number

    async def order(self, symbol: str, order_id: str) -> OrderState | None:
        """Return an order by the exchange's id."""
        return await self._one(symbol, {"orderId": order_id})

    async def find(self, symbol: str, client_id: str) -> OrderState | None:
        """Return an order or a list by client id."""
        if not is_cover(client_id):
            return await self._one(symbol, {"origClientOrderId": client_id})
        try:
            listed = await self._calls.read(
                "private_get_orderlist", {"origClientOrderId": client_id}
            )
        except (NotAcceptedError, UnavailableError) as error:
            if _NO_LIST.search(str(error)):
                return None
            raise UnavailableError(str(error)) from error
        legs = [await self.order(symbol, str(leg["orderId"])) for leg in listed["orders"]]
        return pair([leg for leg in legs if leg is not None])

    async def submit(self, order: NewOrder) -> None:
        """Send an order."""
        request = {
            "symbol": name(order.symbol),
            "side": order.side.value,
            "quantity": plain(order.quantity),
            "newClientOrderId": order.client_id,
            "newOrderRespType": "ACK",
            **_ORDER_TYPES[order.style],
        }
        if order.price is not None:
            request["price"] = plain(order.price)
        await self._write("private_post_order", request)

    async def protect(self, cover: NewCover) -> None:
        """Send a protective order, as an OCO list."""
        await self._write(
            "private_post_orderlist_oco",
            {
                "symbol": name(cover.symbol),
                "side": Side.SELL.value,
                "quantity": plain(cover.quantity),
                "listClientOrderId": cover.client_id,
                "aboveType": "LIMIT_MAKER",
                "abovePrice": plain(cover.price),
                "aboveClientOrderId": f"{cover.client_id}a",
                "belowType": "STOP_LOSS",
                "belowStopPrice": plain(cover.stop_price),
                "belowClientOrderId": f"{cover.client_id}b",
                "newOrderRespType": "ACK",
            },
        )

    async def cancel(self, order: OrderState) -> OrderState:
        """Cancel an order, and with it its list."""
        answer = await self._write(
            "private_delete_order",
            {"symbol": name(order.symbol), "orderId": order.order_ids[0]},
        )
        return state(order.symbol, answer)

    async def _account(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._read(
            "private_get_account", {"omitZeroBalances": "true"}
        )
        return answer

    async def _fees(self) -> tuple[Decimal, Decimal]:
        rates = (await self._account()).get("commissionRates", {}) if self._has_keys else {}
        return number(rates.get("maker", DEFAULT_FEE)), number(rates.get("taker", DEFAULT_FEE))

    async def _one(self, symbol: str, which: Mapping[str, str]) -> OrderState | None:
        try:
            row = await self._calls.read("private_get_order", {"symbol": name(symbol), **which})
        except NotAcceptedError as error:
            if "OrderNotFound" in str(error):
                return None
            raise UnavailableError(str(error)) from error
        return state(symbol, row)

    async def _read(self, call: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return await self._calls.read(call, parameters)
        except NotAcceptedError as error:
            raise UnavailableError(str(error)) from error

    async def _write(self, call: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return await self._calls.write(call, parameters)
        except UnknownOutcomeError:
            raise
        except NotAcceptedError as error:
            if "InvalidNonce" in str(error):
                await self._calls.correct_clock()
            raise


def name(symbol: str) -> str:
    """Return `BTCUSDT` for `BTC-USDT`."""
    return symbol.replace("-", "")


def market(info: Mapping[str, Any], *, maker: Decimal, taker: Decimal) -> Market:
    """Read a symbol of exchangeInfo."""
    filters = {row["filterType"]: row for row in info["filters"]}
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return Market(
        symbol=f"{info['baseAsset']}-{info['quoteAsset']}",
        base=info["baseAsset"],
        quote=info["quoteAsset"],
        tick=number(filters["PRICE_FILTER"]["tickSize"]),
        lot=number(filters["LOT_SIZE"]["stepSize"]),
        min_quantity=number(filters["LOT_SIZE"]["minQty"]),
        min_notional=number(notional["minNotional"]),
        maker_fee=maker,
        taker_fee=taker,
    )


def state(symbol: str, row: Mapping[str, Any]) -> OrderState:
    """Read an order of openOrders, allOrders, order, or a report of a cancelled one."""
    listed = str(row.get("orderListId", -1))
    client_id = row.get("origClientOrderId") or row["clientOrderId"]
    return OrderState(
        symbol=symbol,
        order_ids=(str(row["orderId"]),),
        client_id=client_id,
        side=Side(row["side"]),
        open=row["status"] in _OPEN,
        price=optional(row["price"]),
        stop_price=optional(row.get("stopPrice")),
        quantity=number(row["origQty"]),
        filled=number(row["executedQty"]),
        created=int(row.get("time") or row.get("transactTime") or 0),
        list_id="" if listed == "-1" else listed,
        # A gateway takes its tag from what its own bot sees: with a tag, it is another bot's.
        of_gateway=client_id.startswith(PROTECTION_PREFIX) and "strategyId" not in row,
    )


def joined(symbol: str, rows: Sequence[Mapping[str, Any]]) -> list[OrderState]:
    """Return orders, those of a list as one."""
    lists: dict[str, list[OrderState]] = {}
    found = []
    for row in rows:
        order = state(symbol, row)
        if order.list_id:
            lists.setdefault(order.list_id, []).append(order)
        else:
            found.append(order)
    return [*found, *(one for legs in lists.values() if (one := pair(legs)) is not None)]


def pair(legs: Sequence[OrderState]) -> OrderState | None:
    """Return the orders of a list as one: the limit's price, the stop's stop price."""
    if len(legs) < 2:  # noqa: PLR2004 - the other one has ended
        return legs[0] if legs else None
    stop, limit = sorted(legs, key=lambda leg: leg.stop_price is None)
    return OrderState(
        symbol=limit.symbol,
        order_ids=(*limit.order_ids, *stop.order_ids),
        client_id=limit.client_id,
        side=limit.side,
        open=limit.open or stop.open,
        price=limit.price,
        stop_price=stop.stop_price,
        quantity=limit.quantity,
        filled=limit.filled + stop.filled,
        created=limit.created,
        list_id=limit.list_id,
    )


def fill(symbol: str, row: Mapping[str, Any]) -> RawFill:
    """Read a trade of myTrades."""
    return RawFill(
        time=int(row["time"]),
        number=int(row["id"]),
        symbol=symbol,
        order_id=str(row["orderId"]),
        side=Side.BUY if row["isBuyer"] else Side.SELL,
        price=number(row["price"]),
        quantity=number(row["qty"]),
        value=number(row["quoteQty"]),
        fee=number(row["commission"]),
        fee_asset=row["commissionAsset"],
    )

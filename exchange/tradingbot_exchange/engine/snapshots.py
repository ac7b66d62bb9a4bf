"""The whole state as JSON values, and back.

Figures with which the engine computes are whole numbers: units, lots, ticks. Figures for readers
are decimals as text. Orders of a level are listed in the order of the queue.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from decimal import Decimal
from typing import Any

from tradingbot_exchange.engine.accounts import Account, Purse
from tradingbot_exchange.engine.amounts import to_units, whole_steps
from tradingbot_exchange.engine.checks import PRICED
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.ladder import Ladder
from tradingbot_exchange.engine.lists import Pair
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.state import State
from tradingbot_exchange.engine.types import (
    ASSET_UNIT,
    Fill,
    Instrument,
    ListStatus,
    NewOrder,
    Order,
    OrderList,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)

VERSION = 1
_MEANINGS = ("base", "quote", "tick", "lot", "maker_fee", "taker_fee", "fee_in_quote")
"""Fields of an instrument without which the whole numbers of a snapshot mean something else."""
_LADDERS = ("bids", "asks", "rising", "falling")


def take(state: State) -> dict[str, object]:
    """Return the state as JSON values."""
    return _counters(state) | {
        "markets": [_market(market) for market in state.markets.values()],
        "accounts": [_account(account) for account in state.accounts.values()],
    }


def _counters(state: State) -> dict[str, object]:
    return {
        "version": VERSION,
        "unit": f"{state.unit:f}",
        "time": state.time,
        "orders": state.orders,
        "lists": state.lists,
        "fees": dict(state.fees),
        "outside": dict(state.outside),
    }


def take_live(state: State, *, without: AbstractSet[str]) -> dict[str, object]:
    """Return the state as JSON values, but for orders, lists and fills that have ended.

    And as if the accounts `without` had cancelled their orders. With what `ended` returned, it is
    a state that can be restored.
    """
    return _counters(state) | {
        "markets": [_market(market, without) for market in state.markets.values()],
        "accounts": [
            _account_without_orders(account) if name in without else _live_account(account)
            for name, account in state.accounts.items()
        ],
    }


def ended(
    account: Account, *, orders: Iterable[int], first_fill: int
) -> list[tuple[str, dict[str, object]]]:
    """Return those of some orders that have ended, their lists, and the fills from a number on.

    Each is the name of the member of the account in a snapshot, and an item of it.
    """
    gone = [account.orders[number] for number in orders if number not in account.open]
    lists = dict.fromkeys(order.list_id for order in gone if order.list_id is not None)
    found = [("orders", _order(order, None)) for order in gone]
    found += [
        ("lists", _list(account.lists[number])) for number in lists if number not in account.pairs
    ]
    return found + [("fills", _json_object(fill)) for fill in account.fills[first_fill:]]


def _market(market: Market, without: AbstractSet[str] = frozenset()) -> dict[str, object]:
    ladders: dict[str, object] = {
        name: [
            entry.order.id
            for level in getattr(market, name)
            for entry in level
            if entry.account.name not in without
        ]
        for name in _LADDERS
    }
    return ladders | {
        "symbol": market.symbol,
        "instrument": {name: str(getattr(market.instrument, name)) for name in _MEANINGS},
        "last": market.last,
        "halted": market.halted,
        "trades": market.trades,
        "sequence": market.sequence,
    }


def _account(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "keeps_history": account.keeps_history,
        "purses": {asset: [purse.free, purse.held] for asset, purse in account.purses.items()},
        "orders": [_order(order, account.open.get(order.id)) for order in account.orders.values()],
        "fills": [_json_object(fill) for fill in account.fills],
        "lists": [_list(listed) for listed in account.lists.values()],
    }


def _live_account(account: Account) -> dict[str, object]:
    return {
        **_account_without_orders(account),
        "purses": {asset: [purse.free, purse.held] for asset, purse in account.purses.items()},
        "orders": [_order(account.orders[number], account.open[number]) for number in account.open],
        "lists": [_list(account.lists[number]) for number in account.pairs],
    }


def _account_without_orders(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "keeps_history": account.keeps_history,
        "purses": {asset: [purse.free + purse.held, 0] for asset, purse in account.purses.items()},
        "orders": [],
        "fills": [],
        "lists": [],
    }


def _list(listed: OrderList) -> dict[str, object]:
    return {name: _json(value) for name, value in listed._asdict().items()}


def _json_object(fill: Fill) -> dict[str, object]:
    return {name: _json(value) for name, value in fill._asdict().items()}


def _order(order: Order, entry: Entry | None) -> dict[str, object]:
    values = _plain(order)
    values["request"] = _plain(order.request)
    if entry is not None:
        values["open"] = {
            "lots": entry.lots,
            "held": entry.held,
            "fee_exact": entry.fee_exact,
            "fee_charged": entry.fee_charged,
        }
    return values


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: _json(getattr(value, field.name)) for field in fields(value)}


def _json(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, str):
        return str(value)
    return value


def restore(instruments: Iterable[Instrument], saved: Mapping[str, Any], *, unit: Decimal) -> State:
    """Return the state that `take` described. Raises ValueError if it does not fit."""
    if saved.get("version") != VERSION:
        raise ValueError(f"the snapshot must have version {VERSION}, not {saved.get('version')}")
    state = State(instruments, unit=unit)
    try:
        _restore(state, saved)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"the snapshot is damaged: {error!r}") from error
    return state


def _restore(state: State, saved: Mapping[str, Any]) -> None:
    unit = Decimal(saved.get("unit", ASSET_UNIT))
    if unit != state.unit:
        raise ValueError(f"the snapshot counts in units of {unit:f}, not {state.unit:f}")
    state.time, state.orders, state.lists = saved["time"], saved["orders"], saved["lists"]
    state.fees, state.outside = dict(saved["fees"]), dict(saved["outside"])
    symbols = [market["symbol"] for market in saved["markets"]]
    if missing := set(symbols) - set(state.markets):
        raise ValueError(f"the snapshot has symbols that do not exist here: {sorted(missing)}")
    for values in saved["markets"]:
        _check_instrument(state.markets[values["symbol"]].instrument, values["instrument"])
    entries: dict[int, Entry] = {}
    for values in saved["accounts"]:
        _restore_account(state, values, entries)
    for values in saved["markets"]:
        market = state.markets[values["symbol"]]
        market.last, market.halted = values["last"], values["halted"]
        market.trades, market.sequence = values["trades"], values["sequence"]
        for name in _LADDERS:
            _restore_ladder(getattr(market, name), [entries[number] for number in values[name]])
    for entry in entries.values():
        state.schedule_end(entry)


def _check_instrument(instrument: Instrument, saved: Mapping[str, str]) -> None:
    for name in _MEANINGS:
        value = getattr(instrument, name)
        if isinstance(value, Decimal):
            same = Decimal(saved[name]) == value
        else:
            same = saved[name] == str(value)
        if not same:
            raise ValueError(
                f"{instrument.symbol}: the snapshot is of {name} {saved[name]}, not {value}"
            )


def _restore_ladder(ladder: Ladder, entries: list[Entry]) -> None:
    # From the worst to the best level, as a ladder grows fastest; within a level from the oldest.
    levels: dict[int, list[Entry]] = {}
    for entry in entries:
        price = entry.price if entry.stop is None else entry.stop
        levels.setdefault(price or 0, []).append(entry)
    for price in reversed(levels):
        for entry in levels[price]:
            ladder.append(entry, price)
    ladder.changes()


def _restore_account(state: State, saved: Mapping[str, Any], entries: dict[int, Entry]) -> None:
    account = Account(saved["name"], unit=state.unit, keeps_history=saved["keeps_history"])
    state.accounts[account.name] = account
    for asset, (free, held) in saved["purses"].items():
        account.purses[asset] = Purse(free, held)
    for values in saved["lists"]:
        listed = _order_list(values)
        account.lists[listed.id] = listed
    account.fills = [_fill(values) for values in saved["fills"]]
    for values in saved["orders"]:
        order = _restored_order(values)
        account.record(order)
        if "open" in values:
            entry = _entry(state.market(order.request.symbol), account, order, values["open"])
            entries[order.id] = entry
            account.opened(entry)
            if entry.stop is not None:
                account.count_stop(entry.market.symbol, 1)
    for listed in account.lists.values():
        if listed.status is ListStatus.EXECUTING:
            pair = Pair(listed.id, *(account.open[number] for number in listed.orders))
            pair.limit.pair = pair.stop.pair = account.pairs[listed.id] = pair


def _entry(market: Market, account: Account, order: Order, saved: Mapping[str, int]) -> Entry:
    request = order.request
    price = _ticks(market, request.price) if request.type in PRICED else None
    stop = None if order.triggered is not None else _ticks(market, request.stop_price)
    entry = Entry(
        order=order,
        account=account,
        market=market,
        buy=request.side is Side.BUY,
        lots=saved["lots"],
        price=price,
        stop=stop,
        hold_price=price or stop or 0,
    )
    entry.held = saved["held"]
    entry.fee_exact = saved["fee_exact"]
    entry.fee_charged = saved["fee_charged"]
    entry.lots_filled = whole_steps(order.filled, market.lot) or 0
    entry.quote_filled = to_units(order.filled_quote, market.unit) or 0
    return entry


def _ticks(market: Market, price: Decimal | None) -> int | None:
    return None if price is None else whole_steps(price, market.tick)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _restored_order(saved: Mapping[str, Any]) -> Order:
    request = saved["request"]
    reason = saved["ended_by"]
    return Order(
        id=saved["id"],
        account=saved["account"],
        request=NewOrder(
            symbol=request["symbol"],
            side=Side(request["side"]),
            type=OrderType(request["type"]),
            time_in_force=TimeInForce(request["time_in_force"]),
            quantity=_decimal(request["quantity"]),
            quote_quantity=_decimal(request["quote_quantity"]),
            price=_decimal(request["price"]),
            stop_price=_decimal(request["stop_price"]),
            post_only=request["post_only"],
            client_id=request["client_id"],
            expires_at=request["expires_at"],
            attributes=dict(request["attributes"]),
        ),
        status=OrderStatus(saved["status"]),
        quantity=Decimal(saved["quantity"]),
        created=saved["created"],
        updated=saved["updated"],
        filled=Decimal(saved["filled"]),
        filled_quote=Decimal(saved["filled_quote"]),
        fills=saved["fills"],
        fees={asset: Decimal(fee) for asset, fee in saved["fees"].items()},
        list_id=saved["list_id"],
        triggered=saved["triggered"],
        ended_by=None if reason is None else Reason(reason),
    )


def _fill(saved: Mapping[str, Any]) -> Fill:
    decimals = ("price", "quantity", "quote_quantity", "fee")
    values: dict[str, Any] = dict(saved) | {"side": Side(saved["side"])}
    return Fill(**values | {name: Decimal(saved[name]) for name in decimals})


def _order_list(saved: Mapping[str, Any]) -> OrderList:
    first, second = saved["orders"]
    return OrderList(
        **dict(saved) | {"orders": (first, second), "status": ListStatus(saved["status"])}
    )

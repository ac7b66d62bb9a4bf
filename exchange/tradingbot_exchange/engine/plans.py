"""What an order would do to the book as it is: how far it fills, and what it costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.checks import Terms
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.types import Reason, RefusedError


@dataclass(frozen=True, slots=True)
class Plan:
    """What a market order would fill. `cost` includes the fee if this is in the quote asset."""

    lots: int
    cost: int
    exhausted: bool
    """The book has less than the order wants."""


def plan_market(terms: Terms, account: Account, leaving: Sequence[Entry] = ()) -> Plan:
    """Plan a market order. Refuses a quote quantity that is worth too few or too many lots."""
    market = terms.market
    with_fee = terms.buy and market.fee_in_quote
    lots = spent = 0
    exhausted = True
    for price, available in _available(market, account, buy=terms.buy, leaving=leaving):
        if terms.budget is None:
            take = min(available, terms.lots - lots)
        else:
            most = most_lots(market, price, terms.budget, spent=spent, with_fee=with_fee)
            take = min(available, most)
        lots += take
        spent += take * price * market.notional_units
        if take < available or lots == terms.lots:
            exhausted = False
            break
    cost = spent + (market.fee_units(spent * market.taker_fee) if with_fee else 0)
    if terms.budget is not None:
        exhausted = exhausted and cost < terms.budget
        _check_planned(market, lots, exhausted=exhausted)
    return Plan(lots, cost, exhausted)


def most_lots(market: Market, price: int, money: int, *, spent: int, with_fee: bool) -> int:
    """Return how many lots at `price` can be paid from `money`, of which `spent` is gone.

    With `with_fee`, the fee of all that is spent comes out of `money`, too.
    """
    if with_fee:
        # The largest whole number that is at most `money` together with its fee, rounded up.
        money = money * market.fee_scale // (market.fee_scale + market.taker_fee)
    return max(0, money - spent) // (price * market.notional_units)


def fillable(entry: Entry) -> bool:
    """Whether the book has all that the order wants, at its limit or better."""
    market, wanted = entry.market, entry.lots
    side = market.asks if entry.buy else market.bids
    limit = None if entry.price is None else side.key(entry.price)
    for price, available in _available(market, entry.account, buy=entry.buy):
        if limit is not None and side.key(price) < limit:
            return False
        wanted -= available
        if wanted <= 0:
            return True
    return False


def _available(
    market: Market, account: Account, *, buy: bool, leaving: Sequence[Entry] = ()
) -> Iterator[tuple[int, int]]:
    """Iterate over prices and lots of other accounts, best first."""
    for level in market.asks if buy else market.bids:
        lots = sum(
            entry.lots for entry in level if entry.account is not account and entry not in leaving
        )
        if lots:
            yield level.price, lots


def _check_planned(market: Market, lots: int, *, exhausted: bool) -> None:
    if lots < market.min_lots and not exhausted:
        raise RefusedError(
            Reason.QUANTITY_RANGE,
            f"quote_quantity is worth less than {market.quantity(market.min_lots):f} {market.base}",
        )
    if lots > market.max_lots:
        raise RefusedError(
            Reason.QUANTITY_RANGE,
            f"quote_quantity is worth more than {market.quantity(market.max_lots):f} {market.base}",
        )

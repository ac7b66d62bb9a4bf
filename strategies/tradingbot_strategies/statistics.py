"""The figures of a backtest. Money is decimal; the Sharpe ratio, which is not money, is a float."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.backtest import DAY, Outcome, Point
from tradingbot_strategies.view import ZERO

DAYS_A_YEAR = 365
"""Crypto exchanges never close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Figures of one backtest, in the asset in which the account is counted."""

    candles: int
    first: int
    """When the first candle closed, in milliseconds since the epoch."""
    last: int
    buys: int
    sales: int
    refused: int
    profit: Decimal
    """What the account is worth at the end, less what it began with. Fees are deducted."""
    return_percent: Decimal
    max_drawdown: Decimal
    """The largest fall from a highest value so far to a later value."""
    max_drawdown_percent: Decimal
    """The same as a part of that highest value."""
    sharpe_ratio: float | None
    """Mean over deviation of the daily returns, times the root of 365. None if there is no
    deviation, or less than two days."""
    fees: Mapping[str, Decimal]
    """By asset."""


def statistics(outcome: Outcome, money: Decimal) -> Statistics:
    """Return the figures of a backtest that began with `money` and has at least one point."""
    points = outcome.points
    profit = points[-1].equity - money
    drawdown, of_peak = _drawdown(points, money)
    fees: dict[str, Decimal] = {}
    for fill in outcome.fills:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, ZERO) + fill.fee
    buys = sum(fill.side is Side.BUY for fill in outcome.fills)
    return Statistics(
        candles=len(points),
        first=points[0].time,
        last=points[-1].time,
        buys=buys,
        sales=len(outcome.fills) - buys,
        refused=outcome.refused,
        profit=profit,
        return_percent=100 * profit / money,
        max_drawdown=drawdown,
        max_drawdown_percent=100 * of_peak,
        sharpe_ratio=_sharpe_ratio(points, money),
        fees=fees,
    )


def _drawdown(points: Sequence[Point], money: Decimal) -> tuple[Decimal, Decimal]:
    peak = money
    worst, worst_part = ZERO, ZERO
    for point in points:
        if point.equity > peak:
            peak = point.equity
        elif peak - point.equity > worst:
            worst, worst_part = peak - point.equity, (peak - point.equity) / peak
    return worst, worst_part


def _sharpe_ratio(points: Sequence[Point], money: Decimal) -> float | None:
    closes = {(point.time - 1) // DAY: point.equity for point in points}
    values = [float(money), *map(float, closes.values())]
    returns = [after / before - 1 for before, after in itertools.pairwise(values)]
    if len(returns) < 2:  # noqa: PLR2004 - a deviation needs two
        return None
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((each - mean) ** 2 for each in returns) / (len(returns) - 1)
    return mean / math.sqrt(variance) * math.sqrt(DAYS_A_YEAR) if variance else None

"""`tradingbot-strategies backtest`: run a strategy over a file of candles and print the figures."""

import argparse
import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import Any

from tradingbot_exchange.engine.types import ASSET_UNIT
from tradingbot_exchange.errors import MarketFileError
from tradingbot_exchange.market.replay import Row, candles
from tradingbot_exchange.market.symbols import DialectName, default_symbols

from tradingbot_strategies.backtest import Outcome, Settings, run
from tradingbot_strategies.catalog import TYPES, Strategy, strategy
from tradingbot_strategies.chart import svg
from tradingbot_strategies.errors import UsageError
from tradingbot_strategies.intervals import milliseconds
from tradingbot_strategies.limits import Limits
from tradingbot_strategies.statistics import Statistics, statistics

MAX_MONEY = 10**12

EPILOG = """The file has the header time,symbol,open,high,low,close,volume, and rows sorted by time:
  2026-01-01T00:00:00Z,BTC-USDT,60000,60100,59900,60050,12.5
A past profit promises nothing: fills are assumed where a price was reached, and fees and spread are
those of the flags."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--strategy", required=True, choices=TYPES, help="Strategy to run")
    parser.add_argument(
        "--market", required=True, type=Path, metavar="FILE", help="Candles, as CSV (see below)"
    )
    parser.add_argument(
        "--parameter",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="Parameters of the strategy, as in spec.strategy.parameters",
    )
    parser.add_argument(
        "--exchange",
        choices=[name.value for name in DialectName],
        default=DialectName.BINANCE.value,
        help="Exchange whose symbols, steps and fees are used (default: binance)",
    )
    for flag, default, most, text in (
        ("--money", "10000", MAX_MONEY, "What the account begins with, in the quote asset"),
        ("--spread", "0.0002", 1, "Distance of bid and ask, as a fraction of the price"),
        ("--max-position-size", "1000", MAX_MONEY, "As in spec.riskManagement, like the next four"),
        ("--daily-loss-limit", "1000", MAX_MONEY, "Days begin at 00:00 UTC"),
        ("--stop-loss-percentage", "5", Decimal("99.9"), "Percent of the entry value"),
        ("--take-profit-percentage", "10", 1000, "Percent of the entry value"),
    ):
        parser.add_argument(
            flag, type=positive(most), default=default, help=f"{text} (default: {default})"
        )
    parser.add_argument("--max-open-positions", type=int, default=1, help="(default: 1)")
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="(default: text)"
    )
    parser.add_argument("--chart", type=Path, metavar="FILE", help="Write a chart as SVG")


def backtest(options: argparse.Namespace) -> str:
    """Run a backtest and return what to print. Raises StrategiesError or MarketFileError."""
    chosen = strategy(options.strategy, dict(_pair(text) for text in options.parameter))
    known = {s.instrument.symbol: s.instrument for s in default_symbols(options.exchange)}
    symbols = _symbols(chosen, list(known))
    rows = _only(candles(options.market, symbols=list(known)), symbols)
    first, interval = _interval(options.market, rows)
    if chosen.needs.candle_interval and milliseconds(chosen.needs.candle_interval) % interval:
        raise UsageError(
            f"the candles of {options.market} have {interval // 1000} s, and the strategy needs"
            f" candles of {chosen.needs.candle_interval}: use a file of shorter candles"
        )
    settings = Settings(
        strategy=chosen,
        limits=_limits(options),
        instruments=[known[symbol] for symbol in symbols],
        money=options.money,
        spread=options.spread,
        interval=interval,
    )
    with _without_collector():
        outcome = run(settings, _sorted(options.market, chain(first, rows)))
    if not outcome.points:
        raise UsageError(f"{options.market} has no time at which all of {symbols} have a price")
    figures = statistics(outcome, options.money)
    if options.chart is not None:
        title = f"{chosen.type} on {', '.join(symbols)}"
        chart = svg(outcome.points, title=title, money=chosen.needs.money, symbol=symbols[0])
        try:
            options.chart.write_text(chart, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {options.chart}: {error.strerror}") from error
    return _json(outcome, figures) if options.output == "json" else _text(chosen, figures)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let nothing search for cycles of objects: a backtest makes none, and keeps a million."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def positive(most: Decimal | int) -> Callable[[str], Decimal]:
    """Return a reader of flags that are greater than 0, `most` at most, with 8 decimal places."""

    def read(text: str) -> Decimal:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal(0)
        if not number.is_finite() or not ASSET_UNIT <= number <= most or number % ASSET_UNIT:
            raise argparse.ArgumentTypeError(
                f"must be a number greater than 0, at most {most}, with at most 8 decimal places,"
                f" not {text!r}"
            )
        return number

    return read


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text}: write NAME=VALUE")
    return name, value


def _symbols(chosen: Strategy, known: list[str]) -> list[str]:
    """Return the symbols that the strategy reads, of those that the exchange has."""
    for symbol in chosen.needs.symbols:
        if symbol not in known:
            raise UsageError(f"unknown symbol {symbol}; supported: {', '.join(known)}")
    middle = [symbol for symbol in chosen.needs.one_of if symbol in known][:1]
    if chosen.needs.one_of and not middle:
        raise UsageError(f"the exchange has none of {', '.join(chosen.needs.one_of)}")
    return [*chosen.needs.symbols, *middle]


def _only(rows: Iterator[tuple[str, Row]], symbols: list[str]) -> Iterator[tuple[str, Row]]:
    return (pair for pair in rows if pair[0] in symbols)


def _interval(path: Path, rows: Iterator[tuple[str, Row]]) -> tuple[list[tuple[str, Row]], int]:
    """Return the first rows, which are used up, and the distance of two candles of a symbol."""
    first: list[tuple[str, Row]] = []
    for symbol, row in rows:
        before = next((r for s, r in first if s == symbol), None)
        first.append((symbol, row))
        if before is not None:
            return first, row.time - before.time
    raise UsageError(f"{path} has fewer than two candles of the strategy's symbols")


def _sorted(path: Path, rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    latest = 0
    for pair in rows:
        if pair[1].time < latest:
            raise MarketFileError(f"{path}: the rows are not sorted by time; sort them")
        latest = pair[1].time
        yield pair


def _limits(options: argparse.Namespace) -> Limits:
    if options.max_open_positions < 1:
        raise UsageError("--max-open-positions must be at least 1")
    return Limits(
        max_position_size=options.max_position_size,
        max_open_positions=options.max_open_positions,
        daily_loss_limit=options.daily_loss_limit,
        stop_loss_percentage=options.stop_loss_percentage,
        take_profit_percentage=options.take_profit_percentage,
    )


def _json(outcome: Outcome, figures: Statistics) -> str:
    fills = [{**fill._asdict(), "time": _time(fill.time)} for fill in outcome.fills]
    whole = {**asdict(figures), "first": _time(figures.first), "last": _time(figures.last)}
    return json.dumps({**whole, "trades": fills}, indent=2, default=_plain)


def _text(chosen: Strategy, figures: Statistics) -> str:
    money = chosen.needs.money
    fees = ", ".join(f"{_plain(fee)} {asset}" for asset, fee in figures.fees.items()) or "none"
    sharpe = "unknown" if figures.sharpe_ratio is None else f"{figures.sharpe_ratio:.2f}"
    lines = (
        ("strategy", chosen.type),
        ("candles", f"{figures.candles}, {_time(figures.first)} to {_time(figures.last)}"),
        ("trades", f"{figures.buys} buys, {figures.sales} sales, {figures.refused} refused"),
        ("PnL", f"{figures.profit:.2f} {money} ({figures.return_percent:.2f} %)"),
        (
            "max drawdown",
            f"{figures.max_drawdown:.2f} {money} ({figures.max_drawdown_percent:.2f} %)",
        ),
        ("Sharpe ratio", sharpe),
        ("fees", fees),
    )
    return "\n".join(f"{name:<14}{value}" for name, value in lines)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    raise TypeError(f"{value!r} is not JSON")


def _time(milliseconds_: int) -> str:
    return datetime.fromtimestamp(milliseconds_ / 1000, UTC).isoformat().replace("+00:00", "Z")

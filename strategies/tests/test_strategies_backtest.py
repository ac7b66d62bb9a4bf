"""Backtests: known prices give known trades, and the same file gives the same bytes."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tradingbot_exchange.market.replay import Row
from tradingbot_exchange.market.symbols import default_symbols
from tradingbot_strategies.backtest import Outcome, Point, Settings
from tradingbot_strategies.backtest import run as backtest
from tradingbot_strategies.catalog import strategy
from tradingbot_strategies.chart import svg
from tradingbot_strategies.limits import Limits
from tradingbot_strategies.main import main
from tradingbot_strategies.statistics import statistics
from tradingbot_strategies.view import View, Wish

D = Decimal
HEADER = "time,symbol,open,high,low,close,volume\n"
MINUTE = 60_000
START = 1_767_225_600_000
"""Midnight in UTC."""


def write(path: Path, rows: Sequence[tuple[str, str, str, str]], symbol: str = "BTC-USDT") -> Path:
    """Write one candle of a minute for each (open, high, low, close)."""
    lines = (f"{START + n * MINUTE},{symbol},{','.join(row)},10\n" for n, row in enumerate(rows))
    path.write_text(HEADER + "".join(lines))
    return path


def walk(count: int) -> list[tuple[str, str, str, str]]:
    """Return candles of a random walk, the same ones each time."""
    source, price, rows = random.Random(5), D(60000), []
    for _ in range(count):
        close = price + source.randint(-150, 150)
        high, low = max(price, close) + source.randint(0, 40), min(price, close) - 25
        rows.append((str(price), str(high), str(low), str(close)))
        price = close
    return rows


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(["backtest", *arguments]) == code
    shown = capsys.readouterr()
    return shown.out, shown.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    return json.loads(run(capsys, *arguments, "-o", "json")[0])  # type: ignore[no-any-return]


GRID = ["symbol=BTC-USDT", "lowerPrice=59000", "upperPrice=61000", "levels=3", "orderSize=600"]


def test_an_order_is_filled_where_the_price_reached_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ("60500", "60500", "60500", "60500"),
        ("60500", "60500", "59900", "60400"),  # reaches the level at 60000
        ("60400", "61050", "60400", "61000"),  # reaches the level above it
    ]
    market = write(tmp_path / "m.csv", rows)
    found = run_json(
        capsys,
        "--strategy",
        "Grid",
        "--market",
        str(market),
        "--parameter",
        *GRID,
        "spacing=Arithmetic",
    )

    assert [(t["side"], t["price"]) for t in found["trades"]] == [
        ("BUY", "60000"),
        ("SELL", "61000"),
    ]
    assert found["fees"]["BTC"] == "0.00001"
    assert D(found["profit"]) < 10  # 1000 of 60000, less two fees


def test_a_stop_loss_is_met_on_the_way_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ("60500", "60500", "60500", "60500"),
        ("60500", "60500", "59900", "60400"),
        ("60400", "60400", "50000", "50100"),
    ]
    market = write(tmp_path / "m.csv", rows)
    found = run_json(
        capsys, "--strategy", "Grid", "--market", str(market), "--parameter", *GRID,
        "--stop-loss-percentage", "3", "--max-position-size", "600",
    )  # fmt: skip

    sale = next(trade for trade in found["trades"] if trade["side"] == "SELL")
    assert D("57900") < D(sale["price"]) <= D("58200")


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        (
            "TrendFollowing",
            ["symbol=BTC-USDT", "candleInterval=5m", "fastPeriod=2", "slowPeriod=5"],
        ),
        ("MarketMaking", ["symbol=BTC-USDT"]),
        ("Grid", GRID),
        ("DCA", ["symbol=BTC-USDT", "interval=1h"]),
    ],
)
def test_the_same_file_gives_the_same_bytes(
    strategy: str, parameters: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market, chart = write(tmp_path / "m.csv", walk(600)), tmp_path / "c.svg"
    arguments = ["--strategy", strategy, "--market", str(market), "--parameter", *parameters]
    first = run(capsys, *arguments, "-o", "json", "--chart", str(chart))[0]
    drawn = chart.read_bytes()
    second = run(capsys, *arguments, "-o", "json", "--chart", str(chart))[0]

    assert first == second
    assert chart.read_bytes() == drawn
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert json.loads(first)["trades"] != []
    assert "PnL" in run(capsys, *arguments)[0]


@pytest.mark.parametrize("levels", ["3", "12", "30"])
def test_a_strategy_that_is_not_asked_again_would_have_said_the_same(levels: str) -> None:
    chosen = strategy("Grid", dict(pair.split("=") for pair in GRID) | {"levels": levels})
    asked: list[View] = []

    def decide(view: View) -> Sequence[Wish]:
        asked.append(view)
        return chosen.decide(view)

    source, price, rows = random.Random(8), D(60000), []
    for n in range(1000):  # around 60000, where the grid is
        close = price + source.randint(-200, 200) + (60000 - price) // 20
        row = Row(START + n * MINUTE, price, max(price, close), min(price, close), close, D(10))
        rows.append(("BTC-USDT", row))
        price = close
    instruments = [s.instrument for s in default_symbols("binance")][:1]
    limits = Limits(
        max_position_size=D(900), max_open_positions=1, daily_loss_limit=D(40),
        stop_loss_percentage=D("0.6"), take_profit_percentage=D("0.9"),
    )  # fmt: skip
    often = Settings(
        strategy=replace(chosen, decide=decide, unchanged=lambda _view, _before: False),
        limits=limits, instruments=instruments, money=D(1000), spread=D("0.0002"), interval=MINUTE,
    )  # fmt: skip
    outcome, times = backtest(often, rows), len(asked)
    seldom = replace(often, strategy=replace(chosen, decide=decide))

    assert backtest(seldom, rows) == outcome
    assert len(outcome.fills) > 20
    assert len(asked) - times < times


def test_profit_is_what_the_trades_and_the_last_price_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = walk(400)
    market = write(tmp_path / "m.csv", rows)
    found = run_json(
        capsys, "--strategy", "MarketMaking", "--market", str(market), "--parameter",
        "symbol=BTC-USDT", "--spread", "0.0002",
    )  # fmt: skip
    money, coins = D(0), D(0)
    for trade in found["trades"]:
        sign = 1 if trade["side"] == "BUY" else -1
        money -= sign * D(trade["value"])
        coins += sign * D(trade["quantity"])
        if trade["fee_asset"] == "BTC":
            coins -= D(trade["fee"])
        else:
            money -= D(trade["fee"])
    bid = (D(rows[-1][3]) * D("0.9999")).quantize(D("0.01"), "ROUND_FLOOR")

    assert found["trades"]
    assert D(found["profit"]) == money + coins * bid


def test_arbitrage_reads_three_symbols(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = tmp_path / "m.csv"
    prices = {
        "BTC-USDT": ["60000"] * 3,
        "ETH-USDT": ["3000"] * 3,
        "ETH-BTC": ["0.05", "0.049", "0.05"],
    }
    lines = (
        f"{START + n * MINUTE},{symbol},{p},{p},{p},{p},100\n"
        for n in range(3)
        for symbol, p in ((symbol, column[n]) for symbol, column in prices.items())
    )
    market.write_text(HEADER + "".join(lines))
    found = run_json(
        capsys, "--strategy", "Arbitrage", "--market", str(market), "--parameter", "orderSize=600"
    )

    assert [trade["symbol"] for trade in found["trades"]] == ["BTC-USDT", "ETH-BTC", "ETH-USDT"]
    assert D(found["profit"]) > 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--strategy", "DCA", "--market", "no.csv", "--parameter", "symbol=X"], 1, "BTC-USDT"),
        (["--strategy", "DCA", "--market", "m.csv", "--parameter", "symbol"], 2, "NAME=VALUE"),
        (["--strategy", "DCA", "--market", "m.csv", "--parameter", "symbol=X-Y"], 2, "supported"),
        (["--strategy", "DCA", "--market", "m.csv"], 1, "[symbol]: Required"),
        (
            ["--strategy", "DCA", "--market", "m.csv", "--parameter", "symbol=ETH-USDT"],
            2,
            "fewer than two",
        ),
        (
            [
                "--strategy", "DCA", "--market", "m.csv", "--parameter", "symbol=BTC-USDT",
                "--max-open-positions", "0",
            ],
            2,
            "at least 1",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(
    arguments: list[str],
    code: int,
    message: str,
    market: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert market.exists()

    _, error = run(capsys, *arguments, code=code)

    assert error.startswith("tradingbot-strategies: error: ")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--money", "1e999999"),
        ("--money", "0.000000001"),
        ("--spread", "1e999999"),
        ("--spread", "1e-999999"),
        ("--spread", "1.5"),
        ("--stop-loss-percentage", "100"),
        ("--take-profit-percentage", "1e999999"),
        ("--daily-loss-limit", "sNaN"),
    ],
)
def test_a_number_that_can_not_be_computed_with_is_refused(
    flag: str, value: str, market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(capsys, "--strategy", "DCA", "--market", str(market), flag, value)

    assert "must be a number greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["no/such/c.svg", "/dev/full", "."])
def test_a_chart_that_can_not_be_written_is_one_clear_line(
    place: str, market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, error = run(
        capsys, "--strategy", "DCA", "--market", str(market), "--parameter", "symbol=BTC-USDT",
        "--chart", place, code=2,
    )  # fmt: skip

    assert f"cannot write {place}: " in error


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRADINGBOT_RISK_PORT", "http"),
        ("TRADINGBOT_RISK_PORT", "65536"),
        ("TRADINGBOT_PAPER_MONEY", "much"),
    ],
)
def test_a_variable_of_run_is_read_like_its_flag_and_by_run_alone(
    variable: str,
    value: str,
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    run(capsys, "--strategy", "DCA", "--market", str(market), "--parameter", "symbol=BTC-USDT")

    with pytest.raises(SystemExit):
        main(["run"])

    assert "must be a number" in capsys.readouterr().err


def test_rows_that_are_not_sorted_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = write(tmp_path / "m.csv", walk(4))
    lines = market.read_text().splitlines(keepends=True)
    market.write_text("".join([lines[0], lines[1], lines[2], lines[4], lines[3]]))

    _, error = run(
        capsys, "--strategy", "DCA", "--market", str(market), "--parameter", "symbol=BTC-USDT",
        code=1,
    )  # fmt: skip

    assert "sorted by time" in error


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write m.csv into the current directory."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "m.csv", walk(3))


def points(*equities: str) -> list[Point]:
    """Return one point a day."""
    day = 24 * 60 * MINUTE
    return [Point(START + (n + 1) * day, D(e), D(1)) for n, e in enumerate(equities)]


def test_drawdown_and_sharpe_ratio_by_hand() -> None:
    figures = statistics(Outcome([], points("110", "88", "99"), 0), D(100))

    assert figures.profit == D(-1)
    assert figures.max_drawdown == D(22)
    assert figures.max_drawdown_percent == D(20)
    returns = [0.1, -0.2, 0.125]
    mean = sum(returns) / 3
    deviation = (sum((r - mean) ** 2 for r in returns) / 2) ** 0.5
    assert figures.sharpe_ratio == pytest.approx(mean / deviation * 365**0.5)
    assert datetime.fromtimestamp(figures.last / 1000, UTC).day == 4


def test_without_deviation_there_is_no_sharpe_ratio() -> None:
    assert statistics(Outcome([], points("100", "100"), 0), D(100)).sharpe_ratio is None
    assert statistics(Outcome([], points("101"), 0), D(100)).sharpe_ratio is None


def test_a_long_chart_keeps_its_extremes_and_stays_small() -> None:
    many = [Point(n, D(100), D(1)) for n in range(50_000)]
    many[31_234] = Point(31_234, D(7), D(1))
    drawn = svg(many, title="a <title>", money="USDT", symbol="BTC-USDT")

    assert len(drawn) < 60_000
    assert ">7.00<" in drawn
    assert "a &lt;title&gt;" in drawn

"""The results of backtests stay what they were, to the last digit, whatever makes them faster.

A change of a strategy, of the engine or of the fees changes these digests, and then they are
recorded again; a change of the loop around them may not.
"""

import hashlib
import random
from decimal import Decimal
from pathlib import Path

import pytest
from tradingbot_strategies.main import main

D = Decimal
MINUTE = 60_000
START = 1_767_225_600_000
CANDLES = 1500
SYMBOL = "symbol=BTC-USDT"

CASES = {
    "MarketMaking": (
        [SYMBOL, "levels=3", "orderSize=150", "requoteTolerance=0.0001"],
        ["--stop-loss-percentage", "1", "--take-profit-percentage", "1.5"],
    ),
    "Grid": (
        [SYMBOL, "lowerPrice=58000", "upperPrice=62000", "levels=40", "orderSize=60"],
        ["--stop-loss-percentage", "2", "--daily-loss-limit", "15"],
    ),
    "TrendFollowing": ([SYMBOL, "candleInterval=1m", "fastPeriod=3", "slowPeriod=9"], []),
    "DCA": ([SYMBOL, "interval=1h", "amountPerBuy=40"], ["--take-profit-percentage", "0.5"]),
    "Arbitrage": (["orderSize=600", "minProfitThreshold=0.001"], []),
}


def candle(source: random.Random, opening: Decimal, tick: str) -> tuple[list[Decimal], Decimal]:
    """Return open, high, low and close of a candle that moves by up to 0.15 %."""
    close = (opening * (1 + D(source.randint(-150, 150)) / 100_000)).quantize(D(tick))
    reach = (opening * D(source.randint(0, 60)) / 100_000).quantize(D(tick))
    return [opening, max(opening, close) + reach, min(opening, close) - reach, close], close


def triangle(path: Path, seed: int) -> Path:
    """Write candles of three symbols whose prices drift apart now and then."""
    source, bitcoin, ether = random.Random(seed), D(60000), D(3000)
    lines = ["time,symbol,open,high,low,close,volume"]
    for number in range(CANDLES):
        of_bitcoin, bitcoin = candle(source, bitcoin, "0.01")
        of_ether, ether = candle(source, ether, "0.01")
        cross = (ether / bitcoin * (1 + D(source.randint(-90, 90)) / 10_000)).quantize(D("1e-5"))
        rows = {"BTC-USDT": of_bitcoin, "ETH-USDT": of_ether, "ETH-BTC": [cross] * 4}
        lines += [
            f"{START + number * MINUTE},{symbol},{','.join(map(str, row))},25"
            for symbol, row in rows.items()
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("strategy", "digests"),
    [
        ("MarketMaking", ("332d755ff6b28766", "6a828f34403adb11")),
        ("Grid", ("e9d429edf6070885", "0d8ea9eb9e63c5ac")),
        ("TrendFollowing", ("d1ef355c125adcd5", "3c325b71df618cde")),
        ("DCA", ("e67d471936dfe842", "c4dca21231b26853")),
        ("Arbitrage", ("900f41e76cd18696", "f6166e76b588fa25")),
    ],
)
def test_results_are_what_they_were(
    strategy: str,
    digests: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parameters, flags = CASES[strategy]
    found = []
    for seed in (1, 2):
        market = triangle(tmp_path / f"{seed}.csv", seed)
        arguments = ["--strategy", strategy, "--market", str(market), "--parameter", *parameters]
        assert main(["backtest", *arguments, *flags, "-o", "json"]) == 0
        shown = capsys.readouterr().out
        assert '"side"' in shown, "a backtest without trades shows nothing"
        found.append(hashlib.sha256(shown.encode()).hexdigest()[:16])

    assert tuple(found) == digests

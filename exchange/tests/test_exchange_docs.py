"""docs/exchange.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tradingbot_exchange.faults.model import MarketFault, RequestFault, StreamFault
from tradingbot_exchange.faults.scenario import read_scenario
from tradingbot_exchange.keys import read_keys
from tradingbot_exchange.market.replay import read_candles
from tradingbot_exchange.market.symbols import DialectName, default_symbols
from tradingbot_exchange.settings import ExchangeSettings

PAGE = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text("utf-8")
SYMBOLS = tuple(s.instrument.symbol for s in default_symbols(DialectName.BINANCE))


def block(begin: str) -> str:
    return next(b for b in re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL) if b.startswith(begin))


def test_the_example_of_a_market_file_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(block("time,"), "utf-8")
    file = read_candles(tmp_path / "m.csv", symbols=SYMBOLS)
    assert (file.interval, len(file.rows["BTC-USDT"])) == (60_000, 2)


def test_the_example_of_a_keys_file_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.touch(mode=0o600)
    path.write_text(block("keys:"), "utf-8")
    assert [sorted(key.permissions) for key in read_keys(path)] == [["read", "trade"], ["read"]]


def test_the_example_of_a_scenario_can_be_played(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(block("steps:"), "utf-8")
    assert len(read_scenario(tmp_path / "s.yaml", symbols=SYMBOLS)) == 3


def test_every_option_is_listed() -> None:
    listed = set(re.findall(r"`(--[a-z-]+)`", PAGE.partition("## Options")[2].partition("##")[0]))
    flags = {"--" + name.replace("_", "-") for name in ExchangeSettings.model_fields}
    assert flags <= listed


def test_every_field_of_every_fault_is_listed_with_its_default() -> None:
    rows = {
        name: row[1]
        for row in re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)?) \| (.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", row[0])
    }
    for group in (MarketFault, RequestFault, StreamFault):
        for kind in get_args(group):
            (name,) = get_args(kind.model_fields["type"].annotation)
            fields = {f.alias or f_name for f_name, f in kind.model_fields.items()} - {"type"}
            assert set(re.findall(r"`([a-zA-Z]+)`", rows[name])) >= fields, name


def test_the_table_of_symbols_has_their_steps() -> None:
    for dialect in DialectName:
        for symbol in default_symbols(dialect):
            i = symbol.instrument
            steps = f"| {i.symbol} | {i.tick:f}, {i.lot:f}, {i.min_notional:f} |"
            assert steps in PAGE, steps

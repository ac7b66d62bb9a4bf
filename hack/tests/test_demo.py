"""The demo's texts and picture are made from what the API server and the exchanges say."""

import io
import json
import os
import pty
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from tradingbot_cli.orders.entries import parse
from tradingbot_dev.control_plane.ports import DEFAULT_BASE, Ports
from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.product import demo, demo_view, exchanges, live, tour
from tradingbot_dev.product.demo_view import (
    Halt,
    Refusal,
    View,
    account_lines,
    bot_line,
    decision_rows,
    exchange_lines,
    gateway_lines,
    halt_lines,
    order_lines,
)
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.locked_environment import LockedEnvironment

STORED: dict[str, Any] = {
    "metadata": {"name": "maker"},
    "spec": {
        "strategy": {"type": "MarketMaking"},
        "exchange": {"name": "Binance"},
        "riskManagement": {"enforcement": "Gateway", "dailyLossLimit": "100"},
    },
    "status": {"phase": "Halted", "risk": {"dayPnL": "-179.87024997", "exposure": "718.2"}},
}
LEG = {"id": 1, "symbol": "BTC-USDT", "side": "SELL", "quantity": "0.5", "listId": 7}
LIMIT = {**LEG, "price": "70000", "stopPrice": None}
STOP = {**LEG, "id": 2, "price": None, "stopPrice": "45000"}
STATEMENT = {
    "symbols": {
        "BTC-USDT": {"position": "0.5", "averagePrice": "60000.129", "mark": "48000"},
        "ETH-USDT": {"position": "0", "averagePrice": "0", "mark": "2400"},
    },
    "realizedPnL": {"USDT": "-30.004105"},
    "unrealizedPnL": {"USDT": "-6000.02397"},
}
HALT = Halt(
    bot="maker",
    reason="DailyLossLimit: dayPnL -179.87 reached the limit of 100",
    since="2026-11-30T17:29:14Z",
    resumes_at="2026-12-01T00:00:00Z",
    event="Warning  Halted  DailyLossLimit",
    account=tuple(exchange_lines(STATEMENT, [LIMIT, STOP])),
)
REASON = "MaxPositionSize: the position in BTC could be worth 1200 USDT"
DECIDED = parse(
    json.dumps(
        {
            "time": "2026-11-30T17:29:13Z",
            "bot": "default/maker",
            "verdict": "refused",
            "symbol": "BTC-USDT",
            "side": "BUY",
            "type": "MARKET",
            "quoteSize": "400",
            "control": "MaxPositionSize",
            "reason": REASON,
        }
    ).encode()
)
assert DECIDED is not None
REFUSAL = Refusal(
    bot="maker", reason=REASON, logged=(f"ERROR {REASON}",), row=decision_rows([DECIDED])[1]
)
VIEW = View(
    bots=(bot_line(STORED),),
    prices=("binance: BTC-USDT 48000",),
    fallen=True,
    refusals=(REFUSAL,),
    halts=(HALT,),
)


def test_the_two_orders_of_a_list_are_one_line() -> None:
    single = {**LIMIT, "id": 3, "listId": None}
    assert list(order_lines([LIMIT, STOP, single])) == [
        "SELL 0.5 BTC-USDT at 70000 or if the price reaches 45000",
        "SELL 0.5 BTC-USDT at 70000",
    ]


def test_a_statement_shows_positions_and_the_profit_of_each_currency() -> None:
    assert list(account_lines(STATEMENT)) == [
        "BTC-USDT: 0.5 bought at 60000.13, worth 48000 now",
        "profit in USDT: -30.00 realized, -6000.02 unrealized, -6030.03 in all",
    ]


def test_a_bot_that_has_not_reported_has_empty_figures() -> None:
    fresh = bot_line({**STORED, "status": {}})
    assert fresh.cells == ("maker", "MarketMaking", "Binance", "Gateway", "", "", "-100", "")


def test_a_halt_says_why_until_when_and_what_is_left() -> None:
    said = "\n".join(halt_lines(HALT))
    for part in (HALT.reason, HALT.event, HALT.resumes_at, "left at the exchange", *HALT.account):
        assert part in said
    assert "no order is left" in list(exchange_lines(STATEMENT, []))


def test_a_halt_of_a_bot_with_a_gateway_has_the_rows_of_tradingbot_orders() -> None:
    assert DECIDED is not None
    said = "\n".join(gateway_lines("maker", [DECIDED]))
    assert "tradingbot orders maker" in said
    assert "2026-11-30T17:29:13Z  default/maker         refused     BUY   BTC-USDT" in said
    assert said.count("\n") == 3, "with the heading"
    assert list(gateway_lines("maker", [])) == [said.rpartition("\n")[2]]


def test_text_and_live_view_show_the_same() -> None:
    console = Console(file=io.StringIO(), width=110)
    console.print(live.drawn(VIEW))
    assert isinstance(console.file, io.StringIO)
    for shown in (tour.demo_text(VIEW), console.file.getvalue()):
        for part in ("maker", "-179.87", "Halted", "Gateway", "48000", "make calm"):
            assert part in shown
        for part in (*HALT.account, REASON):
            assert part in shown
    assert "make crash" in tour.demo_text(replace(VIEW, fallen=False))


def test_q_leaves_the_live_view_at_once_and_other_keys_do_not() -> None:
    keys, terminal = pty.openpty()
    try:
        began = time.monotonic()
        os.write(keys, b"x\n")
        assert not live.pressed_q(terminal, seconds=0.05)
        os.write(keys, b"q\n")
        assert live.pressed_q(terminal, seconds=60)
        assert time.monotonic() - began < 30
    finally:
        os.close(keys)
        os.close(terminal)


def test_the_demo_in_the_repository_has_the_addresses_and_accounts_of_make_up(
    tmp_path: Path,
) -> None:
    ports = Ports.from_base(DEFAULT_BASE)
    urls = {
        "Binance": f"http://127.0.0.1:{ports.binance}",
        "Coinbase": f"http://127.0.0.1:{ports.coinbase}",
    }
    accounts = {
        "Binance": ["arbitrage", "careless", "market-maker"],
        "Coinbase": ["trend-follower"],
    }
    listed = yaml.safe_load((demo.DIRECTORY / "kustomization.yaml").read_text())["resources"]
    found: dict[str, list[str]] = {}
    for name in listed:
        bot = yaml.safe_load((demo.DIRECTORY / name).read_text())
        exchange = bot["spec"]["exchange"]
        assert exchange["baseURL"] == urls[exchange["name"]]
        assert bot["spec"]["mode"] == "Paper"
        assert demo_view.has_gateway(bot) == (exchange["name"] == "Binance")
        found.setdefault(exchange["name"], []).append(bot["metadata"]["name"])
    assert found == accounts


def test_a_key_shows_its_secret_in_no_text() -> None:
    key = exchanges.Key("name", "s3cret")
    assert "s3cret" not in f"{key} {key!r}"


def test_an_environment_of_a_lock_file_is_created_once_and_whole(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("not a requirement\n")
    locked = LockedEnvironment("mine", lock, "the packages")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    progress = Progress(io.StringIO())
    with pytest.raises(CommandFailedError, match="could not install the packages"):
        locked.install(progress=progress, environment=cache)
    broken = locked.directory(cache)
    assert [path.name for path in broken.parent.iterdir()] == ["lock"]

    lock.write_text("")
    assert locked.directory(cache) != broken
    assert locked.install(progress=progress, environment=cache)
    assert locked.python(cache).exists()
    assert not locked.install(progress=progress, environment=cache)

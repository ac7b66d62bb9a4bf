"""The drop copy of a real gateway, as `tradingbot orders` shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from exchange_process import eventually
from gateway_process import Gateway, Gateways


def orders(*arguments: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-m", "tradingbot_cli", "orders", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def fills(gateway: Gateway) -> list[dict[str, object]]:
    return [line for line in gateway.drop_copy() if line["verdict"] == "filled"]


def test_orders_refusals_fills_and_own_actions_are_shown(start: Gateways, tmp_path: Path) -> None:
    gateway = start("--state", str(tmp_path / "ledger")).ready()
    assert gateway.order(quantity="0.01", newClientOrderId="mine").status == 200
    assert gateway.order(quantity="0.5").status == 400
    assert gateway.request("POST", "/sapi/v1/capital/withdraw/apply").status == 400
    eventually(lambda: len(gateway.open_orders()) == 2)
    eventually(lambda: len(fills(gateway)) >= 1)
    file = str(gateway.output)

    head, *rows = orders("-f", file)

    assert head.split() == "TIME BOT EVENT SIDE SYMBOL SIZE PRICE DETAIL".split()  # noqa: SIM905
    assert {row.split()[1] for row in rows} == {"trading/tested"}
    shown = [" ".join(row.split()[2:]) for row in rows]
    assert "order BUY BTC-USDT 0.01 MARKET mine: entry" in shown
    assert any(row.startswith("refused BUY BTC-USDT 0.5") for row in shown)
    assert any("MaxPositionSize: the position in BTC" in row for row in shown)
    assert any("POST /sapi/v1/capital/withdraw/apply: NotAllowed" in row for row in shown)
    (fill,) = (row for row in shown if row.startswith("fill"))
    assert fill.startswith("fill BUY BTC-USDT 0.01")
    assert fill.endswith("mine: fee 0.00001000 BTC")
    assert sum(row.startswith("protection SELL BTC-USDT") for row in shown) == 2
    only = orders("trading/tested".partition("/")[2], "-f", file, "--only", "fills", "-o", "json")
    assert [json.loads(line) for line in only] == fills(gateway)
    assert orders("another", "-f", file, "-o", "json") == []


def test_a_fill_is_written_once_whatever_the_exchange_repeats(
    start: Gateways, tmp_path: Path
) -> None:
    gateway = start("--state", str(tmp_path / "ledger")).ready()
    gateway.buy()
    eventually(lambda: len(fills(gateway)) >= 1)
    first = fills(gateway)
    gateway.exchange.fault(type="cut-streams", **{"for": "1s"})
    eventually(lambda: gateway.report("/readyz").status == 503)
    gateway.ready()
    gateway.kill()
    gateway.begin()
    gateway.ready()
    trades = [(line["symbol"], line["tradeId"]) for line in first]
    assert len(set(trades)) == len(trades)
    assert fills(gateway) == []  # the next process knows them from its ledger

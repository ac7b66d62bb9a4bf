"""nautilus_trader trades through the gateway with its own adapter and the placeholder."""

import importlib.util
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from served import Served, serve_behind_gateway

from conftest import KEY, SECRET

TRADER = Path(__file__).parents[2] / "exchange" / "clients" / "nautilus" / "trader.py"
SECONDS = 60

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nautilus_trader") is None,
    reason="nautilus_trader has no wheels for a Python before 3.12, "
    f"and this is {sys.version_info[0]}.{sys.version_info[1]}",
)


def play(word: str, market: Served, here: Path) -> dict[str, list[dict[str, Any]]]:
    """Run the node of nautilus' own suite, and return what it saw, by event."""
    events = here / f"{word}.json"
    events.touch()
    limited = ["timeout", "--signal=INT", str(SECONDS)]
    done = subprocess.run(
        [*limited, sys.executable, str(TRADER), word, str(events)],
        env={
            **os.environ,
            "EXCHANGE_KEY": KEY,
            "EXCHANGE_SECRET": SECRET,
            "EXCHANGE_URL": market.url,
            "EXCHANGE_WS_URL": market.ws_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    seen: dict[str, list[dict[str, Any]]] = {}
    for each in map(json.loads, events.read_text().splitlines()):
        seen.setdefault(each["event"], []).append(each)
    if "end" not in seen:
        pytest.fail(f"the node did not end: {done.stdout[-6000:]}{done.stderr[-2000:]}")
    return seen


def served(here: Path, **risk: str) -> Any:
    placeholder = {"name": KEY, "secret": SECRET}
    return serve_behind_gateway(
        here, placeholder=placeholder, balances="USDT=10000", risk=dict(risk)
    )


def test_orders_are_placed_filled_canceled_and_known_after_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as market:
        seen = play("trade", market, tmp_path)
        resting, canceled = seen["accepted"][0]["order"], seen["canceled"][0]["order"]
        assert resting != canceled
        assert [Decimal(fill["quantity"]) for fill in market.fills("BUY")] == [
            Decimal(fill["quantity"]) for fill in seen["filled"]
        ]
        assert market.statement()["openOrders"] == 3, "the resting order and the protection"

        again = play("resume", market, tmp_path)
        assert [each["order"] for each in again["known"]] == [resting]
        assert market.statement()["openOrders"] == 2, "the protection is left"


def test_a_refusal_is_a_rejected_order_that_names_the_limit(tmp_path: Path) -> None:
    with served(tmp_path, maxPositionSize="10") as market:
        seen = play("reject", market, tmp_path)
        assert "maxPositionSize is 10" in seen["rejected"][0]["reason"]
        assert market.statement()["fills"] == []

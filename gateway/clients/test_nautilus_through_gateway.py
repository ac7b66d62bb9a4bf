"""nautilus_trader trades through the gateway with its own adapter and the placeholder."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_node import needs_nautilus, play
from served import serve_behind_gateway

from conftest import KEY, SECRET

pytestmark = needs_nautilus
PLACEHOLDER = {"key": KEY, "secret": SECRET}


def served(here: Path, **risk: str) -> Any:
    placeholder = {"name": KEY, "secret": SECRET}
    return serve_behind_gateway(
        here, placeholder=placeholder, balances="USDT=10000", risk=dict(risk)
    )


def test_orders_are_placed_filled_canceled_and_known_after_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as market:
        seen = play("trade", market, tmp_path, **PLACEHOLDER)
        resting, canceled = seen["accepted"][0]["order"], seen["canceled"][0]["order"]
        assert resting != canceled
        assert [Decimal(fill["quantity"]) for fill in market.fills("BUY")] == [
            Decimal(fill["quantity"]) for fill in seen["filled"]
        ]
        assert market.statement()["openOrders"] == 3, "the resting order and the protection"

        again = play("resume", market, tmp_path, **PLACEHOLDER)
        assert [each["order"] for each in again["known"]] == [resting]
        assert market.statement()["openOrders"] == 2, "the protection is left"


def test_a_refusal_is_a_rejected_order_that_names_the_limit(tmp_path: Path) -> None:
    with served(tmp_path, maxPositionSize="10") as market:
        seen = play("reject", market, tmp_path, **PLACEHOLDER)
        assert "maxPositionSize is 10" in seen["rejected"][0]["reason"]
        assert market.statement()["fills"] == []

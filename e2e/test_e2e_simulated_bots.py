"""The simulated bots say what they are told, as the operator's own client hears it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from simulated_bots import SimulatedBots
from tradingbot_api.contract import RiskReport
from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.client import RiskPeer

NOW = datetime(2026, 11, 24, 18, tzinfo=UTC)


@pytest.fixture
def bots() -> Iterator[SimulatedBots]:
    with SimulatedBots(config_hash=lambda *key: "-".join(key), clock=lambda: NOW) as running:
        yield running


def heard(bots: SimulatedBots, name: str = "arb", *, timeout: float = 5) -> RiskReport:
    async def ask() -> RiskReport:
        url = bots.risk_url.replace("{namespace}", "desk").replace("{name}", name)
        return await RiskPeer(url, timeout=timeout).report(keep=False)

    return asyncio.run(ask())


def test_a_bot_is_flat_and_up_to_date_in_what_it_is_not_told(bots: SimulatedBots) -> None:
    bots.set("desk", "arb", day_pnl="-12.5", open_positions=2)

    report = heard(bots)

    assert (report.day_pnl, report.open_positions) == (Decimal("-12.5"), 2)
    assert (report.exposure, report.config_hash) == (Decimal(0), "desk-arb")
    assert (report.time, report.trading_day) == (NOW, NOW.date())


def test_each_bot_has_an_answer_of_its_own_and_is_counted(bots: SimulatedBots) -> None:
    bots.set("desk", "arb", config_hash="old")
    bots.silence("desk", "grid")

    assert heard(bots).config_hash == "old"
    for name, status in (("grid", 503), ("nobody", 404)):
        with pytest.raises(NoReportError, match=f"HTTP {status}"):
            heard(bots, name)
    assert [bots.polls("desk", name) for name in ("arb", "grid", "other")] == [1, 1, 0]


def test_a_bot_can_say_nonsense_or_hang_and_recover(bots: SimulatedBots) -> None:
    bots.say("desk", "arb", b"<html>")
    with pytest.raises(NoReportError, match="not JSON"):
        heard(bots)

    bots.hang("desk", "arb")
    with pytest.raises(NoReportError, match="no answer"):
        heard(bots, timeout=0.1)

    bots.set("desk", "arb")
    assert heard(bots).open_positions == 0

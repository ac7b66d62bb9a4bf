"""The profit of running bots, reported to the real registry."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web
from operator_harness import NOW, serving
from registry_server import RunningRegistry
from risk_bots import report
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.registry_reports import (
    MAX_REPORTS,
    REFUSED_SECONDS,
    REPORT_SECONDS,
    reports_of,
    send,
)
from tradingbot_operator.registry_client import RegistryClient
from tradingbot_operator.risk.daily_loss import PollState, PollSubscription, RiskTerms

LIMITS = RiskTerms(Decimal(200), Decimal(1000), 2, "UTC", "00:00")


def polled(name: str, state: PollState, **options: Any) -> Any:
    subscription = PollSubscription(LIMITS, "10.0.0.1", lambda _state, _now: None, None, **options)
    return NamespacedName("desk", name), subscription, state


def sent(url: str, reports: list[Any]) -> float:
    async def main() -> float:
        client = RegistryClient(url)
        try:
            return await send(client, reports)
        finally:
            await client.close()

    return asyncio.run(main())


def test_only_fresh_reports_of_running_bots_are_reported() -> None:
    fresh = PollState(report=report(dayPnL="-12.50000000"))
    states = [
        polled("fresh", fresh),
        polled("silent", PollState()),
        polled("stale", PollState(report=report(NOW - timedelta(minutes=5)))),
        polled("waiting", fresh, started=False),
    ]
    assert reports_of(states, NOW) == [
        {
            "externalRef": "tradingbot/desk/fresh",
            "dayPnL": "-12.50000000",
            "at": NOW.isoformat(),
        }
    ]


def test_the_registry_shows_the_reports_of_bots_that_it_knows(registry: RunningRegistry) -> None:
    states = [polled(f"bot-{number}", PollState(report=report())) for number in range(MAX_REPORTS)]
    registry.put("tradingbot/desk/arb")
    last = polled("arb", PollState(report=report()))
    assert sent(registry.url, reports_of([*states, last], NOW)) == REPORT_SECONDS
    asset = registry.held()["tradingbot/desk/arb"]
    shown = registry.app.test_client().get(f"/api/v1/reports?asset={asset['id']}").json
    assert [found["dayPnL"] for found in shown["reports"]] == ["-12.5"]
    assert asset["version"] == 1


def test_a_registry_that_knows_no_reports_is_asked_again_later() -> None:
    async def old(_: web.Request) -> web.Response:
        return web.json_response({"detail": "there is nothing at this path"}, status=404)

    async def main() -> float:
        async with serving(old) as url:
            client = RegistryClient(url)
            try:
                return await send(
                    client, reports_of([polled("a", PollState(report=report()))], NOW)
                )
            finally:
                await client.close()

    assert asyncio.run(main()) == REFUSED_SECONDS

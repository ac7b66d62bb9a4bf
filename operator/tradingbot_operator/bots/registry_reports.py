"""Report the profit of running bots to the registry, for the page that shows them.

It changes every few seconds, so it is not a part of the bot's asset, of which each change is kept.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.bots.registry_sync import bot_ref
from tradingbot_operator.registry_client import RegistryClient, RegistryRefusedError
from tradingbot_operator.risk.daily_loss import PollState, PollSubscription
from tradingbot_operator.risk.gauges import fresh_report

logger = logging.getLogger(__name__)

REPORT_SECONDS = 15.0
REFUSED_SECONDS = 300.0
"""The registry may be of an older version, which knows no reports."""
MAX_REPORTS = 500
"""Reports that the registry takes in one request."""


def reports_of(
    states: Iterable[tuple[NamespacedName, PollSubscription, PollState]], now: datetime
) -> list[JsonObject]:
    """Return the fresh reports of running bots as the registry takes them."""
    return [
        {
            "externalRef": bot_ref(*key),
            "dayPnL": f"{report.day_pnl:f}",
            "at": report.time.isoformat(),
        }
        for key, subscription, state in states
        if subscription.started and (report := fresh_report(state, now)) is not None
    ]


async def send(client: RegistryClient, reports: list[JsonObject]) -> float:
    """Send the reports. Returns the seconds until the next time.

    Those of bots that have no asset yet are dropped. Raises RegistryUnavailableError.
    """
    try:
        for first in range(0, len(reports), MAX_REPORTS):
            await client.report(reports[first : first + MAX_REPORTS])
    except RegistryRefusedError as error:
        logger.warning("The registry does not take the reports of bots: %s", error)
        return REFUSED_SECONDS
    return REPORT_SECONDS

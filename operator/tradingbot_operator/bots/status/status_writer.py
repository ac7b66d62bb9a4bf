"""Write a bot's status, then post its events.

In this order: an event about a status that could not be written would be posted again with each
attempt.
"""

from collections.abc import Iterable
from datetime import datetime

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.bots.context import Context
from tradingbot_operator.cluster.events import Transition


async def write_status(
    context: Context,
    key: NamespacedName,
    body: JsonObject,
    patch: JsonObject,
    events: Iterable[Transition],
    *,
    now: datetime,
) -> JsonObject:
    """Merge-patch the status of the bot `body`, then post the events. Returns the patched bot."""
    written = await context.api.merge("TradingBot", *key, {"status": patch}, subresource="status")
    context.store.put(written)
    for event in events:
        await context.recorder.post(body, event, now)
    return written

"""Situations of a bot, and the status in each."""

from datetime import timedelta

from operator_harness import NOW, bot, children_of, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import (
    Credentials,
    Observed,
)
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.registry_sync import RegistryState
from tradingbot_operator.bots.status.bot_status import bot_status
from tradingbot_operator.reasons import Reason

SYNCED = RegistryState("True", Reason.SYNCED, "Synced")
CLOSED = {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}
NO_SECRET = Credentials(problem=Reason.SECRET_NOT_FOUND, message='Secret "x" not found')
INVALID = {"riskManagement": {"dailyLossLimit": "-5"}}


def status_of(
    subject: Bot, seen: Observed | None = None, *, registry: RegistryState = SYNCED, later: int = 0
) -> JsonObject:
    now = NOW + timedelta(seconds=later)
    found = observed(children_of(bot())) if seen is None else seen
    return bot_status(subject, plan(subject, found, now), found, registry, now)


STOPPED = children_of(bot(), count=0)
SITUATIONS: dict[str, tuple[Bot, Observed]] = {
    "Running": (bot(), observed(children_of(bot()))),
    "Pending": (bot(), observed()),
    "Stopping": (bot({"paused": True}), observed(children_of(bot()))),
    "Paused": (bot({"paused": True}), observed(STOPPED)),
    "AwaitingCredentials": (bot(), observed(STOPPED, credentials=NO_SECRET)),
    "OffHours": (bot(CLOSED), observed(STOPPED)),
    "Failed": (bot(INVALID), observed(STOPPED)),
}


def is_a_message(text: str) -> bool:
    """Return whether a text begins with a capital letter or a field, and has no full stop."""
    return (text[:1].isupper() or text.startswith("spec.")) and not text.endswith(".")

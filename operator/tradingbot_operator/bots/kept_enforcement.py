"""A bot in Live that has its keys keeps them until its spec says otherwise.

`riskManagement.enforcement` has a default that is not stored, and the default can change: with
another version of the operator, or because a line of the spec was removed. For a bot that trades
with real money, each of the two answers then needs a person: a gateway takes the keys from an image
that may not know one, and a cluster without native sidecars could not run the bot at all.

`status.effective` has what the bot ran with. Example: version 1 runs a Live bot that does not say
it with `Bot`, and writes `Bot` there; version 2, whose default is `Gateway`, reads that, goes on
with `Bot`, and sets the condition `EnforcementKept`. In Paper the default counts at once.
"""

from tradingbot_api.enforcement import default_enforcement
from tradingbot_api.exchange import Dialect, Enforcement, ExchangeName
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import Mode

from tradingbot_operator.cluster.reading.untrusted import mapping

MESSAGE = (
    "spec.riskManagement.enforcement is not set, and its default is Gateway. The bot runs in mode"
    " Live with Bot, and keeps that: set it to Gateway to add the risk gateway, or to Bot"
)


def with_kept_enforcement(bot: JsonObject, status: JsonObject) -> JsonObject | None:
    """Return a bot with the enforcement that it keeps in its spec; None if its spec decides.

    `bot` has its constant defaults, and may be invalid.
    """
    spec = mapping(bot.get("spec"))
    risk, exchange = mapping(spec.get("riskManagement")), mapping(spec.get("exchange"))
    effective = mapping(mapping(status.get("effective")).get("riskManagement"))
    if (
        spec.get("mode") != Mode.LIVE
        or risk.get("enforcement") is not None
        or effective.get("enforcement") != Enforcement.BOT
        or not _is_guarded_by_default(exchange)
    ):
        return None
    kept = {**risk, "enforcement": Enforcement.BOT.value}
    return {**bot, "spec": {**spec, "riskManagement": kept}}


def _is_guarded_by_default(exchange: JsonObject) -> bool:
    name, dialect = exchange.get("name"), exchange.get("dialect")
    if name not in set(ExchangeName) or dialect not in {None, *Dialect}:
        return False  # an invalid spec
    spoken = None if dialect is None else Dialect(dialect)
    return default_enforcement(ExchangeName(name), spoken) is Enforcement.GATEWAY

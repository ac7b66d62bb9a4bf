"""Ways to write an object with kubectl."""

from subprocess import CompletedProcess
from typing import Any

import yaml
from person import BOT, Object, Person, sample_bot

Told = CompletedProcess[str]


def text(obj: Object) -> str:
    return str(yaml.safe_dump(obj))


WHOLE = {"maxPositionSize": 1000, "dailyLossLimit": 200, "stopLossPercentage": 7}
SERVER_SIDE = ("--server-side", "--force-conflicts")


def with_limits(**limits: Any) -> Object:
    bot = sample_bot()
    bot["spec"]["riskManagement"] |= limits
    return bot


def limits_of(person: Person, name: str = BOT) -> Any:
    bot = person.get("tradingbot", name)
    return (bot or {}).get("spec", {}).get("riskManagement")

"""Bots whose pods really run: the sample bot, with an image that is there."""

from datetime import UTC, datetime, timedelta

from person import Object, Person, condition, eventually, sample, sample_bot

BOT = "arb-bot-binance"
BOT_IMAGE = "losing-bot:1.0.0"


def running_bot(person: Person, **changes: object) -> Object:
    """A bot whose image is there, with its Secret, once it runs and has reported."""
    bot = image_of(sample_bot(**changes))
    person.applied(sample("secret.yaml"), bot)
    person.await_phase(BOT, "Running")
    return await_condition(person, "RiskReported", "True")


def image_of(bot: Object, **parameters: str) -> Object:
    bot["spec"]["strategy"] = {"type": "Custom", "image": BOT_IMAGE, "parameters": parameters}
    return bot


def await_condition(person: Person, type_: str, status: str, *, name: str = BOT) -> Object:
    def look() -> Object | None:
        found = person.get("tradingbot", name) or {}
        return found if condition(found, type_)["status"] == status else None

    found = eventually(look)
    assert found is not None
    return found


def take_up_a_lower_limit(person: Person) -> None:
    """Lowers the bot's daily limit to 150; returns when it has reported that it goes by it."""
    limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "150"}
    person.applied(image_of(sample_bot(riskManagement=limits)))

    def applied() -> bool:
        bot = person.get("tradingbot", BOT) or {}
        found = condition(bot, "ConfigApplied")
        newest = found.get("observedGeneration") == bot["metadata"]["generation"]
        return newest and found["status"] == "True"

    eventually(applied)


def a_day_that_ends_soon(*, seconds: int) -> tuple[Object, datetime]:
    """A schedule whose trading day ends at the next full minute that leaves that much time."""
    ends = (datetime.now(UTC) + timedelta(seconds=seconds + 60)).replace(second=0, microsecond=0)
    return {"timeZone": "UTC", "dayStart": f"{ends:%H:%M}"}, ends

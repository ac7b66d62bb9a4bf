"""Numbers by every way in, and what one file makes of a bot."""

import json
import random
from typing import Any

from person import BOT, Object, Person, eventually, sample
from ways import SERVER_SIDE, WHOLE, Told, limits_of, with_limits


def test_whole_numbers_are_taken_by_every_way_and_stored_as_written(person: Person) -> None:
    for options in (SERVER_SIDE, ()):
        done = person.apply(with_limits(**WHOLE), options=options)
        assert done.returncode == 0, done.stderr
        assert limits_of(person).items() >= WHOLE.items()
    patched = person.kubectl(
        *("patch", "tbot", BOT, "--type=merge"),
        *("-p", '{"spec":{"riskManagement":{"stopLossPercentage":150}}}'),
    )
    assert "stopLossPercentage: Invalid value: 150: must be greater than 0" in patched.stderr


def test_a_fraction_without_quotes_becomes_a_string_by_every_way_while_the_webhooks_are_there(
    person: Person,
) -> None:
    """Under server-side apply too, as the schema takes numbers. Another manager of the field has a
    conflict: 2.5 is not "2.5" to the API server."""
    for stop, options in ((2.5, SERVER_SIDE), (3.5, ("--server-side",)), (4.5, ())):
        done = person.apply(with_limits(stopLossPercentage=stop), options=options)
        assert done.returncode == 0, done.stderr
        assert limits_of(person)["stopLossPercentage"] == str(stop)
    other = ("--server-side", "--field-manager=gitops")
    done = person.apply(with_limits(stopLossPercentage=4.5), options=other)
    assert "conflict" in done.stderr
    assert ".spec.riskManagement.stopLossPercentage" in done.stderr


def test_a_whole_number_in_the_notation_of_a_float_is_one(person: Person) -> None:
    """As Python's json writes 5.0. kubectl would send 5."""
    text = json.dumps(with_limits(stopLossPercentage=5.0, maxPositionSize=1e3))
    assert "5.0" in text
    path = f"/apis/trading.io/v1/namespaces/{person.namespace}/tradingbots"
    done = person.kubectl("create", "--raw", path, "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert limits_of(person)["stopLossPercentage"] in (5, "5")


HISTORY = 12
SEED = 20261129


def with_stop_and_memory(name: str, stop: Any, memory: str) -> Object:
    bot = with_limits(stopLossPercentage=stop)
    bot["metadata"]["name"] = name
    bot["spec"]["resources"] = {"limits": {"memory": memory}}
    return bot


def write(person: Person, way: str, bot: Object) -> Told:
    if way == "patch":
        spec = {key: bot["spec"][key] for key in ("riskManagement", "resources")}
        change = json.dumps({"spec": spec})
        return person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", change)
    return person.apply(bot, options=SERVER_SIDE if way == "server-side" else ())


def made_of(person: Person, name: str) -> tuple[Any, ...]:
    """What has come of a bot: its spec, its effective values, its bot.json, and its container."""
    bot = person.await_phase(name, "Running")
    (config,) = person.items("configmap", bot=name)
    (deployment,) = person.items("deployment", bot=name)
    file = json.loads(config["data"]["bot.json"])
    return (
        bot["spec"],
        bot["status"]["effective"],
        {key: value for key, value in file.items() if key not in ("name", "configHash")},
        deployment["spec"]["template"]["spec"]["containers"][0]["resources"],
    )


def same_as(fresh: tuple[Any, ...], found: tuple[Any, ...], way: str) -> bool:
    assert found == fresh, way
    return True


def test_one_file_makes_one_bot_whatever_was_applied_before(person: Person) -> None:
    """The model of `test_histories.py` has more histories; this is the API server and kubectl."""
    chance = random.Random(SEED)
    ways = ("client-side", "server-side", "patch")
    person.applied(sample("secret.yaml"), with_stop_and_memory(BOT, "2", "256Mi"))
    for _ in range(HISTORY):
        stop = chance.choice(["1", "7.5", 3, 40])
        bot = with_stop_and_memory(BOT, stop, chance.choice(["64Mi", "100Mi", "1Gi"]))
        done = write(person, chance.choice(ways), bot)
        assert done.returncode == 0, done.stderr
    person.applied(with_stop_and_memory("fresh", 9, "72Mi"))
    fresh = made_of(person, "fresh")
    assert fresh[1]["riskManagement"]["takeProfitPercentage"] == "18"
    assert fresh[1]["resources"]["requests"]["memory"] == "72Mi"
    for way in chance.sample(ways, k=len(ways)):
        wandered = with_stop_and_memory(BOT, "1", "1Gi")
        assert write(person, chance.choice(ways), wandered).returncode == 0
        done = write(person, way, with_stop_and_memory(BOT, 9, "72Mi"))
        assert done.returncode == 0, done.stderr
        # Other resources need a restart, which waits for a report that the bot is flat.
        eventually(lambda way=way: same_as(fresh, made_of(person, BOT), way))  # type: ignore[misc]


def test_another_spelling_of_a_number_restarts_nothing(person: Person) -> None:
    def running() -> tuple[Any, ...]:
        children = [*person.items("configmap", bot=BOT), *person.items("deployment", bot=BOT)]
        return tuple((child.get("data"), child.get("spec")) for child in children)

    number = with_limits(stopLossPercentage=7)
    number["spec"]["resources"] = {"limits": {"cpu": 1}}
    text = with_limits(stopLossPercentage="7")
    text["spec"]["resources"] = {"limits": {"cpu": "1"}}
    person.applied(sample("secret.yaml"), number)
    person.await_phase(BOT, "Running")
    before = running()
    person.applied(text)
    bot = person.await_phase(BOT, "Running")
    assert bot["spec"]["riskManagement"]["stopLossPercentage"] == "7"
    assert running() == before

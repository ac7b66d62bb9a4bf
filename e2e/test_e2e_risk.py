"""What bots report, and what is done about it: a loss halts, and the halt survives all else."""

import json
from datetime import UTC, datetime, timedelta

from person import BOT, Object, Person, condition, documented_wait, eventually, sample_bot
from simulated_bots import SimulatedBots
from tradingbot_dev.product.system import OPERATOR


def running(person: Person, bots: SimulatedBots, **changes: object) -> Object:
    """A bot that runs and reports that all is well, with the configuration that it is given."""
    person.running_bot(**changes)
    report(person, bots)
    return await_condition(person, "RiskReported", "True")


def report(person: Person, bots: SimulatedBots, **fields: object) -> None:
    bots.set(person.namespace, BOT, config_hash=config(person)["configHash"], **fields)


def config(person: Person) -> Object:
    (found,) = person.items("configmap", bot=BOT)
    return dict(json.loads(found["data"]["bot.json"]))


def await_condition(person: Person, type_: str, status: str) -> Object:
    def look() -> Object | None:
        found = person.get("tbot", BOT) or {}
        return found if condition(found, type_)["status"] == status else None

    found = eventually(look)
    assert found is not None
    return found


def replicas(person: Person) -> int:
    (deployment,) = person.items("deployment", bot=BOT)
    return int(deployment["spec"]["replicas"])


def a_day_that_ends_soon(*, seconds: int) -> tuple[Object, datetime]:
    """A schedule whose trading day ends at the next full minute that leaves that much time."""
    now = datetime.now(UTC)
    ends = (now + timedelta(seconds=seconds)).replace(second=0, microsecond=0)
    return {"timeZone": "UTC", "dayStart": f"{ends:%H:%M}"}, ends


def test_a_loss_at_the_limit_halts_the_bot_and_neither_profit_nor_a_new_limit_resumes_it(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots)
    limits = sample_bot()["spec"]["riskManagement"]
    report(person, bots, day_pnl=f"-{limits['dailyLossLimit']}", open_positions=1)
    bot = person.await_phase(BOT, "Halted")
    risk = bot["status"]["risk"]
    assert risk["dayPnL"] == f"-{limits['dailyLossLimit']}"
    assert risk["haltedSince"]
    assert risk["resumesAt"] == risk["dayEndsAt"]
    assert condition(bot, "RiskHalted")["reason"] == "DailyLossLimit"
    ready = condition(bot, "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Halted")
    assert condition(bot, "Trading")["status"] == "False"
    assert replicas(person) == 0
    eventually(lambda: not person.items("pod", bot=BOT))
    report(person, bots, day_pnl="500")
    person.applied(sample_bot(riskManagement={**limits, "dailyLossLimit": "150"}))
    person.await_phase(BOT, "Halted")
    person.await_events(BOT, "Halted")
    columns = person.kubectl("get", "tbot", BOT).stdout
    assert "DAY-PNL" in columns
    assert f"-{limits['dailyLossLimit']}" in columns


def test_positions_above_the_limits_are_reported_and_stop_nothing(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots)
    report(person, bots, open_positions=3, exposure="99000")
    bot = await_condition(person, "LimitExceeded", "True")
    message = condition(bot, "LimitExceeded")["message"]
    assert "3 open positions, and maxOpenPositions is" in message
    assert "exposure 99000, and maxPositionSize" in message
    assert person.await_events(BOT, "LimitExceeded") == [message]
    assert replicas(person) == 1
    report(person, bots, open_positions=1, exposure="10")

    def is_over() -> bool:
        conditions = (person.get("tbot", BOT) or {})["status"]["conditions"]
        return "LimitExceeded" not in {one["type"] for one in conditions}

    eventually(is_over)
    person.await_phase(BOT, "Running")


def test_the_profit_of_a_running_bot_is_reported_to_the_registry(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots)
    report(person, bots, day_pnl="17.25")
    eventually(lambda: person.asset(BOT) is not None)
    path = f"reports?asset={person.asset(BOT)['id']}"
    eventually(lambda: [found["dayPnL"] for found in person.registry(path)["reports"]] == ["17.25"])


def test_a_halt_survives_a_killed_operator_and_lost_children(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots)
    report(person, bots, day_pnl="-9999")
    person.await_phase(BOT, "Halted")
    person.system.kill(OPERATOR)
    try:
        person.kubectl("delete", "deployment,configmap,service", "--all")
        report_profit = {"day_pnl": "9999", "config_hash": "any"}
        bots.set(person.namespace, BOT, **report_profit)
    finally:
        person.system.start_one(OPERATOR)
    eventually(lambda: person.items("deployment", bot=BOT))
    assert replicas(person) == 0
    person.await_phase(BOT, "Halted")
    person.await_events(BOT, "Halted")


def test_a_halted_bot_resumes_by_itself_at_the_boundary_of_its_own_trading_day(
    person: Person, bots: SimulatedBots
) -> None:
    schedule, ends = a_day_that_ends_soon(seconds=80)
    yesterday = (ends - timedelta(days=1)).date().isoformat()
    person.running_bot(schedule=schedule)
    report(person, bots, day_pnl="-9999", trading_day=yesterday)
    bot = person.await_phase(BOT, "Halted")
    assert bot["status"]["risk"]["resumesAt"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    assert bot["status"]["risk"]["tradingDay"] == yesterday
    report(person, bots, trading_day=ends.date().isoformat())
    bot = person.await_phase(BOT, "Running")
    assert datetime.now(UTC) >= ends
    assert bot["status"]["risk"]["tradingDay"] == ends.date().isoformat()
    assert "haltedSince" not in bot["status"]["risk"]
    events = eventually(lambda: (found := person.events(BOT)) and "Resumed" in found and found)
    assert (events.count("Halted"), events.count("Resumed")) == (1, 1)


def test_a_changed_limit_reaches_the_bot_without_a_restart_and_is_confirmed(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots)
    await_condition(person, "ConfigApplied", "True")
    (pod,) = person.items("pod", bot=BOT)
    limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "123"}
    person.applied(sample_bot(riskManagement=limits))
    bot = await_condition(person, "ConfigApplied", "False")
    assert condition(bot, "ConfigApplied")["reason"] == "AwaitingReload"
    eventually(lambda: config(person)["risk"]["dailyLossLimit"] == "123")
    report(person, bots)
    waited = person.kubectl(*documented_wait("condition=ConfigApplied"))
    assert "condition met" in waited.stdout, waited.stderr
    bot = person.get("tbot", BOT) or {}
    assert bot["status"]["appliedConfigHash"] == bot["status"]["configHash"]
    (same,) = person.items("pod", bot=BOT)
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_new_image_waits_until_the_bot_is_flat(person: Person, bots: SimulatedBots) -> None:
    running(person, bots)
    report(person, bots, open_positions=1, exposure="900")
    eventually(lambda: (person.get("tbot", BOT) or {})["status"]["risk"].get("openPositions") == 1)
    changed = sample_bot()
    changed["spec"]["strategy"]["image"] = "ghcr.io/example/arbitrage:9.9.9"
    person.applied(changed)
    bot = await_condition(person, "RolloutPending", "True")
    assert condition(bot, "RolloutPending")["reason"] == "PositionsOpen"
    assert image(person) != "ghcr.io/example/arbitrage:9.9.9"
    report(person, bots)
    await_condition(person, "RolloutPending", "False")
    eventually(lambda: image(person) == "ghcr.io/example/arbitrage:9.9.9")


def test_a_live_bot_without_reports_is_degraded_until_it_reports_again(
    person: Person, bots: SimulatedBots
) -> None:
    running(person, bots, mode="Live")
    bots.hang(person.namespace, BOT)
    bot = person.await_phase(BOT, "Degraded")
    assert condition(bot, "RiskReported")["status"] == "False"
    assert condition(bot, "RiskReported")["reason"] == "ReportStale"
    assert replicas(person) == 1
    report(person, bots, day_pnl="-1")
    person.await_phase(BOT, "Running")


def image(person: Person) -> str:
    (deployment,) = person.items("deployment", bot=BOT)
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])

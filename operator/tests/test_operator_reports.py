"""What a bot reports, and what follows but a halt: polls, silence, restarts that wait, hashes."""

from datetime import timedelta

import pytest
from operator_desk import BOT, CONFIG_MAP, DEPLOYMENT, KEY, Desk, condition, play, risk, trading
from tradingbot_operator.risk import Seen

SECOND = timedelta(seconds=1)


def test_only_a_bot_that_runs_is_polled() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.settle()
        assert not desk.reports.watched  # there is no pod yet
        await desk.run()
        assert set(desk.reports.watched) == {KEY}
        desk.edit(spec={"paused": True})
        await desk.reconcile()
        assert not desk.reports.watched
        desk.edit(spec={"paused": None})
        await desk.run()
        desk.delete()
        await desk.reconcile()
        assert not desk.reports.watched

    play(scenario)


def test_the_poller_is_told_what_the_reconcile_knew() -> None:
    async def scenario() -> None:
        desk = await trading()
        watch = desk.reports.watched[KEY]
        assert watch.limit == 200
        assert watch.meaning(desk.reports.now, desk.now) == watch.known
        desk.reported("-200")
        assert watch.meaning(desk.reports.now, desk.now) != watch.known

    play(scenario)


def test_figures_that_move_are_written_once_a_minute() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-1")
        await desk.settle()
        begun, written = desk.now, []
        for _ in range(24):
            desk.now += timedelta(seconds=5)
            desk.reported(f"-{(desk.now - begun).seconds}")
            watch = desk.reports.watched[KEY]
            if watch.meaning(desk.reports.now, desk.now) != watch.known:
                await desk.reconcile()
                written.append(risk(desk)["dayPnL"])
        assert written == ["-60", "-120"]

    play(scenario)


@pytest.mark.parametrize(("mode", "phase"), [("Live", "Degraded"), ("Paper", "Running")])
def test_a_live_bot_that_falls_silent_is_degraded(mode: str, phase: str) -> None:
    async def scenario() -> None:
        desk = await trading({"mode": mode})
        assert (desk.phase, condition(desk, "RiskReported")) == ("Running", ("True", "Reported"))
        desk.now += timedelta(seconds=31)
        await desk.settle()
        assert (desk.phase, condition(desk, "RiskReported")) == (phase, ("False", "ReportStale"))
        assert condition(desk, "Ready")[0] == "True"
        desk.reported("-5")
        await desk.settle()
        assert (desk.phase, condition(desk, "RiskReported")) == ("Running", ("True", "Reported"))

    play(scenario)


def test_a_live_bot_that_never_reports_is_degraded_after_half_a_minute() -> None:
    async def scenario() -> None:
        desk = Desk({"mode": "Live"})
        await desk.run()
        assert (desk.phase, condition(desk, "RiskReported")) == ("Running", ("Unknown", "NoReport"))
        desk.reports.now = Seen(problem="no connection")
        desk.now += timedelta(seconds=29)
        await desk.settle()
        assert desk.phase == "Running"
        desk.now += SECOND
        await desk.settle()
        assert (desk.phase, condition(desk, "RiskReported")) == (
            "Degraded",
            ("Unknown", "NoReport"),
        )

    play(scenario)


@pytest.mark.parametrize("mode", ["Paper", "Live"])
def test_a_new_operator_writes_nothing_of_a_bot_that_it_has_not_asked_yet(mode: str) -> None:
    async def scenario() -> None:
        desk = await trading({"mode": mode})
        desk.reported(configHash=desk.bot_json["configHash"], openPositions=1)
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        before = desk.cluster.objects[BOT]["status"]
        desk.reports.now = Seen()
        desk.context = desk.started()
        desk.now += timedelta(minutes=5)
        desk.cluster.writes.clear()
        await desk.reconcile()
        assert image(desk) == "ghcr.io/example/arb:1.0"
        after = desk.cluster.objects[BOT]["status"]
        assert condition(desk, "RolloutPending") == ("True", "PositionsUnknown")
        assert [one for one in after["conditions"] if one["type"] != "RolloutPending"] == [
            one for one in before["conditions"] if one["type"] != "RolloutPending"
        ]
        desk.reports.now = Seen(problem="no connection")
        await desk.settle()
        waits = mode == "Live"
        assert condition(desk, "RolloutPending")[0] == str(waits)
        assert (desk.phase == "Degraded") is waits

    play(scenario)


def test_a_bot_whose_pod_never_starts_takes_a_change_that_may_mend_it() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.settle()
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        assert image(desk) == "ghcr.io/example/arb:2.0"

    play(scenario)


def test_a_changed_limit_is_confirmed_by_the_hash_that_the_bot_reports() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported(configHash=desk.bot_json["configHash"])
        await desk.settle()
        assert condition(desk, "ConfigApplied") == ("True", "Applied")
        template = desk.cluster.objects[DEPLOYMENT]["spec"]["template"]
        desk.edit(spec={"riskManagement": {"dailyLossLimit": "150"}})
        await desk.settle()
        assert condition(desk, "ConfigApplied") == ("False", "AwaitingReload")
        desk.reported(configHash=desk.bot_json["configHash"])
        await desk.settle()
        assert condition(desk, "ConfigApplied") == ("True", "Applied")
        status = desk.cluster.objects[BOT]["status"]
        assert status["appliedConfigHash"] == status["configHash"] == desk.bot_json["configHash"]
        assert desk.cluster.objects[DEPLOYMENT]["spec"]["template"] == template

    play(scenario)


@pytest.mark.parametrize("mode", ["Paper", "Live"])
def test_a_change_that_needs_a_restart_waits_until_the_bot_is_flat(mode: str) -> None:
    async def scenario() -> None:
        desk = await trading({"mode": mode})
        desk.reported(openPositions=2, exposure="900")
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        assert condition(desk, "RolloutPending") == ("True", "PositionsOpen")
        assert image(desk) == "ghcr.io/example/arb:1.0"
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:3.0"}})
        await desk.settle()
        assert image(desk) == "ghcr.io/example/arb:1.0"
        desk.reported(openPositions=0)
        await desk.settle()
        assert condition(desk, "RolloutPending")[0] == "False"
        assert image(desk) == "ghcr.io/example/arb:3.0"

    play(scenario)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_edited_by_hand_while_a_change_waits_is_mended(restarted: bool) -> None:
    async def scenario() -> None:
        desk = await trading({"mode": "Live"})
        desk.reported(openPositions=1)
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        if restarted:
            desk.context = desk.started()
            await desk.settle()
        pod = desk.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        evil = {**container, "image": "ghcr.io/example/evil:1"}
        patch = {"template": {"spec": {**pod, "containers": [evil]}}}
        desk.cluster.edit(*DEPLOYMENT, spec=patch)
        desk.cluster.delete(*CONFIG_MAP)
        await desk.settle()
        assert image(desk) == "ghcr.io/example/arb:1.0"
        assert desk.bot_json["strategy"]["image"] == "ghcr.io/example/arb:1.0"
        assert condition(desk, "RolloutPending")[0] == "True"

    play(scenario)


def test_a_live_bot_whose_last_report_is_old_does_not_count_as_flat() -> None:
    async def scenario() -> None:
        desk = await trading({"mode": "Live"})
        desk.now += timedelta(seconds=31)
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        assert condition(desk, "RolloutPending") == ("True", "PositionsUnknown")

    play(scenario)


def image(desk: Desk) -> str:
    pod = desk.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])

"""Reports of a bot and their effects other than a halt: polls, silence, waiting restarts."""

from datetime import timedelta

import pytest
from reconcile_harness import (
    BOT,
    CONFIG_MAP,
    DEPLOYMENT,
    KEY,
    Harness,
    condition,
    play,
    risk,
    trading,
)
from tradingbot_operator.risk.daily_loss import PollState

SECOND = timedelta(seconds=1)


def test_only_a_bot_that_runs_is_polled() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.settle()
        assert not harness.reports.watched  # there is no pod yet
        await harness.run()
        assert set(harness.reports.watched) == {KEY}
        harness.edit(spec={"paused": True})
        await harness.reconcile()
        assert harness.reports.watched  # its pod still exists, and may still lose
        await harness.run()
        assert not harness.reports.watched
        harness.edit(spec={"paused": None})
        await harness.run()
        harness.delete()
        await harness.reconcile()
        assert not harness.reports.watched

    play(scenario)


def test_the_poller_is_told_what_the_reconcile_knew() -> None:
    async def scenario() -> None:
        harness = await trading()
        watch = harness.reports.watched[KEY]
        assert watch.terms.limit == 200
        assert watch.fingerprint(harness.reports.now, harness.now) == watch.last_fingerprint
        harness.reported("-200")
        assert watch.fingerprint(harness.reports.now, harness.now) != watch.last_fingerprint

    play(scenario)


def test_figures_that_move_are_written_once_a_minute() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-1")
        await harness.settle()
        begun, written = harness.now, []
        for _ in range(24):
            harness.now += timedelta(seconds=5)
            harness.reported(f"-{(harness.now - begun).seconds}")
            watch = harness.reports.watched[KEY]
            if watch.fingerprint(harness.reports.now, harness.now) != watch.last_fingerprint:
                await harness.reconcile()
                written.append(risk(harness)["dayPnL"])
        assert written == ["-60", "-120"]

    play(scenario)


@pytest.mark.parametrize(("mode", "phase"), [("Live", "Degraded"), ("Paper", "Running")])
def test_a_live_bot_that_falls_silent_is_degraded(mode: str, phase: str) -> None:
    async def scenario() -> None:
        harness = await trading({"mode": mode})
        assert (harness.phase, condition(harness, "RiskReported")) == (
            "Running",
            ("True", "Reported"),
        )
        harness.now += timedelta(seconds=31)
        await harness.settle()
        assert (harness.phase, condition(harness, "RiskReported")) == (
            phase,
            ("False", "ReportStale"),
        )
        ready = ("False", "ReportStale") if mode == "Live" else ("True", "Available")
        assert condition(harness, "Ready") == ready
        assert condition(harness, "Trading") == ("True", "Available")
        harness.reported("-5")
        await harness.settle()
        assert (harness.phase, condition(harness, "RiskReported")) == (
            "Running",
            ("True", "Reported"),
        )

    play(scenario)


def test_a_live_bot_that_never_reports_is_degraded_after_half_a_minute() -> None:
    async def scenario() -> None:
        harness = Harness({"mode": "Live"})
        await harness.run()
        assert (harness.phase, condition(harness, "RiskReported")) == (
            "Running",
            ("Unknown", "NoReport"),
        )
        harness.reports.now = PollState(problem="no connection")
        harness.now += timedelta(seconds=29)
        await harness.settle()
        assert harness.phase == "Running"
        harness.now += SECOND
        await harness.settle()
        assert (harness.phase, condition(harness, "RiskReported")) == (
            "Degraded",
            ("Unknown", "NoReport"),
        )

    play(scenario)


@pytest.mark.parametrize("mode", ["Paper", "Live"])
def test_a_new_operator_writes_nothing_of_a_bot_that_it_has_not_asked_yet(mode: str) -> None:
    async def scenario() -> None:
        harness = await trading({"mode": mode})
        harness.reported(configHash=harness.bot_json["configHash"], openPositions=1)
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        before = harness.cluster.objects[BOT]["status"]
        harness.reports.now = PollState()
        harness.context = harness.started()
        harness.now += timedelta(minutes=5)
        harness.cluster.writes.clear()
        await harness.reconcile()
        assert image(harness) == "ghcr.io/example/arb:1.0"
        after = harness.cluster.objects[BOT]["status"]
        assert condition(harness, "RolloutPending") == ("True", "PositionsUnknown")
        assert [
            condition for condition in after["conditions"] if condition["type"] != "RolloutPending"
        ] == [
            condition for condition in before["conditions"] if condition["type"] != "RolloutPending"
        ]
        harness.reports.now = PollState(problem="no connection")
        await harness.settle()
        waits = mode == "Live"
        assert condition(harness, "RolloutPending")[0] == str(waits)
        assert (harness.phase == "Degraded") is waits

    play(scenario)


def test_a_bot_whose_pod_never_starts_takes_a_change_that_may_mend_it() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.settle()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        assert image(harness) == "ghcr.io/example/arb:2.0"

    play(scenario)


def test_a_changed_limit_is_confirmed_by_the_hash_that_the_bot_reports() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported(configHash=harness.bot_json["configHash"])
        await harness.settle()
        assert condition(harness, "ConfigApplied") == ("True", "Applied")
        template = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]
        harness.edit(spec={"riskManagement": {"dailyLossLimit": "150"}})
        await harness.settle()
        assert condition(harness, "ConfigApplied") == ("False", "AwaitingReload")
        harness.reported(configHash=harness.bot_json["configHash"])
        await harness.settle()
        assert condition(harness, "ConfigApplied") == ("True", "Applied")
        status = harness.cluster.objects[BOT]["status"]
        assert status["appliedConfigHash"] == status["configHash"] == harness.bot_json["configHash"]
        assert harness.cluster.objects[DEPLOYMENT]["spec"]["template"] == template

    play(scenario)


@pytest.mark.parametrize("mode", ["Paper", "Live"])
def test_a_change_that_needs_a_restart_waits_until_the_bot_is_flat(mode: str) -> None:
    async def scenario() -> None:
        harness = await trading({"mode": mode})
        harness.reported(openPositions=2, exposure="900")
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        assert condition(harness, "RolloutPending") == ("True", "PositionsOpen")
        assert image(harness) == "ghcr.io/example/arb:1.0"
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:3.0"}})
        await harness.settle()
        assert image(harness) == "ghcr.io/example/arb:1.0"
        harness.reported(openPositions=0)
        await harness.settle()
        assert condition(harness, "RolloutPending")[0] == "False"
        assert image(harness) == "ghcr.io/example/arb:3.0"

    play(scenario)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_edited_by_hand_while_a_change_waits_is_mended(restarted: bool) -> None:
    async def scenario() -> None:
        harness = await trading({"mode": "Live"})
        harness.reported(openPositions=1)
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        if restarted:
            harness.context = harness.started()
            await harness.settle()
        pod = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        evil = {**container, "image": "ghcr.io/example/evil:1"}
        patch = {"template": {"spec": {**pod, "containers": [evil]}}}
        harness.cluster.edit(*DEPLOYMENT, spec=patch)
        harness.cluster.drop(*CONFIG_MAP)
        await harness.settle()
        assert image(harness) == "ghcr.io/example/arb:1.0"
        assert harness.bot_json["strategy"]["image"] == "ghcr.io/example/arb:1.0"
        assert condition(harness, "RolloutPending")[0] == "True"

    play(scenario)


def test_a_live_bot_whose_last_report_is_old_does_not_count_as_flat() -> None:
    async def scenario() -> None:
        harness = await trading({"mode": "Live"})
        harness.now += timedelta(seconds=31)
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        assert condition(harness, "RolloutPending") == ("True", "PositionsUnknown")

    play(scenario)


def image(harness: Harness) -> str:
    pod = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])

"""Ready, Reconciling, Stalled, Trading: the table in docs/operations.md, what it rests on."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from health_rules import argo_health, kstatus, waited_for
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import NOW, bot, bot_pod, children_of, observed, report
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Credentials, Observed, Refusal, has_stopped
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.pods import Pods
from tradingbot_operator.bots.registry_sync import OFF
from tradingbot_operator.bots.status.bot_status import bot_status
from tradingbot_operator.cluster.conditions import condition_of
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import PollState, Risk, RiskTerms, StoredRisk, assess

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
CLOSED = {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}
INVALID = {"riskManagement": {"dailyLossLimit": "-5"}}
PAUSED = {"paused": True}
NO_SECRET = Credentials(problem=Reason.SECRET_NOT_FOUND, message='Secret "x" not found')
REFUSED = Refusal("ConfigMap", "arb-config", "exceeded quota")
RUNNING = children_of(bot())
STOPPED = children_of(bot(), count=0)

Situation = tuple[Bot, Observed]


def risk(state: PollState) -> Risk:
    subject = bot({"mode": "Live"})
    assert subject.spec is not None
    terms = RiskTerms.of(subject.spec)
    return assess(terms, StoredRisk(), state, NOW, figures_every=timedelta(minutes=1))


LOSS = risk(PollState(report("-200"), received=NOW))
OLD = NOW - timedelta(minutes=1)
STALE = risk(PollState(report(at=OLD), received=OLD, problem="timed out"))
SILENT = risk(PollState(problem="timed out"))


def with_pod(subject: Observed, **fields: object) -> Observed:
    """Return the same with one pod of the bot, as usual except for those fields."""
    return replace(subject, pods=Pods(own=(bot_pod(RUNNING, **fields),)))


def live(**changes: object) -> Bot:
    return bot({"mode": "Live", **changes})


LIVE = children_of(live())
STOPPING = replace(observed(RUNNING), stopping_since=NOW - timedelta(seconds=5))
BLOCKED = replace(STOPPING, stopping_since=NOW - timedelta(seconds=60))

SITUATIONS: dict[str, Situation] = {
    "`Stopping`": (bot(PAUSED), STOPPING),
    "`Stopping`, and `StopBlocked` is `True`": (bot(PAUSED), BLOCKED),
    "`Failed`": (bot(INVALID), observed(STOPPED)),
    "`Paused`": (bot(PAUSED), observed(STOPPED)),
    "`Halted`": (bot(), observed(STOPPED, risk=LOSS)),
    "`AwaitingCredentials`": (bot(), observed(STOPPED, credentials=NO_SECRET)),
    "`OffHours`": (bot(CLOSED), observed(STOPPED)),
    "`Pending`": (bot(), observed()),
    "`Degraded`": (live(), observed(LIVE, risk=STALE)),
    "`Running`": (bot(), observed(RUNNING)),
    "`Running`, and `RolloutPending` is `True`": (
        live(strategy={"type": "Grid"}),
        observed(LIVE),
    ),
    "`Running`, and `ChildrenApplied` is `False`": (bot(), observed(RUNNING, refusals=(REFUSED,))),
}
EXTRA: dict[str, Situation] = {
    "a conflict": (bot(), observed(conflicts=("Service arb",))),
    "a Live bot that never reported": (live(), observed(LIVE, risk=SILENT)),
    "paused, and a child is refused": (bot(PAUSED), observed(STOPPED, refusals=(REFUSED,))),
    "paused, and another one's pod": (
        bot(PAUSED),
        replace(observed(STOPPED), pods=Pods(foreign=(bot_pod(RUNNING),))),
    ),
    "halted and still trading": (bot(), replace(BLOCKED, risk=LOSS)),
    "off hours and terminating": (
        bot(CLOSED),
        with_pod(observed(STOPPED), going=NOW + timedelta(seconds=20)),
    ),
    "a pod that is not ready": (bot(), with_pod(observed(RUNNING), ready=False)),
    "a pod without a container": (bot(), with_pod(observed(RUNNING), started=None)),
    "a pod of an older template": (bot(), with_pod(observed(RUNNING), restart_hash="old")),
    "adopting": (
        bot(),
        replace(observed(STOPPED), pods=Pods(left=(bot_pod(RUNNING, restart_hash="old"),))),
    ),
}
ALL = SITUATIONS | EXTRA


def stored(situation: Situation) -> JsonObject:
    """Return the bot with its status, as others read it."""
    subject, seen = situation
    status = bot_status(subject, plan(subject, seen, NOW), seen, OFF, NOW)
    meta = {"name": "arb", "namespace": "desk", "generation": subject.meta.generation}
    return {"metadata": meta, "status": status}


def verdict(obj: JsonObject, type_: str) -> str:
    """Return `Status/Reason` of a condition, `-` if there is none."""
    found = condition_of(obj["status"], type_)
    return f"{found['status']}/{found['reason']}" if found else "-"


def progress(obj: JsonObject) -> str:
    types = [type_ for type_ in ("Reconciling", "Stalled") if condition_of(obj["status"], type_)]
    assert all(condition_of(obj["status"], type_)["status"] == "True" for type_ in types)
    return ", ".join(types) or "-"


def documented() -> Iterator[list[str]]:
    """Yield the rows of the table: situation, then what is shown and read."""
    section = re.search(r"^## What to wait for\n(.*?)^#", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    for line in section[1].splitlines():
        if line.startswith("|") and not line.startswith(("|--", "| when")):
            first, *others = (cell.strip() for cell in line.strip("|").split(" | "))
            yield [first, *(other.strip(" `") for other in others)]


TABLE = {row[0]: row[1:] for row in documented()}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_table_says_what_is_shown_and_how_others_read_it(name: str) -> None:
    obj = stored(SITUATIONS[name])
    assert TABLE[name] == [
        verdict(obj, "Ready"),
        progress(obj),
        verdict(obj, "Trading").partition("/")[0],
        kstatus(obj),
        argo_health(obj)[0],
    ]


def test_the_table_has_each_situation() -> None:
    others = {"before the operator has observed it", "`Terminating`"}
    assert TABLE.keys() == SITUATIONS.keys() | others


@pytest.mark.parametrize("kind", ["TradingBot", "AssetRegistry"])
def test_nothing_passes_for_ready_before_the_operator_has_observed_it(kind: str) -> None:
    (crd,) = [crd for crd in crds() if crd["spec"]["names"]["kind"] == kind]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    inner = schema["properties"]
    for status in (schema["default"], {"risk": {}}):  # a halt may be written before all else
        filled = {name: part["default"] for name, part in inner.items() if "default" in part}
        obj = {"metadata": {"generation": 1}, "status": filled | status}
        assert (kstatus(obj), argo_health(obj)[0]) == ("InProgress", "Progressing")
        assert not waited_for(obj, "Ready")
    assert TABLE["before the operator has observed it"] == [
        verdict(obj, "Ready"),
        "-",
        "-",
        "InProgress",
        "Progressing",
    ]


def test_a_bot_that_is_being_deleted_is_terminating() -> None:
    obj = stored(SITUATIONS["`Running`"])
    obj["metadata"]["deletionTimestamp"] = "2026-03-04T12:00:00Z"
    assert [kstatus(obj), argo_health(obj)[0]] == ["Terminating", "Progressing"]
    assert TABLE["`Terminating`"][-2:] == ["Terminating", "Progressing"]


@pytest.mark.parametrize("name", ALL)
def test_a_bot_is_ready_or_it_is_said_whether_it_goes_on_by_itself(name: str) -> None:
    obj = stored(ALL[name])
    ready = condition_of(obj["status"], "Ready")["status"] == "True"
    assert (progress(obj) == "-") is ready
    assert (kstatus(obj) == "Current") is ready
    assert (argo_health(obj)[0] == "Healthy") is ready
    assert waited_for(obj, "Ready") is ready
    assert all(one["observedGeneration"] == 3 for one in obj["status"]["conditions"])


@pytest.mark.parametrize("name", ALL)
def test_an_edit_that_was_not_observed_yet_is_waited_for(name: str) -> None:
    obj = stored(ALL[name])
    obj["metadata"]["generation"] += 1
    assert (kstatus(obj), argo_health(obj)[0]) == ("InProgress", "Progressing")
    assert not waited_for(obj, "Ready")
    assert not waited_for(obj, "Trading")


@pytest.mark.parametrize("name", ALL)
def test_trading_is_true_only_with_a_pod_that_trades_and_false_only_without_any(name: str) -> None:
    _, seen = ALL[name]
    trading = condition_of(stored(ALL[name])["status"], "Trading")["status"]
    started = [pod for pod in seen.pods.to_stop if pod.started]
    available = any(pod.ready and pod.going is None for pod in started)
    assert trading == ("True" if available else "Unknown" if started else "False")


pods = st.builds(
    bot_pod,
    st.just(RUNNING),
    started=st.none() | st.just(NOW - timedelta(hours=1)),
    ready=st.booleans(),
    going=st.none() | st.just(NOW + timedelta(seconds=9)) | st.just(NOW - timedelta(hours=1)),
)
sights = st.builds(
    observed,
    st.sampled_from([RUNNING, STOPPED]),
    pods=st.builds(Pods, own=st.lists(pods, max_size=2).map(tuple), left=st.just(())),
    risk=st.sampled_from([None, LOSS, STALE, SILENT]),
    refusals=st.sampled_from([(), (REFUSED,)]),
    conflicts=st.sampled_from([(), ("Service arb",)]),
    stopping_since=st.sampled_from([None, NOW - timedelta(hours=1)]),
    was_blocked=st.booleans(),
)
specs = st.sampled_from([{}, PAUSED, CLOSED, INVALID, {"mode": "Live"}, {**PAUSED, **CLOSED}])


@given(specs.map(bot), sights)
def test_a_stop_that_has_not_succeeded_is_never_ready(subject: Bot, seen: Observed) -> None:
    decision = plan(subject, seen, NOW)
    obj = stored((subject, seen))
    blocked = condition_of(obj["status"], "StopBlocked")["status"]
    ready = condition_of(obj["status"], "Ready")["status"]
    trading = condition_of(obj["status"], "Trading")["status"]
    assert ready in {"True", "False"}
    if decision.stop is not None and not has_stopped(seen):
        assert ready == "False"
    if blocked == "True":
        assert (ready, progress(obj), kstatus(obj)) == ("False", "Stalled", "Failed")
        assert argo_health(obj)[0] == "Degraded"
    if ready == "True" and decision.stop is None:
        assert trading == "True"
    if ready == "True" and decision.stop is not None:
        assert trading == "False"
    assert (progress(obj) == "-") is (ready == "True")

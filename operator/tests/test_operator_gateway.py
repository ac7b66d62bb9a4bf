"""The risk gateway in a bot's pod: what it has, what the bot has instead, and who refuses it."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from operator_harness import NOW, SECRET, SECRET_VERSION, bot, merged, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator import RESTART_HASH
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.drift import corrected
from tradingbot_operator.bots.children.gateway import DEFAULT_CONTAINER, GatewayImage
from tradingbot_operator.bots.children.manifests import Config, deployment, pod_template
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.observed import Children, Running
from tradingbot_operator.bots.plan import Plan, plan
from tradingbot_operator.bots.pods import BotPod, Pods, read_pod
from tradingbot_operator.bots.restart_causes import restart_causes
from tradingbot_operator.bots.status.gateway_status import gateway_ready
from tradingbot_operator.bots.status.phase import phase_of
from tradingbot_operator.bots.status.readiness import progress, ready
from tradingbot_operator.cluster.conditions import ConditionState
from tradingbot_operator.gateway_discovery import resources_of, too_old
from tradingbot_operator.reasons import Reason
from tradingbot_operator.settings import OperatorSettings

RESOURCES = resources_of(OperatorSettings())
WITH_IMAGE = Surroundings(gateway=GatewayImage("registry.example/operator:1", RESOURCES))
ASKED = {"riskManagement": {"enforcement": "Gateway"}}
LIVE = {**ASKED, "mode": "Live"}


def guarded(spec: JsonObject | None = None) -> Bot:
    found = bot(merged(LIVE, spec or {}))
    assert found.spec is not None, found.invalid_fields
    return found


def made(subject: Bot, surroundings: Surroundings = WITH_IMAGE) -> dict[str, JsonObject]:
    decision = plan(subject, observed(), NOW, surroundings)
    return {manifest["kind"]: manifest for manifest in decision.manifests}


def pod_of(spec: JsonObject | None = None) -> JsonObject:
    return dict(made(guarded(spec))["Deployment"]["spec"]["template"]["spec"])


def gateway_of(spec: JsonObject | None = None) -> JsonObject:
    (found,) = pod_of(spec)["initContainers"]
    return dict(found)


def env_of(container: JsonObject) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_the_keys_are_the_gateways_alone() -> None:
    pod = pod_of()
    (container,) = pod["containers"]
    (gateway,) = pod["initContainers"]

    assert SECRET not in repr(container)
    assert not any("secret" in volume for volume in pod["volumes"])
    assert env_of(gateway)["EXCHANGE_API_KEY"] == {
        "secretKeyRef": {"name": SECRET, "key": "api-key"}
    }
    placeholder = "tradingbot-gateway-placeholder"
    assert env_of(container) == {
        "EXCHANGE_API_KEY": placeholder,
        "EXCHANGE_API_SECRET": placeholder,
        "EXCHANGE_BASE_URL": "http://127.0.0.1:8081",
        "TRADINGBOT_CONFIG": "/etc/tradingbot/bot.json",
    }
    shared = {mount["name"] for mount in container["volumeMounts"]}
    assert shared & {mount["name"] for mount in gateway["volumeMounts"]} == {"config"}


COINBASE = {"exchange": {"name": "Coinbase"}}


def test_a_bot_of_coinbase_has_files_of_its_gateway() -> None:
    pod = pod_of(COINBASE)
    (container,) = pod["containers"]
    (gateway,) = pod["initContainers"]
    handed = "/etc/tradingbot-gateway"

    assert SECRET not in repr(container)
    placeholder = "tradingbot-gateway-placeholder"
    assert env_of(container) == {
        "EXCHANGE_API_KEY": placeholder,
        "EXCHANGE_API_SECRET": placeholder,
        "EXCHANGE_BASE_URL": "https://127.0.0.1:8081",
        "EXCHANGE_API_CA_FILE": f"{handed}/ca.crt",
        "EXCHANGE_API_KEY_FILE": f"{handed}/api-key",
        "EXCHANGE_API_SECRET_FILE": f"{handed}/api-secret",
        "SSL_CERT_FILE": f"{handed}/ca-bundle.crt",
        "REQUESTS_CA_BUNDLE": f"{handed}/ca-bundle.crt",
        "NODE_EXTRA_CA_CERTS": f"{handed}/ca.crt",
        "TRADINGBOT_CONFIG": "/etc/tradingbot/bot.json",
    }
    assert env_of(gateway)["TRADINGBOT_GATEWAY_DIALECT"] == "coinbase"
    assert env_of(gateway)["TRADINGBOT_GATEWAY_HANDOVER"] == handed
    mounts = {
        found["name"]: [
            each for each in found["volumeMounts"] if each["name"] == "gateway-handover"
        ]
        for found in (container, gateway)
    }
    mount = {"name": "gateway-handover", "mountPath": handed}
    assert mounts == {"bot": [{**mount, "readOnly": True}], "gateway": [mount]}
    (volume,) = (each for each in pod["volumes"] if each["name"] == "gateway-handover")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Mi"}  # on no disk
    assert "gateway-handover" not in repr(pod_of())
    shared = {mount["name"] for mount in container["volumeMounts"]}
    other = {mount["name"] for mount in gateway["volumeMounts"]}
    assert shared & other == {"config", "gateway-handover"}


def test_a_bot_of_coinbase_may_name_its_own_authorities() -> None:
    own = {"name": "SSL_CERT_FILE", "value": "/certs/all.pem"}
    (container,) = pod_of({**COINBASE, "pod": {"env": [own]}})["containers"]

    assert [each for each in container["env"] if each["name"] == "SSL_CERT_FILE"] == [own]


def test_in_paper_nobody_has_a_key() -> None:
    assert SECRET not in repr(pod_of({"mode": "Paper"}))


def test_it_is_a_sidecar_that_starts_first_ends_last_and_hears_of_the_end_at_once() -> None:
    gateway = gateway_of()

    assert (gateway["restartPolicy"], gateway["args"]) == ("Always", ["gateway"])
    assert gateway["image"] == "registry.example/operator:1"
    assert gateway["startupProbe"]["httpGet"] == {"path": "/readyz", "port": 8080}
    assert gateway["lifecycle"] == {"preStop": {"httpGet": {"path": "/drain", "port": 8082}}}
    assert gateway["resources"] == RESOURCES
    assert env_of(gateway)["TRADINGBOT_GATEWAY_DIALECT"] == "binance"


def test_it_keeps_to_the_restricted_standard() -> None:
    context = gateway_of()["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_only_the_gateway_takes_the_way_out() -> None:
    bundle = {"name": "corporate", "key": "ca.pem"}
    spec = {"exchange": {"proxyURL": "http://proxy.example:3128", "caBundle": bundle}}
    pod = pod_of(spec)
    (container,) = pod["containers"]
    (gateway,) = pod["initContainers"]

    assert env_of(gateway)["TRADINGBOT_GATEWAY_PROXY_URL"] == "http://proxy.example:3128"
    assert env_of(gateway)["TRADINGBOT_GATEWAY_CA_BUNDLE"] == "/etc/tradingbot-ca/ca.crt"
    assert "HTTPS_PROXY" not in env_of(container)
    assert "ca-bundle" not in {mount["name"] for mount in container["volumeMounts"]}
    assert "ca-bundle" in {mount["name"] for mount in gateway["volumeMounts"]}


def test_its_report_is_heard_while_it_is_not_ready() -> None:
    service = made(guarded())["Service"]["spec"]
    assert service["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in made(bot())["Service"]["spec"]


def annotations_of(subject: Bot) -> dict[str, str]:
    metadata = made(subject)["Deployment"]["spec"]["template"]["metadata"]
    return {key: value for key, value in metadata["annotations"].items() if key != RESTART_HASH}


def test_kubectl_shows_the_bot_where_it_would_ask_which_container() -> None:
    assert annotations_of(guarded()) == {DEFAULT_CONTAINER: "bot"}
    assert annotations_of(bot()) == {}


def test_a_user_may_have_kubectl_show_another_container() -> None:
    own = {"pod": {"annotations": {DEFAULT_CONTAINER: "gateway", "team": "desk"}}}
    assert annotations_of(guarded(own)) == own["pod"]["annotations"]


def test_a_bot_without_a_gateway_has_the_pod_that_it_always_had() -> None:
    asked = bot({"riskManagement": {"enforcement": "Bot"}})
    assert made(asked)["Deployment"] == made(bot())["Deployment"]
    assert "initContainers" not in made(bot())["Deployment"]["spec"]["template"]["spec"]


# ---- a restart


def running(subject: Bot, surroundings: Surroundings = WITH_IMAGE) -> Running:
    assert subject.spec is not None
    template, hash_ = pod_template(subject, subject.spec, SECRET_VERSION, surroundings)
    return Running.of(template, Config.declared(subject, subject.spec), hash_, SECRET_VERSION)


@pytest.mark.parametrize("exchange", ["Binance", "Coinbase"])
@pytest.mark.parametrize(("before", "after"), [("Bot", "Gateway"), ("Gateway", "Bot")])
def test_a_change_of_enforcement_is_a_restart_that_is_named(
    before: str, after: str, exchange: str
) -> None:
    way = {"name": exchange, "proxyURL": "http://proxy.example:3128"}
    proxy = {"mode": "Live", "exchange": way}
    old, new = (
        running(bot({**proxy, "riskManagement": {"enforcement": each}})) for each in (before, after)
    )
    assert old.hash != new.hash
    causes = restart_causes(old, new, observed(), secret=SECRET)
    assert causes == ("riskManagement.enforcement",)


def test_what_changes_with_it_is_named_too() -> None:
    old, image = running(bot({"mode": "Live"})), "ghcr.io/example/arb:2"
    new = running(guarded({"strategy": {"image": image}}))
    causes = restart_causes(old, new, observed(), secret=SECRET)
    assert causes == ("riskManagement.enforcement", "image")


def test_another_gateway_is_a_restart_by_its_name() -> None:
    other = Surroundings(gateway=GatewayImage("registry.example/operator:2", RESOURCES))
    old, new = running(guarded()), running(guarded(), other)
    assert restart_causes(old, new, observed(), secret=SECRET) == ("gateway",)


def test_an_operator_that_declares_the_gateway_in_another_way_restarts_it_by_its_name() -> None:
    subject = guarded()
    new = running(subject)
    template, config = new.unpacked()
    annotations = dict(template["metadata"]["annotations"])
    del annotations[DEFAULT_CONTAINER]
    before = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
    old = Running.of(before, config, "earlier", SECRET_VERSION)
    assert restart_causes(old, new, observed(), secret=SECRET) == ("gateway",)


def test_an_annotation_of_the_user_is_a_restart_by_its_field() -> None:
    own = {"pod": {"annotations": {DEFAULT_CONTAINER: "gateway"}}}
    old, new = running(guarded()), running(guarded(own))
    assert restart_causes(old, new, observed(), secret=SECRET) == ("pod.annotations",)


def test_a_limit_is_no_restart() -> None:
    tight = {"riskManagement": {"maxPositionSize": "10", "maxOrdersPerMinute": 5}}
    assert running(guarded()).hash == running(guarded(tight)).hash


def test_a_balance_that_live_does_not_use_is_no_restart() -> None:
    other = {"exchange": {"paperBalance": [{"asset": "USDT", "amount": "7"}]}}
    assert running(guarded()).hash == running(guarded(other)).hash
    paper = {"mode": "Paper"}
    assert running(guarded(paper)).hash != running(guarded(merged(paper, other))).hash


# ---- refusals


def test_an_old_kubernetes_gets_a_clear_refusal_and_no_pod() -> None:
    refusal = too_old({"major": "1", "minor": "28+"})
    assert refusal.startswith(
        "enforcement: Gateway, the default for Binance and Coinbase, needs Kubernetes 1.29"
    )
    assert "Set spec.riskManagement.enforcement to Bot" in refusal
    old = Surroundings(gateway=GatewayImage("registry.example/operator:1", RESOURCES, refusal))
    subject = guarded()

    decision = plan(subject, observed(), NOW, old)

    assert (decision.stop, decision.manifests) == (Reason.GATEWAY_UNAVAILABLE, ())
    assert readiness(subject, decision).message == refusal
    assert phase_of(subject, decision, observed(), NOW) == "Failed"
    blocked = ConditionState("StopBlocked", "False", Reason.NOT_STOPPING, "")
    (stalled,) = progress(readiness(subject, decision), blocked)
    assert stalled.type == "Stalled"


def readiness(subject: Bot, decision: Plan) -> ConditionState:
    reported = ConditionState("RiskReported", "Unknown", Reason.NOT_RUNNING, "")
    return ready(subject, decision, observed(), phase="Failed", reported=reported, now=NOW)


@pytest.mark.parametrize("minor", ["29", "30+", "37", "strange"])
def test_other_versions_run_it(minor: str) -> None:
    assert too_old({"major": "1", "minor": minor}) == ""


def test_without_an_image_a_bot_that_runs_is_stopped_and_not_given_the_keys() -> None:
    subject = guarded()
    template = made(subject)["Deployment"]["spec"]["template"]
    live = deployment(subject, template=template, replicas=1)
    decision = plan(subject, observed(Children(deployment=live)), NOW, Surroundings())

    (stopped,) = decision.manifests
    assert stopped["spec"]["replicas"] == 0
    assert "TRADINGBOT_OPERATOR_GATEWAY_IMAGE" in decision.refusal


def test_a_bot_of_enforcement_bot_does_not_need_one() -> None:
    assert plan(bot(), observed(), NOW, Surroundings()).stop is None


# ---- its condition


def pod_with(status: JsonObject, *, bot_runs: bool = True) -> BotPod:
    running = {"running": {"startedAt": "2026-03-04T11:00:00Z"}}
    bots = {"name": "bot", "ready": bot_runs, "state": running if bot_runs else {}}
    found: JsonObject = {
        "metadata": {"name": "arb-1", "uid": "u"},
        "status": {
            "initContainerStatuses": [{"name": "gateway", **status}],
            "containerStatuses": [bots],
        },
    }
    return read_pod(found)


RUNS = {"state": {"running": {}}}
CRASHES = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}


@pytest.mark.parametrize(
    ("gateway", "bot_runs", "status", "reason", "said"),
    [
        ({**RUNS, "started": True, "ready": True}, True, "True", "Reconciled", "keeps the limits"),
        ({**RUNS, "started": False}, False, "False", "NotReconciled", "bot starts after that"),
        ({**RUNS, "started": True, "ready": False}, True, "False", "NotReconciled", "no entries"),
        (CRASHES, False, "False", "NotAvailable", "CrashLoopBackOff: back-off 10s"),
    ],
)
def test_its_condition_says_what_the_pod_shows(
    gateway: JsonObject, bot_runs: bool, status: str, reason: str, said: str
) -> None:
    subject = guarded()
    pods = Pods(own=(pod_with(gateway, bot_runs=bot_runs),))
    seen = replace(observed(), pods=pods)
    (found,) = gateway_ready(subject, plan(subject, seen, NOW, WITH_IMAGE), seen)
    assert (found.status, found.reason) == (status, reason)
    assert said in found.message


def test_a_pod_from_before_a_change_of_enforcement_is_told_from_a_broken_one() -> None:
    before = {"name": "bot", "state": {"running": {"startedAt": "2026-03-04T11:00:00Z"}}}
    metadata = {"name": "arb-1", "uid": "u"}
    pod = read_pod({"metadata": metadata, "status": {"containerStatuses": [before]}})
    seen = replace(observed(), pods=Pods(own=(pod,)))
    subject = guarded()
    (found,) = gateway_ready(subject, plan(subject, seen, NOW, WITH_IMAGE), seen)
    assert (found.status, found.reason) == ("False", "NotAvailable")
    assert "see RolloutPending" in found.message


def test_a_bot_that_keeps_its_limits_itself_has_no_such_condition() -> None:
    assert not [*gateway_ready(bot(), plan(bot(), observed(), NOW), observed())]


# ---- drift


@pytest.mark.parametrize(
    "change",
    [
        {"command": ["sh"]},
        {"envFrom": [{"secretRef": {"name": "other"}}]},
        {"securityContext": {"runAsUser": 0}},
        {"env": [{"name": "TRADINGBOT_GATEWAY_LISTEN", "value": "0.0.0.0:8081"}]},
        {"volumeMounts": [{"name": "x", "mountPath": "/etc/tradingbot/other"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_others_add_to_the_gateway_is_removed(change: JsonObject) -> None:
    declared = made(guarded())["Deployment"]
    live = copy.deepcopy(declared)
    (gateway,) = live["spec"]["template"]["spec"]["initContainers"]
    for name, value in change.items():
        if isinstance(value, list):
            gateway[name] = [*gateway.get(name, ()), *value]
        else:
            gateway[name] = {**gateway.get(name, {}), **value}

    fixed = corrected(live, declared)

    assert fixed is not None
    assert (
        fixed["spec"]["template"]["spec"]["initContainers"]
        == (declared["spec"]["template"]["spec"]["initContainers"])
    )

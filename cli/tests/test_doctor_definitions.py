"""What the doctor says of definitions and webhook configurations."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tradingbot_api.crds import crds
from tradingbot_cli.doctor.expected import Installation
from tradingbot_cli.doctor.facts import Backend, Unseen
from tradingbot_cli.doctor.findings import Finding, Status
from tradingbot_cli.doctor.judge_crds import judge_crds
from tradingbot_cli.doctor.judge_webhooks import judge_backend, judge_configurations

Object = dict[str, Any]
BOTS = "tradingbots.trading.io"
SERVED = {"conditions": [{"type": "Established", "status": "True"}]}
WANTED = Installation.of_this_version("tradingbot-system").configurations
MUTATING, VALIDATING = WANTED


def stored_crds() -> dict[str, Object]:
    """The definitions of this version, with what the API server adds."""
    every = copy.deepcopy(crds())
    for crd in every:
        crd["spec"]["conversion"] = {"strategy": "None"}
        crd["status"] = SERVED
    return {crd["metadata"]["name"]: crd for crd in every}


def schema_of(crd: Object) -> Object:
    schema: Object = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def bots_judged(stored: Any) -> Finding:
    seen = {**stored_crds(), BOTS: stored}
    return next(finding for finding in judge_crds(crds(), seen) if finding.check == f"crd/{BOTS}")


def test_those_of_this_version_are_well() -> None:
    findings = list(judge_crds(crds(), stored_crds()))
    assert [finding.status for finding in findings] == [Status.OK, Status.OK]


def test_one_that_is_missing() -> None:
    finding = bots_judged(None)
    assert (finding.status, finding.reason) == (Status.FAILED, "Missing")
    assert finding.todo[0].endswith("tradingbot crds | kubectl apply --server-side -f -")


def test_one_that_may_not_be_seen_is_unknown() -> None:
    assert bots_judged(Unseen("you may not look")).status == Status.UNKNOWN


def test_one_that_is_not_served() -> None:
    crd = stored_crds()[BOTS] | {"status": {}}
    assert bots_judged(crd).reason == "NotEstablished"


def test_a_field_that_an_older_version_lacks_is_named() -> None:
    crd = stored_crds()[BOTS]
    risk = schema_of(crd)["properties"]["spec"]["properties"]["riskManagement"]
    del risk["properties"]["maxOpenPositions"]
    finding = bots_judged(crd)
    assert (finding.status, finding.reason) == (Status.FAILED, "Outdated")
    assert "spec.riskManagement.maxOpenPositions is missing" in finding.message


def test_a_field_that_only_another_version_has_is_named() -> None:
    crd = stored_crds()[BOTS]
    schema_of(crd)["properties"]["spec"]["properties"]["leverage"] = {"type": "string"}
    assert "spec.leverage is of another version" in bots_judged(crd).message


def test_a_rule_that_differs_is_named_with_its_field() -> None:
    crd = stored_crds()[BOTS]
    image = schema_of(crd)["properties"]["spec"]["properties"]["strategy"]["properties"]["image"]
    image["maxLength"] = 7
    assert "spec.strategy.image: maxLength" in bots_judged(crd).message


def test_versions_are_compared_by_name() -> None:
    crd = stored_crds()[BOTS]
    crd["spec"]["versions"][0]["name"] = "v1beta1"
    message = bots_judged(crd).message
    assert "version v1 is missing" in message
    assert "version v1beta1 is not part of this version" in message


def test_a_version_that_is_not_served_is_named() -> None:
    crd = stored_crds()[BOTS]
    crd["spec"]["versions"][0]["served"] = False
    assert "version v1: served" in bots_judged(crd).message


def test_other_descriptions_are_only_warned_of() -> None:
    crd = stored_crds()[BOTS]
    schema_of(crd)["properties"]["spec"]["description"] = "In other words."
    finding = bots_judged(crd)
    assert (finding.status, finding.reason) == (Status.WARNING, "Outdated")


# ---- webhook configurations


def stored_webhooks() -> dict[str, Any]:
    """As the API server stores them: with empty selectors, and a bundle."""
    stored = copy.deepcopy(WANTED)
    for configuration in stored.values():
        for webhook in configuration["webhooks"]:
            webhook |= {"namespaceSelector": {}, "objectSelector": {}}
            webhook["clientConfig"]["caBundle"] = "YQ=="
    return stored


def webhooks_judged(stored: dict[str, Any]) -> dict[str, Finding]:
    return {
        finding.check.partition("/")[2]: finding for finding in judge_configurations(WANTED, stored)
    }


def test_configurations_of_this_version_are_well() -> None:
    findings = webhooks_judged(stored_webhooks())
    assert {finding.status for finding in findings.values()} == {Status.OK}


def test_webhooks_called_by_url_are_the_same_webhooks() -> None:
    stored = stored_webhooks()
    for configuration in stored.values():
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"].pop("service")["path"]
            webhook["clientConfig"]["url"] = f"https://127.0.0.1:9443{path}"
    findings = webhooks_judged(stored)
    assert {finding.status for finding in findings.values()} == {Status.OK}


def test_a_configuration_that_is_missing() -> None:
    finding = webhooks_judged(stored_webhooks() | {VALIDATING: None})["tradingbot-validating"]
    assert (finding.status, finding.reason) == (Status.FAILED, "Missing")
    assert "apply this version's manifests again" in finding.todo[0]


def test_a_webhook_that_is_missing_is_named() -> None:
    stored = stored_webhooks()
    removed = stored[VALIDATING]["webhooks"].pop(0)
    finding = webhooks_judged(stored)["tradingbot-validating"]
    assert (finding.status, finding.reason) == (Status.FAILED, "Incomplete")
    assert removed["name"] in finding.message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"failurePolicy": "Ignore"}, "failurePolicy"),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}}, "namespaceSelector"),
        ({"clientConfig": {"service": {"path": "/elsewhere"}}}, "clientConfig (its path)"),
    ],
)
def test_a_setting_that_differs_is_warned_of_and_named(change: Object, named: str) -> None:
    stored = stored_webhooks()
    stored[MUTATING]["webhooks"][0] |= change
    finding = webhooks_judged(stored)["tradingbot-mutating"]
    assert (finding.status, finding.reason) == (Status.WARNING, "Different")
    assert f"tradingbot.mutate.trading.io: {named}" in finding.message


def test_one_that_may_not_be_seen_is_unknown_and_no_fault() -> None:
    finding = webhooks_judged(stored_webhooks() | {MUTATING: Unseen("you may not look")})
    assert finding["tradingbot-mutating"].status == Status.UNKNOWN


# ---- the Service behind them

SERVICE = {"spec": {"ports": [{"name": "https", "port": 443}]}}


def endpoints(*ready: bool) -> tuple[Object, ...]:
    return ({"endpoints": [{"conditions": {"ready": is_ready}} for is_ready in ready]},)


@pytest.mark.parametrize(
    ("service", "slices", "status", "reason"),
    [
        (SERVICE, endpoints(True, False), Status.OK, ""),
        (SERVICE, endpoints(False), Status.FAILED, "NoEndpoints"),
        (SERVICE, ({"endpoints": None},), Status.FAILED, "NoEndpoints"),
        (SERVICE, (), Status.FAILED, "NoEndpoints"),
        (None, (), Status.FAILED, "Missing"),
        ({"spec": {"ports": [{"port": 8443}]}}, (), Status.FAILED, "Misconfigured"),
        (Unseen("no"), (), Status.UNKNOWN, "Unknown"),
        (SERVICE, Unseen("no"), Status.UNKNOWN, "Unknown"),
    ],
)
def test_the_service_leads_to_somebody(
    service: Any, slices: Any, status: Status, reason: str
) -> None:
    finding = judge_backend(Backend("tradingbot-system", "webhooks", 443, service, slices))
    assert (finding.status, finding.reason) == (status, reason)

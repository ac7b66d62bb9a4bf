"""What the doctor says of admission, rights, Deployments, the Lease and the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from tradingbot_api.admission.review import defaulted, review
from tradingbot_cli.doctor.expected import CERTS, OPERATOR, WEBHOOKS, Installation, Right
from tradingbot_cli.doctor.facts import Caller, LeaseSeen, Reply, Unseen
from tradingbot_cli.doctor.findings import (
    Finding,
    Status,
)
from tradingbot_cli.doctor.judge_admission import judge_admission
from tradingbot_cli.doctor.judge_rights import forbidden, judge_rights
from tradingbot_cli.doctor.judge_running import (
    judge_caller,
    judge_cert_manager,
    judge_deployments,
    judge_lease,
    judge_namespace,
    judge_registry,
)
from tradingbot_cli.doctor.sample_bot import FRACTION, to_complete, to_refuse

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAMESPACE = "tradingbot-system"
WANTED = Installation.of_this_version(NAMESPACE)
CONFIG = Path(__file__).parents[2] / "config"


# ---- admission

COMPLETED = Reply(201, "", {"spec": {"riskManagement": {"stopLossPercentage": FRACTION}}})
REFUSED = Reply(422, 'admission webhook "tradingbot.validate.trading.io" denied the request: a')


def admission(defaults: Reply | Unseen = COMPLETED, checks: Reply | Unseen = REFUSED) -> list[Any]:
    return list(judge_admission(defaults, checks, namespace=NAMESPACE))


def call_failed(webhook: str, said: str) -> Reply:
    address = "https://tradingbot-webhooks.tradingbot-system.svc:443/mutate?timeout=5s"
    message = (
        f'failed calling webhook "{webhook}": failed to call webhook: Post "{address}": {said}'
    )
    return Reply(500, f"Internal error occurred: {message}")


def test_the_sample_bots_are_right_and_wrong_in_the_way_that_only_the_webhooks_see() -> None:
    completed = defaulted("TradingBot", to_complete())
    assert completed["spec"]["riskManagement"]["stopLossPercentage"] == FRACTION
    assert not review("TradingBot", completed, now=NOW).errors
    verdict = review("TradingBot", defaulted("TradingBot", to_refuse()), now=NOW)
    assert [error.field for error in verdict.errors] == ["spec.schedule.windows[0].end"]
    assert not verdict.malformed  # else the mutating webhook, or the schema, would refuse it


def test_both_webhooks_have_their_say() -> None:
    assert [finding.status for finding in admission()] == [Status.OK, Status.OK]


def test_webhooks_that_are_not_asked() -> None:
    plain = Reply(201, "", {"spec": {"riskManagement": {}}})
    said = 'spec.riskManagement.stopLossPercentage in body must be of type integer,string: "number"'
    refused = Reply(422, f'TradingBot.trading.io "tradingbot-doctor" is invalid: {said}')
    findings = admission(refused, plain)
    assert [finding.reason for finding in findings] == ["NotAsked", "NotAsked"]
    assert {finding.status for finding in findings} == {Status.FAILED}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
            "Expired",
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "UnknownAuthority",
        ),
        (
            "tls: failed to verify certificate: x509: certificate is valid for a.svc, not b.svc",
            "WrongHost",
        ),
        (
            "x509: cannot validate certificate for ::1 because it doesn't contain any IP SANs",
            "WrongHost",
        ),
        ('no endpoints available for service "tradingbot-webhooks"', "NoEndpoints"),
        ("dial tcp 10.96.0.9:443: connect: connection refused", "ConnectionRefused"),
        ("context deadline exceeded", "Timeout"),
        ('service "tradingbot-webhooks" not found', "ServiceMissing"),
        ("something that nobody has heard of", "Unreachable"),
    ],
)
def test_a_call_that_fails_is_named_by_its_cause(said: str, reason: str) -> None:
    findings = admission(
        call_failed("tradingbot.mutate.trading.io", said),
        call_failed("tradingbot.validate.trading.io", said),
    )
    for finding in findings:
        assert (finding.status, finding.reason) == (Status.FAILED, reason)
        assert said in finding.message
        assert finding.todo


def test_the_second_webhook_is_unknown_where_the_first_could_not_be_asked() -> None:
    broken = call_failed("tradingbot.mutate.trading.io", "context deadline exceeded")
    assert [finding.status for finding in admission(broken, broken)] == [
        Status.FAILED,
        Status.UNKNOWN,
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Unseen("the API server does not answer"),
        Reply(403, 'tradingbots.trading.io is forbidden: User "jane" cannot create resource'),
        Reply(400, 'admission webhook "policy.example.com" denied the request: no labels'),
        call_failed("policy.example.com", "context deadline exceeded"),
    ],
)
def test_what_others_keep_us_from_seeing_is_unknown(reply: Reply | Unseen) -> None:
    assert {finding.status for finding in admission(reply, reply)} == {Status.UNKNOWN}


def test_definitions_that_are_missing_or_old_are_told_as_such() -> None:
    missing, old = Reply(404, "404 page not found"), Reply(422, "spec.mode: Unsupported value")
    assert {finding.reason for finding in admission(missing, missing)} == {"NotServed"}
    assert {finding.reason for finding in admission(old, old)} == {"Outdated"}


def test_our_own_webhook_that_refuses_a_right_bot_is_a_fault() -> None:
    finding = admission(REFUSED)[0]
    assert (finding.status, finding.reason) == (Status.FAILED, "Refused")


# ---- rights


def rights() -> dict[Right, bool | Unseen]:
    """All that must be granted is, and what must not is not."""
    wanted = WANTED.rights()
    accounts = {WEBHOOKS, *(right.account for right in wanted)}
    never = [right for account in accounts for right in forbidden(account)]
    return dict.fromkeys(wanted, True) | dict.fromkeys(never, False)


def rights_judged(seen: dict[Right, bool | Unseen]) -> dict[str, Finding]:
    return {finding.check: finding for finding in judge_rights(seen, namespace=NAMESPACE)}


def test_the_packaged_rules_are_those_of_config() -> None:
    """Read in another way than they are packaged: nothing is lost on the way."""
    roles = [
        manifest
        for folder in ("rbac", "certs")
        for file in sorted((CONFIG / folder).glob("*.yaml"))
        for manifest in yaml.safe_load_all(file.read_text())
        if manifest and manifest["kind"] in {"Role", "ClusterRole"}
    ]
    for account in (OPERATOR, CERTS):
        words = sum(
            len(rule["apiGroups"])
            * len(rule["resources"])
            * len(rule["verbs"])
            * len(rule.get("resourceNames", [""]))
            for role in roles
            if role["metadata"]["name"].startswith(account)
            for rule in role["rules"]
        )
        mine = {right for right in WANTED.rights() if right.account == account}
        assert len(mine) == words > 0
    assert Right(OPERATOR, "", "secrets", "get") in WANTED.rights()
    assert Right(OPERATOR, "coordination.k8s.io", "leases", "update", NAMESPACE, OPERATOR) in (
        WANTED.rights()
    )
    assert Right("tradingbot-registry", "authentication.k8s.io", "tokenreviews", "create") in (
        WANTED.rights()
    )


def test_an_operator_for_some_namespaces_needs_its_rights_there_only() -> None:
    confined = WANTED.rights(operator_namespaces=["one", "two"])
    bots = [
        right for right in confined if right.resource == "tradingbots" and right.verb == "patch"
    ]
    assert [right.namespace for right in bots] == ["one", "two"]
    assert Right(OPERATOR, "registry.trading.io", "assets", "list") in confined


def test_all_rights_granted_is_well_for_each_account() -> None:
    findings = rights_judged(rights())
    assert set(findings) == {
        f"rights/tradingbot-{name}" for name in ("operator", "webhooks", "registry", "certs")
    }
    assert {finding.status for finding in findings.values()} == {Status.OK}


def test_a_right_that_is_missing_is_named() -> None:
    seen = rights() | {Right(OPERATOR, "apps", "deployments", "patch"): False}
    finding = rights_judged(seen)["rights/tradingbot-operator"]
    assert (finding.status, finding.reason) == (Status.FAILED, "Missing")
    assert finding.message == "may not patch deployments.apps"
    assert any(
        "--as=system:serviceaccount:tradingbot-system:tradingbot-operator" in step
        for step in finding.todo
    )


def test_a_right_that_may_be_taken_away_is_warned_of_with_what_is_lost() -> None:
    seen = rights() | {
        Right(OPERATOR, "apiextensions.k8s.io", "customresourcedefinitions", "list"): False
    }
    finding = rights_judged(seen)["rights/tradingbot-operator"]
    assert (finding.status, finding.reason) == (Status.WARNING, "Optional")
    assert "a definition that comes late needs a restart" in finding.message


def test_the_webhooks_need_no_right() -> None:
    assert not any(right.account == WEBHOOKS for right in WANTED.rights())
    assert rights_judged(rights())["rights/tradingbot-webhooks"].message == (
        "needs no rights, and may not get or list or watch Secrets"
    )


def test_webhooks_that_may_read_secrets_are_warned_of() -> None:
    """As is left over from an older version that was set to: nothing is pruned."""
    seen = rights() | {Right(WEBHOOKS, "", "secrets", "get"): True}
    finding = rights_judged(seen)["rights/tradingbot-webhooks"]
    assert (finding.status, finding.reason) == (Status.WARNING, "TooMuch")
    assert finding.message.startswith("may get secrets, which it does not need")


def test_a_right_too_much_is_warned_of() -> None:
    seen = rights() | {Right(WEBHOOKS, "", "secrets", "list"): True}
    finding = rights_judged(seen)["rights/tradingbot-webhooks"]
    assert (finding.status, finding.reason) == (Status.WARNING, "TooMuch")
    assert "list secrets" in finding.message


def test_who_may_not_ask_gets_no_verdict() -> None:
    seen = dict.fromkeys(rights(), Unseen("you may not ask"))
    assert {finding.status for finding in rights_judged(seen).values()} == {Status.UNKNOWN}  # type: ignore[arg-type]


# ---- Deployments


def deployment(*, wanted: int = 2, available: int = 2, updated: int = 2, label: str = "") -> Any:
    return {
        "metadata": {"labels": {"app.kubernetes.io/version": label}},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"component": "operator"}}},
        "status": {"availableReplicas": available, "updatedReplicas": updated},
    }


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        (deployment(), Status.OK, ""),
        (deployment(label=version("tradingbot-operator")), Status.OK, ""),
        (None, Status.FAILED, "Missing"),
        (deployment(available=0), Status.FAILED, "NotAvailable"),
        (deployment(wanted=0, available=0), Status.FAILED, "Stopped"),
        (deployment(available=1), Status.WARNING, "NotAvailable"),
        (deployment(updated=1), Status.WARNING, "Updating"),
        (deployment(label="0.0.1"), Status.WARNING, "OtherVersion"),
        (Unseen("no"), Status.UNKNOWN, "Unknown"),
    ],
)
def test_a_deployment(found: Any, status: Status, reason: str) -> None:
    (finding,) = judge_deployments({OPERATOR: found}, namespace=NAMESPACE, injected=False)
    assert (finding.status, finding.reason) == (status, reason)
    assert bool(finding.todo) is (status in {Status.WARNING, Status.FAILED})


@pytest.mark.parametrize(
    ("found", "injected", "reason"),
    [
        (deployment(), False, ""),
        (None, False, "NoIssuer"),
        (deployment(), True, "TwoIssuers"),
        (None, True, None),
    ],
)
def test_exactly_one_looks_after_the_certificate(
    found: Any, injected: bool, reason: str | None
) -> None:
    findings = judge_deployments({CERTS: found}, namespace=NAMESPACE, injected=injected)
    assert [finding.reason for finding in findings] == ([] if reason is None else [reason])


def test_cert_manager_says_what_it_waits_for() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "renewalTime": "2027-01-01"}
    waits = {"conditions": [{"type": "Ready", "status": "False", "message": "no issuer"}]}
    seen: Any = {
        "n/a": {"status": ready},
        "n/b": {"status": waits},
        "n/c": {},
        "n/d": None,
        "n/e": Unseen("no"),
    }
    findings = list(judge_cert_manager(seen))
    assert [finding.status for finding in findings] == [
        *(Status.OK, Status.FAILED, Status.FAILED, Status.FAILED, Status.UNKNOWN)
    ]
    assert findings[1].message == "is not ready: no issuer"
    assert findings[1].todo == ("kubectl -n n describe certificate b",)


# ---- Lease, registry, namespace, caller

HELD = {"spec": {"holderIdentity": "one_a", "renewTime": "2026-11-24T11:59:00.000000Z"}}


@pytest.mark.parametrize(
    ("seen", "status", "reason"),
    [
        (LeaseSeen(HELD, renewed=True, watched_seconds=2.1), Status.OK, ""),
        (LeaseSeen(HELD, watched_seconds=12.2), Status.FAILED, "Stale"),
        (LeaseSeen({"spec": {}}, watched_seconds=3), Status.FAILED, "NotHeld"),
        (LeaseSeen(None), Status.FAILED, "Missing"),
        (LeaseSeen(Unseen("no")), Status.UNKNOWN, "Unknown"),
    ],
)
def test_the_lease(seen: LeaseSeen, status: Status, reason: str) -> None:
    finding = judge_lease(seen, namespace=NAMESPACE)
    assert (finding.status, finding.reason) == (status, reason)


def test_a_stale_lease_is_told_with_its_holder() -> None:
    message = judge_lease(LeaseSeen(HELD, watched_seconds=12.2), namespace=NAMESPACE).message
    assert "one_a has not renewed the Lease for 12 s" in message
    assert "2026-11-24T11:59:00" in message


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        (Reply(200, "ok"), Status.OK, ""),
        (Reply(403, "forbidden"), Status.UNKNOWN, "Unknown"),
        (Unseen("no"), Status.UNKNOWN, "Unknown"),
        (Reply(404, "not found"), Status.FAILED, "Missing"),
        (Reply(503, "no endpoints available for service"), Status.FAILED, "NoEndpoints"),
        (Reply(503, "the database is locked"), Status.FAILED, "NotReady"),
        (
            Reply(503, "error trying to reach service: dial tcp: i/o timeout"),
            Status.WARNING,
            "Timeout",
        ),
        (
            Reply(503, "error trying to reach service: dial tcp: connection refused"),
            Status.FAILED,
            "Unreachable",
        ),
    ],
)
def test_the_registry(reply: Reply | Unseen, status: Status, reason: str) -> None:
    finding = judge_registry(reply, namespace=NAMESPACE)
    assert (finding.status, finding.reason) == (status, reason)


def test_the_namespace() -> None:
    def status(found: Any) -> str:
        return judge_namespace(NAMESPACE, found).reason

    assert status({"metadata": {}}) == ""
    assert status(None) == "Missing"
    assert status({"metadata": {"deletionTimestamp": "2026-11-24T12:00:00Z"}}) == "Terminating"
    assert status(Unseen("no")) == "Unknown"


def test_what_a_caller_may_not_look_at_is_said_once() -> None:
    full = list(judge_caller(Caller("https://a", "v1.37.0")))
    assert {finding.status for finding in full} == {Status.OK}
    some = list(judge_caller(Caller("https://a", "v1.37.0", ("get leases in a",))))
    assert some[1].status == Status.UNKNOWN
    assert "get leases in a" in some[1].message


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("v1.28.15-gke.100", Status.WARNING),
        ("v1.29.0", Status.OK),
        ("v2.0.0", Status.OK),
        ("unknown", Status.OK),
    ],
)
def test_a_kubernetes_that_runs_no_gateways_is_a_warning(version: str, status: Status) -> None:
    found, *_ = judge_caller(Caller("https://a", version))

    assert found.status == status
    assert ("1.29" in found.message.replace(version, "")) is (status is Status.WARNING)

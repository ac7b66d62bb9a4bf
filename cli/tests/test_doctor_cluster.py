"""The doctor on a real control plane: all well, and then one thing after the other broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from issued import authority, serving
from sample_cluster import ACCOUNT, PATIENCE, PAUSE, REGISTRY, SampleCluster, installed
from tradingbot_cli.main import main
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.system import OPERATOR, WEBHOOKS

ACCOUNT_OF_WEBHOOKS = "tradingbot-webhooks"
Findings = dict[str, dict[str, Any]]
Doctor = Callable[..., tuple[int, Findings]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SampleCluster]:
    with installed() as one:
        yield one


@pytest.fixture
def doctor(cluster: SampleCluster, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs it as its own account: the exit code, and the findings by check."""

    def run(kubeconfig: Path = cluster.kubeconfig) -> tuple[int, Findings]:
        code = main(["doctor", "--kubeconfig", str(kubeconfig), "-o", "json"])
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, {finding["check"]: finding for finding in json.loads(printed.out)["findings"]}

    return run


def found(doctor: Doctor, check: str, reason: str, status: str = "failed") -> Findings:
    """All findings, once this one is there: the API server follows a change within seconds."""
    latest: Findings = {}

    def seen() -> bool:
        code, findings = doctor()
        latest.clear()
        latest.update(findings)
        one = findings.get(check, {})
        hit = (one.get("status"), one.get("reason")) == (status, reason)
        assert not hit or status != "failed" or code == 1
        return hit

    try:
        wait_until(seen, what=f"{check} {reason}", seconds=PATIENCE, every=PAUSE)
    except Exception as error:
        raise AssertionError(json.dumps(latest, indent=1)) from error
    assert latest[check]["todo"] or status == "unknown"
    return latest


def all_well(doctor: Doctor) -> None:
    latest: dict[str, Any] = {}

    def well() -> bool:
        code, findings = doctor()
        latest.clear()
        latest.update({n: finding for n, finding in findings.items() if finding["status"] != "ok"})
        return code == 0 and not latest

    try:
        wait_until(well, what="all well", seconds=PATIENCE, every=PAUSE)
    except Exception as error:
        raise AssertionError(json.dumps(latest, indent=1)) from error


@pytest.fixture(autouse=True)
def well_again(cluster: SampleCluster, doctor: Doctor) -> Iterator[None]:
    """Each test repairs what it broke, and the doctor sees that too."""
    yield
    all_well(doctor)


def test_a_healthy_system_is_all_well_to_one_with_no_more_rights_than_needed(
    cluster: SampleCluster, doctor: Doctor
) -> None:
    all_well(doctor)
    _, findings = doctor()
    assert {
        *("api-server", "your-rights", f"namespace/{SYSTEM_NAMESPACE}", "registry"),
        *("crd/tradingbots.trading.io", "crd/assetregistries.trading.io", "operator/lease"),
        *(f"deployment/tradingbot-{n}" for n in ("operator", "webhooks", "registry", "certs")),
        *(f"rights/tradingbot-{n}" for n in ("operator", "webhooks", "registry", "certs")),
        *("webhooks/tradingbot-mutating", "webhooks/tradingbot-validating"),
        *("certificate/authority", "certificate/names", "certificate/life"),
        *("admission/defaults", "admission/checks"),
    } == set(findings)


def test_it_reads_no_secret_and_stores_nothing(cluster: SampleCluster, doctor: Doctor) -> None:
    doctor()
    me = f"system:serviceaccount:default:{ACCOUNT}"
    found = cluster.system.plane.audit_events(containing=me)
    asked = [event for event in found if event["user"]["username"] == me]
    assert asked
    assert not [event for event in asked if event.get("objectRef", {}).get("resource") == "secrets"]
    writes = {event["requestURI"] for event in asked if event["verb"] not in {"get", "list"}}
    reviews = "/apis/authorization.k8s.io/v1/"
    assert all(uri.startswith(reviews) or uri.endswith("dryRun=All") for uri in writes), writes


def test_the_table_is_for_people(
    cluster: SampleCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--kubeconfig", str(cluster.kubeconfig)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("STATUS   CHECK ")
    assert out.endswith("22 checks: 22 ok\n")


def test_a_definition_of_another_version(cluster: SampleCluster, doctor: Doctor) -> None:
    risk = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/riskManagement"
    gone = [{"op": "remove", "path": f"{risk}/properties/maxOpenPositions"}]
    crd = "tradingbots.trading.io"
    cluster.kubectl("patch", "crd", crd, "--type=json", "-p", json.dumps(gone))
    try:
        findings = found(doctor, f"crd/{crd}", "Outdated")
        assert (
            "spec.riskManagement.maxOpenPositions is missing" in (findings[f"crd/{crd}"]["message"])
        )
    finally:
        cluster.system.apply(
            manifests.text(
                manifest
                for manifest in cluster.rendered()
                if manifest["kind"] == "CustomResourceDefinition"
            )
        )


def test_a_webhook_configuration_that_is_missing(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.kubectl("delete", "validatingwebhookconfiguration", "tradingbot-validating")
    try:
        findings = found(doctor, "admission/checks", "NotAsked")
        assert findings["webhooks/tradingbot-validating"]["reason"] == "Missing"
        assert findings["webhooks/tradingbot-mutating"]["status"] == "ok"
    finally:
        cluster.trust((cluster.system.certificates / "ca.crt").read_bytes())


NOW = datetime.now(UTC)


def test_a_bundle_of_another_authority(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.trust(authority("another CA", begin=NOW - timedelta(days=1)).pem)
    try:
        findings = found(doctor, "admission/defaults", "UnknownAuthority")
        authority_finding = findings["certificate/authority"]
        assert authority_finding["reason"] == "UnknownAuthority"
        assert "another CA" in authority_finding["message"]
        assert findings["certificate/life"]["status"] == "ok"
    finally:
        cluster.trust((cluster.system.certificates / "ca.crt").read_bytes())


def test_an_expired_certificate(cluster: SampleCluster, doctor: Doctor) -> None:
    ca = authority("a CA", begin=NOW - timedelta(days=100))
    old = serving(ca, "127.0.0.1", begin=NOW - timedelta(days=93))
    with cluster.serving(old, ca=ca.pem):
        findings = found(doctor, "admission/defaults", "Expired")
        assert findings["certificate/life"]["reason"] == "Expired"
        assert findings["certificate/life"]["message"].startswith("expired 3 days ago")
        assert findings["certificate/authority"]["status"] == "ok"
        assert findings["certificate/names"]["status"] == "ok"


def test_a_certificate_for_another_host(cluster: SampleCluster, doctor: Doctor) -> None:
    ca = authority("a CA", begin=NOW - timedelta(days=1))
    other = serving(ca, "webhooks.other.svc", begin=NOW - timedelta(days=1))
    with cluster.serving(other, ca=ca.pem):
        findings = found(doctor, "admission/defaults", "WrongHost")
        assert findings["certificate/names"]["reason"] == "WrongHost"
        assert "calls 127.0.0.1" in findings["certificate/names"]["message"]
        assert findings["certificate/authority"]["status"] == "ok"


def test_a_certificate_of_an_intermediate_authority_is_well(
    cluster: SampleCluster, doctor: Doctor
) -> None:
    ca = authority("a root", begin=NOW - timedelta(days=1))
    middle = authority("a middle", begin=NOW - timedelta(days=1), above=ca)
    leaf = serving(middle, "127.0.0.1", begin=NOW - timedelta(days=1))
    with cluster.serving(leaf, ca=ca.pem):
        (cluster.system.certificates / "tls.crt").write_bytes(leaf.pem + middle.pem)

        def through_it() -> bool:
            _, findings = doctor()
            return "intermediate" in findings.get("certificate/authority", {}).get("message", "")

        wait_until(through_it, what="the chain", seconds=PATIENCE, every=PAUSE)
        all_well(doctor)


def test_webhooks_that_are_down(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.system.stop_one(WEBHOOKS)
    try:
        findings = found(doctor, "admission/defaults", "ConnectionRefused")
        assert findings["admission/checks"]["status"] == "unknown"
        assert findings["certificate/served"]["status"] == "unknown"
        assert "certificate/life" not in findings
    finally:
        cluster.system.start_one(WEBHOOKS)


def test_a_right_that_was_taken_away(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.kubectl("delete", "clusterrolebinding", "tradingbot-operator-cluster")
    try:
        findings = found(doctor, "rights/tradingbot-operator", "Missing")
        assert (
            "list assets.registry.trading.io" in (findings["rights/tradingbot-operator"]["message"])
        )
        assert findings["rights/tradingbot-webhooks"]["status"] == "ok"
    finally:
        cluster.system.apply(
            manifests.text(
                manifest
                for manifest in cluster.rendered()
                if manifest["kind"] == "ClusterRoleBinding"
            )
        )


def test_a_right_to_read_secrets_that_an_older_version_left_behind(
    cluster: SampleCluster, doctor: Doctor
) -> None:
    account = f"--serviceaccount={SYSTEM_NAMESPACE}:{ACCOUNT_OF_WEBHOOKS}"
    cluster.kubectl("create", "clusterrole", "left", "--verb=get", "--resource=secrets")
    cluster.kubectl("create", "clusterrolebinding", "left", "--clusterrole=left", account)
    try:
        findings = found(doctor, f"rights/{ACCOUNT_OF_WEBHOOKS}", "TooMuch", "warning")
        assert "may get secrets" in findings[f"rights/{ACCOUNT_OF_WEBHOOKS}"]["message"]
    finally:
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", "left")
    all_well(doctor)


def test_a_registry_that_is_down(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.system.plane.table.stop(REGISTRY)
    try:
        findings = found(doctor, "registry", "Unreachable")
        assert "connection refused" in findings["registry"]["message"]
    finally:
        cluster.begin_registry()


def test_an_operator_that_has_stopped_without_a_word(
    cluster: SampleCluster, doctor: Doctor
) -> None:
    cluster.system.kill(OPERATOR)
    try:
        findings = found(doctor, "operator/lease", "Stale")
        assert "no operator acts" in findings["operator/lease"]["message"]
    finally:
        cluster.system.start_one(OPERATOR)


def test_a_lease_that_was_given_back(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.system.stop_one(OPERATOR)
    try:
        found(doctor, "operator/lease", "NotHeld")
    finally:
        cluster.system.start_one(OPERATOR)


def test_who_may_look_at_nothing_gets_no_verdict(cluster: SampleCluster, doctor: Doctor) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", "default")
    nobody = cluster.system.plane.service_account_kubeconfig("nobody", namespace="default")
    code, findings = doctor(nobody)
    assert code == 2
    assert {check for check, finding in findings.items() if finding["status"] == "ok"} == {
        "api-server"
    }
    assert {finding["status"] for finding in findings.values()} == {"ok", "unknown"}
    assert "create subjectaccessreviews" in findings["your-rights"]["message"]


def test_a_token_that_is_not_valid_any_more(
    cluster: SampleCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"]["token"] += "x"
    stale = tmp_path / "kubeconfig"
    stale.write_text(yaml.safe_dump(content))
    assert main(["doctor", "--kubeconfig", str(stale)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "(401): log in again" in printed.err
    assert printed.err.count("\n") == 1

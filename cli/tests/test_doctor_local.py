"""The doctor on the local control plane of `make up`, where the parts are not Deployments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sample_cluster import PAUSE
from tradingbot_cli.doctor.facts import Caller, Facts, LeaseSeen, Trust, Unseen
from tradingbot_cli.doctor.findings import Status, exit_code, failed, ok
from tradingbot_cli.doctor.local import as_local, is_local
from tradingbot_cli.main import main
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.system import OPERATOR, WEBHOOKS, System, temporary_system

NOT_DEPLOYED = {f"deployment/tradingbot-{n}" for n in ("operator", "webhooks", "registry", "certs")}
Doctor = Callable[[], tuple[int, dict[str, dict[str, Any]]]]


def facts(*hosts: str, deployment: Any = None) -> Facts:
    unseen = Unseen("")
    return Facts(
        namespace="tradingbot-system",
        caller=Caller("", ""),
        namespace_object=None,
        crds={},
        configurations={},
        backends=(),
        defaulted=unseen,
        refused=unseen,
        trusts=tuple(Trust(host, b"", ()) for host in hosts),
        served=(),
        rights={},
        deployments={"tradingbot-operator": None, "tradingbot-webhooks": deployment},
        lease=LeaseSeen(None),
        registry=unseen,
        cert_manager={},
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_webhooks_at_a_loopback_address_without_deployments_are_local(host: str) -> None:
    assert is_local(facts(host))


@pytest.mark.parametrize(
    "seen",
    [
        facts(),
        facts("tradingbot-webhooks.tradingbot-system.svc"),
        facts("192.0.2.1"),
        facts("127.0.0.1", "192.0.2.1"),
        facts("127.0.0.1", deployment={}),
        facts("127.0.0.1", deployment=Unseen("you may not")),
    ],
)
def test_an_installation_is_not_mistaken_for_a_local_one(seen: Facts) -> None:
    assert not is_local(seen)


def test_only_what_can_not_exist_is_not_applicable() -> None:
    findings = list(
        as_local(
            [
                ok("api-server", "answers"),
                failed("deployment/tradingbot-operator", "Missing", "does not exist", "apply"),
                failed("registry", "NotReady", "is not ready", "kubectl get pods"),
                failed("operator/lease", "Stale", "no operator acts", "kubectl get pods"),
            ]
        )
    )
    assert [finding.status for finding in findings] == [
        *(Status.OK, Status.NOT_APPLICABLE, Status.FAILED, Status.FAILED),
    ]
    assert exit_code(findings) == 1
    assert not [step for finding in findings for step in finding.todo if "pods" in step]
    assert exit_code(as_local([failed("deployment/a", "Missing", "")])) == 2


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The same as `make up` starts."""
    settings = {"TRADINGBOT_OPERATOR_LEADER_ELECTION": "true"}
    with temporary_system(audit=False, environment=settings) as running:
        yield running


@pytest.fixture
def doctor(system: System, capsys: pytest.CaptureFixture[str]) -> Doctor:
    def run() -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["doctor", "--kubeconfig", str(system.plane.kubeconfig), "-o", "json"])
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, {finding["check"]: finding for finding in json.loads(printed.out)["findings"]}

    return run


def wait_for(doctor: Doctor, code: int, **statuses: str) -> dict[str, dict[str, Any]]:
    latest: dict[str, dict[str, Any]] = {}

    def reached() -> bool:
        latest.clear()
        got, findings = doctor()
        latest.update(findings)
        return got == code and all(
            findings[check.replace("__", "/")]["status"] == status
            for check, status in statuses.items()
        )

    try:
        wait_until(reached, what=f"code {code} and {statuses}", every=PAUSE)
    except Exception as error:
        raise AssertionError(json.dumps(latest, indent=1)) from error
    return latest


def test_a_healthy_local_control_plane_is_all_well(doctor: Doctor) -> None:
    findings = wait_for(doctor, 0, operator__lease="ok")
    by_status = {
        status: {check for check, finding in findings.items() if finding["status"] == status}
        for status in Status
    }
    assert by_status[Status.NOT_APPLICABLE] == NOT_DEPLOYED | {"registry"}
    assert set(findings) - by_status[Status.OK] == by_status[Status.NOT_APPLICABLE]


def test_webhooks_that_are_down_are_a_failure_there_too(system: System, doctor: Doctor) -> None:
    system.stop_one(WEBHOOKS)
    try:
        findings = wait_for(doctor, 1, admission__defaults="failed")
        assert findings["admission/defaults"]["todo"][0].startswith("make up: ")
    finally:
        system.start_one(WEBHOOKS)
    wait_for(doctor, 0, admission__defaults="ok")


def test_an_operator_that_is_down_is_a_failure_there_too(system: System, doctor: Doctor) -> None:
    system.stop_one(OPERATOR)
    try:
        wait_for(doctor, 1, operator__lease="failed")
    finally:
        system.start_one(OPERATOR)
    wait_for(doctor, 0, operator__lease="ok")

"""What the doctor reads out of stored objects, and how it tells what it found."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from tradingbot_cli.doctor import deployed, report
from tradingbot_cli.doctor.collect import needed
from tradingbot_cli.doctor.facts import Unseen
from tradingbot_cli.doctor.findings import exit_code, failed, listed, ok, unknown, warning

# ---- what stored objects say


def container(**parts: Any) -> Any:
    return {"spec": {"template": {"spec": {"containers": [parts]}}}}


def test_a_setting_is_found_by_flag_and_by_variable() -> None:
    assert (
        deployed.operator_setting(container(args=["operator", "--lease-name=a"]), "lease_name")
        == "a"
    )
    assert deployed.operator_setting(container(args=["--lease-name", "b"]), "lease_name") == "b"
    variable = {"name": "TRADINGBOT_OPERATOR_LEASE_NAME", "value": "c"}
    assert deployed.operator_setting(container(env=[variable]), "lease_name") == "c"
    assert deployed.operator_setting(container(args=["--lease-namespace=d"]), "lease_name") == ""
    assert deployed.operator_setting(None, "lease_name") == ""


def test_webhooks_are_called_through_a_service_or_by_url() -> None:
    service = {"namespace": "n", "name": "s", "path": "/mutate"}
    seen: Any = {
        "MutatingWebhookConfiguration": {
            "metadata": {"annotations": {"cert-manager.io/inject-ca-from": "n/tls"}},
            "webhooks": [
                {"name": "a", "clientConfig": {"service": service, "caBundle": "YQ=="}},
                {"name": "b", "clientConfig": {"url": "https://127.0.0.1:9443/x"}},
            ],
        },
        "ValidatingWebhookConfiguration": Unseen("no"),
    }
    first, second = deployed.calls(seen)
    assert (first.host, first.port, first.bundle, first.service) == (
        *("s.n.svc", 443, b"a", ("n", "s")),
    )
    assert (second.host, second.port, second.bundle, second.service) == (
        *("127.0.0.1", 9443, b"", None),
    )
    assert deployed.injected_from(seen) == ("n/tls",)


def test_replicas_that_are_not_ready_are_asked_too() -> None:
    pod = {"targetRef": {"kind": "Pod", "name": "a"}, "conditions": {"ready": False}}
    slices = [{"ports": [{"name": "https", "port": 9443}], "endpoints": [pod]}]
    assert list(deployed.pods_behind(slices, "https")) == [("a", 9443)]
    assert list(deployed.pods_behind(slices, "other")) == []


# ---- the report

FINDINGS = (
    ok("crd/a", "is there"),
    warning("deployment/b", "NotAvailable", "1 of 2", "wait"),
    failed("registry", "NotReady", "is\x1b[31m not\nready", "kubectl get pods"),
    unknown("operator/lease", "you may not look"),
)


def test_the_table_has_a_line_for_each_and_its_steps_below() -> None:
    assert report.text(FINDINGS, color=False) == (
        "STATUS   CHECK           FOUND\n"
        "ok       crd/a           is there\n"
        "warning  deployment/b    1 of 2\n"
        "                         -> wait\n"
        "failed   registry        is\\x1b[31m not\\nready\n"
        "                         -> kubectl get pods\n"
        "unknown  operator/lease  you may not look\n"
        "\n"
        "4 checks: 1 ok, 1 warning, 1 failed, 1 unknown\n"
    )


def test_the_same_steps_are_written_once() -> None:
    twice = (failed("a", "Old", "is old", "fix it"), failed("b", "Old", "is old", "fix it"))
    assert report.text(twice, color=False).splitlines()[1:5] == [
        "failed   a      is old",
        "                -> fix it",
        "failed   b      is old",
        "                -> as for a",
    ]


def test_json_has_all_of_it_for_programs() -> None:
    document = json.loads(report.as_json(FINDINGS))
    assert document["version"] == version("tradingbot-operator")
    assert document["summary"] == {"ok": 1, "warning": 1, "failed": 1, "unknown": 1, "n/a": 0}
    assert document["findings"][2] == {
        "check": "registry",
        "status": "failed",
        "reason": "NotReady",
        "message": "is\x1b[31m not\nready",
        "todo": ["kubectl get pods"],
    }


@pytest.mark.parametrize(
    ("chosen", "code"),
    [((0,), 0), ((0, 1), 0), ((0, 3), 0), ((0, 2), 1), ((2, 3), 1), ((3,), 2), ((), 2)],
)
def test_the_exit_code(chosen: tuple[int, ...], code: int) -> None:
    assert exit_code(FINDINGS[index] for index in chosen) == code


def test_a_long_list_is_cut() -> None:
    assert listed("abc", most=3) == "a, b, c"
    assert listed("abcd", most=3) == "a, b, c and 1 more"


def test_the_page_names_every_right_that_is_needed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    table = page[page.index("| right | in |") :]
    for right in needed("tradingbot-system"):
        assert right.resource in table, right

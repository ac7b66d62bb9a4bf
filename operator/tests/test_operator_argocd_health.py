"""The health script for Argo CD: odd objects, and AssetRegistries; bots are in the table."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from health_rules import SCRIPT, argo_health, kstatus
from operator_harness import NOW
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject, ObjectMeta
from tradingbot_operator.asset_registries.status import SyncResult, registry_status
from tradingbot_operator.registry_client import OwnedAsset

META = {"name": "cat", "namespace": "desk", "generation": 2}
WAITING = ("Progressing", "Waiting for the operator")


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"status": {}},
        {"status": {"observedGeneration": 2}},
        {"status": {"conditions": []}},
        {"status": {"observedGeneration": 1, "conditions": []}},
        {"status": {"observedGeneration": 2, "conditions": []}},
    ],
    ids=str,
)
def test_an_object_without_a_current_status_is_progressing(parts: JsonObject) -> None:
    assert argo_health({"metadata": META, **parts}) == WAITING


def condition(type_: str, status: str, reason: str = "Because") -> JsonObject:
    return {"type": type_, "status": status, "reason": reason, "message": "so it is"}


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ([condition("Ready", "True")], "Healthy"),
        ([condition("Ready", "Unknown")], "Progressing"),
        ([condition("Ready", "Unknown", "ReportStale")], "Progressing"),
        ([condition("Ready", "False")], "Progressing"),
        ([condition("Ready", "False", "ReportStale")], "Degraded"),
        ([condition("Ready", "False"), condition("Stalled", "True")], "Degraded"),
        ([condition("Stalled", "True"), condition("Ready", "True")], "Degraded"),
        ([condition("Stalled", "False"), condition("Ready", "True")], "Healthy"),
        ([condition("Trading", "True")], "Progressing"),
    ],
)
def test_the_health_follows_from_the_conditions(conditions: list[Any], health: str) -> None:
    obj = {"metadata": META, "status": {"observedGeneration": 2, "conditions": conditions}}
    found, message = argo_health(obj)
    assert found == health
    counts = any(one["type"] in {"Ready", "Stalled"} for one in conditions)
    assert message.endswith(": so it is" if counts else "Waiting for the operator")


def asset(**fields: Any) -> OwnedAsset:
    held = {
        "externalRef": "crd/desk/cat.a",
        "name": "a",
        "id": "1",
        "type": "Other",
        "status": "Active",
        "effectiveStatus": "Active",
        "description": "",
        "tags": [],
        "config": {},
        "secretRef": None,
        "dependsOn": [],
        "unresolved": [],
    }
    return OwnedAsset.model_validate({**held, **fields})


@pytest.mark.parametrize(
    ("result", "read", "health"),
    [
        (SyncResult((asset(),), ()), "Current", "Healthy"),
        (SyncResult((asset(status="Draft", unresolved=["x/y/z"]),), ()), "Current", "Healthy"),
        (SyncResult((asset(unresolved=["x/y/z"]),), ()), "InProgress", "Progressing"),
        (SyncResult((asset(effectiveStatus="Degraded"),), ()), "InProgress", "Degraded"),
        (
            SyncResult((asset(),), (), "DependenciesUnresolved", ("a waits",)),
            "InProgress",
            "Progressing",
        ),
        (SyncResult((), ("no",), "RegistryRefused"), "InProgress", "Progressing"),
        (SyncResult((), ("no",), "RegistryUnavailable"), "InProgress", "Progressing"),
        (SyncResult((), ("no",), "RegistryOff"), "Failed", "Degraded"),
        (SyncResult((), ("no",), "InvalidSpec"), "Failed", "Degraded"),
    ],
    ids=lambda value: value.reason if isinstance(value, SyncResult) else str(value),
)
def test_an_asset_registry_is_read_as_it_is_meant(
    result: SyncResult, read: str, health: str
) -> None:
    status = registry_status(ObjectMeta.model_validate(META), {}, result, 1, NOW)
    obj = {"metadata": META, "status": status}
    assert (kstatus(obj), argo_health(obj)[0]) == (read, health)
    assert all(one["observedGeneration"] == 2 for one in status["conditions"])


def test_the_patch_of_argocd_cm_has_the_script_for_both_kinds() -> None:
    patch = yaml.safe_load((Path(SCRIPT).parent / "argocd-cm.yaml").read_text("utf-8"))
    kinds = [crd["spec"]["names"]["kind"] for crd in crds()]
    assert patch["data"] == {
        f"resource.customizations.health.trading.io_{kind}": SCRIPT.read_text("utf-8")
        for kind in kinds
    }

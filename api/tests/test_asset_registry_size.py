"""The size of an AssetRegistry: bounded so that the object still fits with its status."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from crd_layer import CrdLayer
from hypothesis import given
from objects import json_values
from tradingbot_api import API_VERSION
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.rules.assetregistry import FIELD_BYTES, MAX_STORED_BYTES, stored_bytes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LARGE = {"text": "x" * 12_000}


def catalogue(*configs: Any) -> dict[str, Any]:
    """Return an AssetRegistry with an asset for each config."""
    assets = [
        {"name": f"a{number}", "type": "Other", "config": config}
        for number, config in enumerate(configs)
    ]
    obj = {"kind": "AssetRegistry", "metadata": {"name": "large"}, "spec": {"assets": assets}}
    return defaulted("AssetRegistry", obj)


def errors(obj: dict[str, Any]) -> list[str]:
    return [str(error) for error in review("AssetRegistry", obj, now=NOW).errors]


def test_a_catalogue_of_the_limit_is_accepted_and_none_that_is_one_byte_larger() -> None:
    count = MAX_STORED_BYTES // 12_300
    empty = stored_bytes(catalogue(*[LARGE] * count, {"text": ""})["spec"]["assets"])
    spare = MAX_STORED_BYTES - empty
    assert 0 < spare < 16_000
    assert errors(catalogue(*[LARGE] * count, {"text": "x" * spare})) == []
    (error,) = errors(catalogue(*[LARGE] * count, {"text": "x" * (spare + 1)}))
    assert error == (
        f"spec.assets: Too long: may not take more than {MAX_STORED_BYTES} bytes of storage,"
        f" takes {MAX_STORED_BYTES + 1}"
    )


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({}, 2),
        ("\u00e9", 4),
        ({"a": 1}, 7 + FIELD_BYTES),
        ({"a": {"b": [1, 2]}}, 17 + 2 * FIELD_BYTES),
        ("<>&", 2 + 3 * 6),
        ("\u2028\u2029", 2 + 2 * 6),
        ("\ud800", 5),
    ],
)
def test_a_value_is_as_large_as_it_is_stored(value: Any, size: int) -> None:
    assert stored_bytes(value) == size


def test_a_value_that_nests_too_deeply_to_be_written_is_refused_for_that_alone() -> None:
    value: Any = {}
    for _ in range(5000):
        value = {"a": [value]}
    (error,) = errors(catalogue(value))
    assert "levels deep" in error


def fields(value: Any) -> Any:
    """Return the fields of a value as `metadata.managedFields` lists them for one tool."""
    if not isinstance(value, dict) or not value:
        return {}
    return {".": {}, **{f"f:{key}": fields(inner) for key, inner in value.items()}}


@given(json_values)
def test_the_names_of_the_fields_take_no_more_than_the_size_of_the_value(value: Any) -> None:
    listed = json.dumps(fields(value), ensure_ascii=False, separators=(",", ":"))
    assert len(listed.encode("utf-8", "surrogatepass")) <= stored_bytes(value) + FIELD_BYTES


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


CONFIGS = {
    "one long text": [{"text": "x" * 15_000}] * 500,
    "characters that are stored as six": [{"text": "<&>" * 900}] * 500,
    "many short fields": [{f"{number:02}": 1 for number in range(30)}] * 500,
    "long names of fields": [{f"{number:0200}": 1 for number in range(20)}] * 500,
    "fields in fields": [nested(30)] * 500,
}


@pytest.mark.parametrize("configs", CONFIGS.values(), ids=CONFIGS)
def test_the_largest_catalogue_is_stored_with_its_status_and_the_annotation_of_kubectl(
    crd_layer: CrdLayer, configs: list[dict[str, Any]]
) -> None:
    names = [f"{number:063}" for number in range(500)]
    obj = catalogue(*configs)
    assets = [
        {**asset, "name": name} for asset, name in zip(obj["spec"]["assets"], names, strict=True)
    ]
    spare = MAX_STORED_BYTES - stored_bytes(assets)
    for asset in assets:
        if spare < 0:
            spare += stored_bytes(asset["config"])
            asset["config"] = {}
    obj["spec"]["assets"] = assets
    obj |= {"apiVersion": API_VERSION}
    obj["metadata"] |= {"annotations": {"last-applied": "x" * 262_000}}
    assert errors(obj) == []
    created = crd_layer.create(obj, dry_run=False)
    assert created.admitted, created.message
    ended = "0198c0de-0000-7000-8000-000000000001"
    states = {"id": ended, "status": "Inactive", "effectiveStatus": "Degraded"}
    condition = {"status": "False", "reason": "RegistryRefused", "message": "\u20ac" * 2000}
    condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 9}
    status = {
        "assets": [{"name": name, **states} for name in names],
        "conditions": [{"type": type_, **condition} for type_ in ("Synced", "Ready", "Stalled")],
    }
    try:
        answer = crd_layer.report(created.body, status)
        assert answer.admitted, answer.message
        assert len(answer.body["status"]["assets"]) == 500
    finally:
        crd_layer.delete("AssetRegistry", "large")

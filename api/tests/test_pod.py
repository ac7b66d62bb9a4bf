"""`spec.pod`: what an update may change of a volume, and what the generated types are made from."""

import json
from typing import Any

import pytest
from admission_cases import BOT, CASES, NOW, changed
from codegen import kubernetes_types
from crd_layer import CrdLayer
from tradingbot_api.admission.review import defaulted, review

STORAGE = "spec.pod.storage"
EVERYTHING = next(case for case in CASES if case.name == "TradingBot: everything at once")


def errors_of_update(before: Any, after: Any) -> list[str]:
    """The errors of an update of a bot's storage."""
    old, new = (
        changed(BOT, {STORAGE: storage} if storage else {"spec.pod": {}})
        for storage in (before, after)
    )
    verdict = review("TradingBot", defaulted("TradingBot", new), old, now=NOW)
    return [str(error) for error in verdict.errors]


UPDATES = [
    ({"size": "1Gi"}, {"size": "2Gi"}, None),
    ({"size": "1Gi"}, {"size": "1024Mi"}, None),
    ({"size": 1000}, {"size": "1k"}, None),
    ({"size": "1Gi"}, {"size": "1Gi", "retain": True, "mountPath": "/elsewhere"}, None),
    ({"size": "2Gi"}, None, None),
    (None, {"size": "1Gi", "storageClassName": "fast"}, None),
    ({"size": "2Gi"}, {"size": "1Gi"}, f"{STORAGE}.size"),
    ({"size": "1Gi"}, {"size": 10**9}, f"{STORAGE}.size"),
    ({"size": "1Gi"}, {"size": "1G"}, f"{STORAGE}.size"),
    ({"size": "1Gi"}, {"size": "1Gi", "storageClassName": "fast"}, f"{STORAGE}.storageClassName"),
    (
        {"size": "1Gi", "storageClassName": "slow"},
        {"size": "1Gi", "storageClassName": "fast"},
        f"{STORAGE}.storageClassName",
    ),
    ({"size": "1Gi", "storageClassName": "slow"}, {"size": "1Gi"}, f"{STORAGE}.storageClassName"),
]


@pytest.mark.parametrize(("before", "after", "refused"), UPDATES, ids=str)
def test_a_volume_may_grow_and_never_shrinks_or_changes_its_class(
    before: Any, after: Any, refused: str | None
) -> None:
    assert [error.split(":")[0] for error in errors_of_update(before, after)] == (
        [refused] if refused else []
    )


def test_a_volume_that_shrinks_is_refused_with_what_it_was() -> None:
    (error,) = errors_of_update({"size": "2Gi"}, {"size": "1Gi"})

    assert error == (
        'spec.pod.storage.size: Invalid value: "1Gi": must not be less than before: a volume can'
        " grow, never shrink; for a smaller one create another bot (it was 2Gi)"
    )


@pytest.mark.parametrize("path", ["apiKeyPath", "apiSecretPath", "passphrasePath"])
def test_a_key_of_the_secret_that_a_variable_has_can_not_become_the_exchange_s(path: str) -> None:
    variable = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "other"}}}
    old = changed(BOT, {"spec.pod.env": [variable]})
    new = changed(old, {f"spec.exchange.{path}": "other"})

    verdict = review("TradingBot", defaulted("TradingBot", new), old, now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.pod.env[0].valueFrom.secretKeyRef.key"
    ]


@pytest.mark.parametrize(
    ("before", "after", "refused"), [update for update in UPDATES if update[0]], ids=str
)
def test_the_schema_alone_keeps_a_volume_from_shrinking(
    crd_layer: CrdLayer, before: Any, after: Any, refused: str | None
) -> None:
    """With both webhooks down, too."""
    bot = changed(BOT, {"metadata.name": "keeps-its-volume", STORAGE: before})
    stored = crd_layer.create(bot, dry_run=False)
    assert stored.admitted, stored.message
    try:
        change = {STORAGE: after} if after else {"spec.pod": {}}
        answer = crd_layer.replace(changed(stored.body, change))
    finally:
        crd_layer.delete("TradingBot", "keeps-its-volume")

    assert answer.admitted is (refused is None), answer.message
    assert refused is None or STORAGE in answer.message


# ---- Kubernetes' own types


def test_the_types_of_scheduling_are_those_that_the_api_server_publishes(
    crd_layer: CrdLayer,
) -> None:
    """Their fields, types, required fields and list types; it words some descriptions otherwise."""
    published = kubernetes_types.extract(crd_layer.openapi("api/v1"))
    extract = json.loads(kubernetes_types.EXTRACT.read_text("utf-8"))

    assert outline(published) == outline(extract)


def outline(schema: Any) -> Any:
    """A schema without descriptions, choices and defaults."""
    if isinstance(schema, list):
        return [outline(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("properties")
    kept = {
        key: outline(value)
        for key, value in schema.items()
        if key not in {"description", "enum", "default", "properties"}
    }
    if isinstance(named, dict):
        kept["properties"] = {name: outline(inner) for name, inner in named.items()}
    return kept

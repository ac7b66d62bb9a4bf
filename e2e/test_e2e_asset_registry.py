"""An AssetRegistry, synced into the registry."""

import time

from person import Object, Person, condition, eventually, sample
from reads import create_namespace
from tradingbot_dev.product.system import System

NAME = "market-data"
BOT = "arb-bot-binance"


def synced(person: Person) -> Object:
    """The AssetRegistry once its newest generation is in the registry."""

    def look() -> Object | None:
        found = person.get("assetregistry", NAME) or {}
        state = condition(found, "Synced")
        current = state["observedGeneration"] == found["metadata"]["generation"]
        return found if state["status"] == "True" and current else None

    found = eventually(look)
    assert found is not None
    return found


def asset(person: Person, name: str) -> Object | None:
    found: Object | None = person.registry(f"assets/by-ref/crd/{person.namespace}/{NAME}.{name}")
    return found


def test_assets_and_their_edge_are_visible_in_the_registry_and_in_the_status(
    person: Person,
) -> None:
    person.applied(sample("assetregistry.yaml"))
    asset_registry = synced(person)
    rest, prices = asset(person, "binance-rest"), asset(person, "price-history")
    assert rest is not None
    assert prices is not None
    assert [one["id"] for one in asset_registry["status"]["assets"]] == [rest["id"], prices["id"]]
    assert asset_registry["status"]["counts"]["active"] == 2
    assert rest["id"] in str(prices["dependsOn"])
    assert prices["secretRef"] == {"name": "price-history-login", "key": "password"}
    _, row = person.kubectl("get", "areg").stdout.splitlines()
    assert row.split()[:5] == [NAME, "2", "2", "0", "True"]


def test_a_failed_dependency_degrades_what_needs_it(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    person.applied(manifest)
    synced(person)
    manifest["spec"]["assets"][0]["status"] = "Failed"
    person.applied(manifest)
    asset_registry = synced(person)
    assert [one["effectiveStatus"] for one in asset_registry["status"]["assets"]] == [
        "Failed",
        "Degraded",
    ]
    assert condition(asset_registry, "Ready")["status"] == "False"


def test_an_asset_that_is_no_longer_declared_leaves_the_registry(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    person.applied(manifest)
    synced(person)
    del manifest["spec"]["assets"][1]
    person.applied(manifest)
    eventually(lambda: asset(person, "price-history") is None)
    assert asset(person, "binance-rest") is not None


def test_deleting_the_asset_registry_removes_its_assets(person: Person) -> None:
    person.applied(sample("assetregistry.yaml"))
    synced(person)
    person.deleted("areg", NAME)
    assert asset(person, "binance-rest") is None
    assert asset(person, "price-history") is None


def test_a_tenant_that_depends_on_anothers_bot_does_not_hold_up_its_deletion(
    person: Person, system: System
) -> None:
    person.running_bot()
    arb = eventually(lambda: person.asset(BOT))
    other = Person(system, f"{person.namespace}-other")
    create_namespace(other.system.plane, other.namespace)
    try:
        watcher = {"name": "watcher", "type": "Other", "status": "Active", "dependsOn": [arb["id"]]}
        manifest = sample("assetregistry.yaml")
        manifest["spec"]["assets"] = [watcher]
        eventually(lambda: person.asset(BOT)["status"] == "Active")
        other.applied(manifest)
        synced(other)
        begun = time.monotonic()
        person.deleted("tradingbot", BOT)
        assert time.monotonic() - begun < 30
        assert person.asset(BOT) is None, "its asset was left behind"
        found = asset(other, "watcher")
        assert found is not None
        assert found["unresolved"] == [f"tradingbot/{person.namespace}/{BOT}"]
        # Their change goes through, and their status says what they have lost.
        watcher["description"] = "Watches it."
        other.applied(manifest)
        state = condition(synced(other), "Ready")
        assert (state["status"], state["reason"]) == ("False", "DependenciesUnresolved")
        assert f"tradingbot/{person.namespace}/{BOT}" in state["message"]
    finally:
        other.kubectl("delete", "assetregistry", "--all", "--wait=false")


def test_an_asset_registry_with_policy_retain_leaves_its_assets_to_people(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    manifest["spec"]["deletionPolicy"] = "Retain"
    person.applied(manifest)
    synced(person)
    person.deleted("areg", NAME)
    left = asset(person, "binance-rest")
    assert left is not None
    assert left["managedBy"] == "user"


def asset_registry(name: str, *assets: Object) -> Object:
    manifest = sample("assetregistry.yaml")
    return {**manifest, "metadata": {"name": name}, "spec": {"assets": [*assets]}}


def ready(person: Person, name: str) -> tuple[str, str, str]:
    found = condition(person.get("areg", name) or {}, "Ready")
    return found["status"], found["reason"], found["message"]


def test_references_to_assets_of_others_are_resolved_when_these_appear(person: Person) -> None:
    prices = f"crd/{person.namespace}/theirs.prices"
    bot = f"tradingbot/{person.namespace}/{BOT}"
    feed = {"name": "feed", "type": "Other", "status": "Active", "dependsOn": [prices, bot]}
    person.applied(asset_registry("ours", feed))
    eventually(lambda: ready(person, "ours")[:2] == ("False", "DependenciesUnresolved"))
    assert prices in ready(person, "ours")[2]
    assert bot in ready(person, "ours")[2]
    other = {"name": "prices", "type": "Other", "status": "Active"}
    person.applied(asset_registry("theirs", other))
    person.running_bot()
    # Once the bot's asset exists and is past Draft, at the next pass.
    eventually(lambda: ready(person, "ours")[:2] == ("True", "Synced"))
    waited = person.kubectl("wait", "areg/ours", "--for=condition=Ready", "--timeout=120s")
    assert "condition met" in waited.stdout, waited.stderr


def test_an_asset_registry_that_is_too_large_is_refused_and_says_so(person: Person) -> None:
    assets = [
        {"name": f"a{number}", "type": "Other", "description": "x" * 600} for number in range(500)
    ]
    refused = person.apply(asset_registry("large", *assets))
    assert "metadata.annotations: Too long" in refused.stderr
    too_large = [{**asset, "description": "<" * 600} for asset in assets]
    refused = person.apply(asset_registry("large", *too_large), options=("--server-side",))
    assert "spec.assets: Too long: may not take more than 524288 bytes of storage" in refused.stderr
    options = ("--server-side", "--dry-run=server")
    done = person.apply(asset_registry("large", *assets), options=options)
    assert done.returncode == 0, done.stderr

"""A catalogue of assets, synced into the registry."""

from person import Object, Person, condition, eventually, sample

CATALOGUE = "market-data"


def synced(person: Person) -> Object:
    """The catalogue once its newest generation is in the registry."""

    def look() -> Object | None:
        found = person.get("assetregistry", CATALOGUE) or {}
        state = condition(found, "Synced")
        current = state["observedGeneration"] == found["metadata"]["generation"]
        return found if state["status"] == "True" and current else None

    found = eventually(look)
    assert found is not None
    return found


def asset(person: Person, name: str) -> Object | None:
    found: Object | None = person.registry(
        f"assets/by-ref/crd/{person.namespace}/{CATALOGUE}.{name}"
    )
    return found


def test_assets_and_their_edge_are_visible_in_the_registry_and_in_the_status(
    person: Person,
) -> None:
    person.applied(sample("assetregistry.yaml"))
    catalogue = synced(person)
    rest, prices = asset(person, "binance-rest"), asset(person, "price-history")
    assert rest is not None
    assert prices is not None
    assert [one["id"] for one in catalogue["status"]["assets"]] == [rest["id"], prices["id"]]
    assert catalogue["status"]["counts"]["active"] == 2
    assert rest["id"] in str(prices["dependsOn"])
    assert prices["secretRef"] == {"name": "price-history-login", "key": "password"}
    _, row = person.kubectl("get", "areg").stdout.splitlines()
    assert row.split()[:5] == [CATALOGUE, "2", "2", "0", "True"]


def test_a_failed_dependency_degrades_what_needs_it(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    person.applied(manifest)
    synced(person)
    manifest["spec"]["assets"][0]["status"] = "Failed"
    person.applied(manifest)
    catalogue = synced(person)
    assert [one["effectiveStatus"] for one in catalogue["status"]["assets"]] == [
        "Failed",
        "Degraded",
    ]
    assert condition(catalogue, "Ready")["status"] == "False"


def test_an_asset_that_is_no_longer_declared_leaves_the_registry(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    person.applied(manifest)
    synced(person)
    del manifest["spec"]["assets"][1]
    person.applied(manifest)
    eventually(lambda: asset(person, "price-history") is None)
    assert asset(person, "binance-rest") is not None


def test_deleting_the_catalogue_removes_its_assets(person: Person) -> None:
    person.applied(sample("assetregistry.yaml"))
    synced(person)
    deleted = person.kubectl("delete", "areg", CATALOGUE, "--timeout=30s")
    assert deleted.returncode == 0, deleted.stderr
    assert asset(person, "binance-rest") is None
    assert asset(person, "price-history") is None


def test_a_catalogue_with_policy_retain_leaves_its_assets_to_people(person: Person) -> None:
    manifest = sample("assetregistry.yaml")
    manifest["spec"]["deletionPolicy"] = "Retain"
    person.applied(manifest)
    synced(person)
    deleted = person.kubectl("delete", "areg", CATALOGUE, "--timeout=30s")
    assert deleted.returncode == 0, deleted.stderr
    left = asset(person, "binance-rest")
    assert left is not None
    assert left["managedBy"] == "user"

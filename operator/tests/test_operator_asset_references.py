"""Assets that refer to assets of other AssetRegistries and of bots, which may come later."""

from typing import Any

import pytest
from asset_registry_harness import KEY, Harness, against, asset, catalogue
from hypothesis import given
from hypothesis import strategies as st
from registry_server import RunningRegistry
from tradingbot_api.admission.review import KINDS, defaulted
from tradingbot_api.model import JsonObject
from tradingbot_operator.asset_registries.declared import bodies

THEIRS = "crd/desk/theirs.prices"


def verdicts(harness: Harness, name: str = "cat") -> dict[str, tuple[str, str]]:
    return {
        type_: (found["status"], found["reason"])
        for type_, found in harness.status(name)["conditions"].items()
    }


def their_prices(status: str = "Active") -> JsonObject:
    return catalogue(asset("prices", status=status), name="theirs")


WAITS = {
    "Synced": ("False", "DependenciesUnresolved"),
    "Ready": ("False", "DependenciesUnresolved"),
    "Reconciling": ("True", "DependenciesUnresolved"),
}
READY = {"Synced": ("True", "Synced"), "Ready": ("True", "Synced")}


@pytest.mark.parametrize(
    "ref", [THEIRS, "tradingbot/desk/arb", "exchange/global/binance", "operator/default/binance"]
)
def test_a_missing_asset_is_seen_by_the_owner_and_resolved_when_it_appears(
    registry: RunningRegistry, ref: str
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(
            catalogue(asset("feed", ref, status="Active"), asset("ui", "feed", status="Active"))
        )
        assert await harness.keep() == 10
        assert verdicts(harness) == WAITS
        message = harness.status()["conditions"]["Ready"]["message"]
        assert f"feed can become Active after {ref}" in message
        assert "ui can become Active after crd/desk/cat.feed (Draft)" in message
        # All the same they are in the registry, where everybody sees what they wait for.
        assert registry.held()["crd/desk/cat.feed"]["unresolved"] == [ref]
        assert [found["status"] for found in harness.status()["assets"]] == ["Draft", "Draft"]
        registry.put(ref, status="Active")
        assert await harness.keep() == 300
        assert verdicts(harness) == READY
        assert [found["status"] for found in harness.status()["assets"]] == ["Active", "Active"]

    against(registry.url, scenario)


def test_two_catalogues_that_refer_to_each_other_settle_in_any_order(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        feed = asset("feed", THEIRS, status="Active")
        harness.cluster.put(catalogue(feed, asset("base", status="Active")))
        theirs = asset("prices", "crd/desk/cat.base", status="Active")
        harness.cluster.put(catalogue(theirs, name="theirs"))
        for name in ("cat", "theirs", "cat"):
            await harness.keep(name)
        assert verdicts(harness) == verdicts(harness, "theirs") == READY

    against(registry.url, scenario)


def test_a_draft_may_refer_to_what_is_not_there_and_says_so(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("feed", THEIRS)))
        assert await harness.keep() == 30
        assert verdicts(harness) == READY
        message = harness.status()["conditions"]["Ready"]["message"]
        assert f"{THEIRS}, required by feed" in message
        harness.cluster.put(their_prices())
        await harness.keep("theirs")
        assert await harness.keep() == 300
        assert THEIRS not in harness.status()["conditions"]["Ready"]["message"]

    against(registry.url, scenario)


def test_an_active_asset_stays_active_while_a_new_dependency_is_missing(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("feed", status="Active")))
        await harness.keep()
        feed = asset("feed", THEIRS, status="Active")
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [feed]})
        await harness.keep()
        assert verdicts(harness) == WAITS
        assert harness.status()["counts"]["active"] == 1
        harness.cluster.put(their_prices())
        await harness.keep("theirs")
        await harness.keep()
        assert verdicts(harness) == READY
        assert registry.held()["crd/desk/cat.feed"]["dependsOn"] == [registry.held()[THEIRS]["id"]]

    against(registry.url, scenario)


def test_a_dependency_in_draft_is_waited_for_as_well(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(their_prices("Draft"))
        await harness.keep("theirs")
        harness.cluster.put(catalogue(asset("feed", THEIRS, status="Active")))
        await harness.keep()
        assert verdicts(harness) == WAITS
        assert f"{THEIRS} (Draft)" in harness.status()["conditions"]["Synced"]["message"]
        harness.cluster.edit("AssetRegistry", "desk", "theirs", spec=their_prices("Active")["spec"])
        await harness.keep("theirs")
        await harness.keep()
        assert verdicts(harness) == READY

    against(registry.url, scenario)


@pytest.mark.parametrize("status", ["Draft", "Active"])
def test_a_cycle_through_another_catalogue_is_refused_and_named(
    registry: RunningRegistry, status: str
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("feed", THEIRS, status=status)))
        await harness.keep()
        theirs = asset("prices", "crd/desk/cat.feed", status=status)
        harness.cluster.put(catalogue(theirs, name="theirs"))
        await harness.keep("theirs")
        assert harness.synced("theirs") == ("False", "RegistryRefused")
        message = harness.status("theirs")["conditions"]["Synced"]["message"]
        assert "crd/desk/theirs.prices -> crd/desk/cat.feed -> crd/desk/theirs.prices" in message

    against(registry.url, scenario)


@pytest.mark.parametrize(
    "assets",
    [
        [asset("a", "crd/desk/cat.a")],
        [asset("a", "crd/desk/cat.b"), asset("b", "a")],
        [asset("a", "crd/desk/cat.b"), asset("b", "crd/desk/cat.a")],
    ],
    ids=["itself", "by name and reference", "by references"],
)
def test_a_cycle_through_references_to_the_object_itself_is_refused(
    registry: RunningRegistry, assets: list[JsonObject]
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(*assets, asset("good")))
        await harness.keep()
        assert harness.synced() == ("False", "RegistryRefused")

    against(registry.url, scenario)
    assert "crd/desk/cat.good" in registry.held()


def declared(*assets: JsonObject) -> dict[str, Any]:
    spec = defaulted("AssetRegistry", catalogue(*assets))["spec"]
    return bodies(KEY, KINDS["AssetRegistry"].spec_parser.validate_python(spec))


def test_a_reference_to_the_object_itself_is_the_same_as_a_name() -> None:
    found = declared(asset("a", "b", "crd/desk/cat.b", THEIRS), asset("b"))
    assert [*found] == ["crd/desk/cat.b", "crd/desk/cat.a"]
    assert found["crd/desk/cat.a"]["dependsOn"] == ["crd/desk/cat.b", THEIRS]


@given(st.permutations(range(6)), st.data())
def test_each_asset_comes_after_its_dependencies_by_name_or_by_reference(
    order: list[int], data: st.DataObject
) -> None:
    assets = []
    for number in order:
        lower = [f"a{n}" for n in range(number)]
        needed = data.draw(st.lists(st.sampled_from(lower), unique=True)) if lower else []
        forms = [data.draw(st.sampled_from(["", "crd/desk/cat."])) + name for name in needed]
        assets.append(asset(f"a{number}", *forms))
    seen: set[str] = set()
    for ref, body in declared(*assets).items():
        assert seen.issuperset(body["dependsOn"])
        seen.add(ref)
    assert len(seen) == len(assets)

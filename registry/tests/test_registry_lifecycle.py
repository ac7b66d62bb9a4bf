"""What an asset may become, and how it is once its dependencies are counted in."""

import itertools

import pytest
from registry_harness import ASSETS, Api, refusal
from tradingbot_api.asset import ALLOWED_TRANSITIONS, AssetStatus


@pytest.mark.parametrize(("old", "new"), list(itertools.product(AssetStatus, AssetStatus)))
def test_only_the_lifecycles_steps_are_taken(api: Api, old: AssetStatus, new: AssetStatus) -> None:
    asset = api.add("a", status=old)
    response = api.patch(asset["id"], {"status": new})
    if old == new or new in ALLOWED_TRANSITIONS[old]:
        assert response.status_code == 200
        assert response.json["status"] == new
        return
    problem = refusal(response, 409, "forbidden-transition")
    assert (problem["from"], problem["to"]) == (old, new)
    assert set(problem["allowed"]) == ALLOWED_TRANSITIONS[old]
    assert api.get(asset["id"]) == asset


def test_an_asset_is_not_activated_on_drafts_or_on_nothing(api: Api) -> None:
    draft, ready = api.add("draft"), api.add("ready", status="Failed")
    asset = api.add("asset", draft["id"], ready["id"], "crd/default/later")
    problem = refusal(api.patch(asset["id"], {"status": "Active"}), 409, "dependencies-not-ready")
    assert problem["unresolved"] == ["crd/default/later"]
    assert [step["name"] for step in problem["drafts"]] == ["draft"]
    body = {"name": "new", "type": "Other", "status": "Active", "dependsOn": [draft["id"]]}
    refusal(api.client.post(ASSETS, json=body), 409, "dependencies-not-ready")
    assert api.find() == ["draft", "ready", "asset"]
    api.become(draft["id"], "Active")
    api.upsert("crd/default/later", status="Active")
    assert api.become(asset["id"], "Active")["status"] == "Active"


def test_an_active_asset_is_not_put_on_a_draft_afterwards(api: Api) -> None:
    draft, asset = api.add("draft"), api.add("asset", status="Active")
    refusal(api.patch(asset["id"], {"dependsOn": [draft["id"]]}), 409, "dependencies-not-ready")
    refusal(api.patch(asset["id"], {"dependsOn": ["crd/a/b"]}), 409, "dependencies-not-ready")


def test_an_asset_that_active_ones_need_becomes_inactive_only_by_force(api: Api) -> None:
    needed = api.add("needed", status="Active")
    active = api.add("active", needed["id"], status="Active")
    api.add("idle", needed["id"])
    problem = refusal(api.patch(needed["id"], {"status": "Inactive"}), 409, "has-dependents")
    assert [blocker["name"] for blocker in problem["blockers"]] == ["active"]
    assert api.become(needed["id"], "Inactive", "force=true")["status"] == "Inactive"
    assert api.get(active["id"])["effectiveStatus"] == "Degraded"


def test_a_failure_is_recorded_whoever_depends_on_it(api: Api) -> None:
    needed = api.add("needed", status="Active")
    api.add("active", needed["id"], status="Active")
    assert api.become(needed["id"], "Failed")["status"] == "Failed"


def test_a_failure_degrades_everything_above_it_and_is_named(api: Api) -> None:
    root = api.add("root", status="Active")
    middle = api.add("middle", root["id"], status="Active")
    top = api.add("top", middle["id"], status="Active")
    aside = api.add("aside", status="Active")
    failed = api.become(root["id"], "Failed")
    assert (failed["effectiveStatus"], failed["causedBy"]) == ("Failed", [])
    for asset in (middle, top):
        now = api.get(asset["id"])
        assert (now["status"], now["effectiveStatus"]) == ("Active", "Degraded")
        assert [cause["id"] for cause in now["causedBy"]] == [root["id"]]
        assert now["version"] == asset["version"]
    assert api.get(aside["id"])["effectiveStatus"] == "Active"
    api.become(root["id"], "Active")
    assert api.get(top["id"]) == top


def test_an_asset_that_failed_itself_is_failed_whatever_it_stands_on(api: Api) -> None:
    root = api.add("root", status="Failed")
    asset = api.add("asset", root["id"], status="Failed")
    assert asset["effectiveStatus"] == "Failed"
    assert [cause["name"] for cause in asset["causedBy"]] == ["root"]

"""Assets that controllers keep, and references that are resolved when their target appears."""

import pytest
from registry_harness import ASSETS, Api, refusal
from tradingbot_registry.storage import engine
from tradingbot_registry.storage.engine import Database

REF = "crd/default/registry.orders-db"


def test_an_upsert_creates_then_changes_then_leaves_alone(api: Api) -> None:
    created = api.upsert(REF, managedBy="crd", config={"a": 1})
    assert created.status_code == 201
    assert created.headers["Location"] == f"{ASSETS}/{created.json['id']}"
    assert (created.json["managedBy"], created.json["externalRef"]) == ("crd", REF)
    again = api.upsert(REF, managedBy="crd", config={"a": 1})
    assert (again.status_code, again.json) == (200, created.json)
    changed = api.upsert(REF, managedBy="crd", config={"a": 2})
    assert (changed.status_code, changed.json["version"]) == (200, 2)
    assert api.client.get(f"{ASSETS}/by-ref/{REF}").json == changed.json


def test_what_get_answers_an_owner_can_be_put_back_and_changes_nothing(api: Api) -> None:
    other = api.add("other")
    for managed_by in ("crd", "operator", "user"):
        path = f"{ASSETS}/by-ref/{REF}-{managed_by}"
        fields = {"managedBy": managed_by, "dependsOn": [other["id"], "a/b/c"], "tags": ["t"]}
        api.upsert(f"{REF}-{managed_by}", **fields, description="d", config={"a": 1})
        got = api.client.get(path).json
        put = api.client.put(path, json=got)
        assert (put.status_code, put.json) == (200, got)
        edited = api.client.put(path, json={**got, "description": "e"})
        assert (edited.status_code, edited.json["version"]) == (200, 2)


def test_an_upsert_does_not_change_who_an_asset_is(api: Api) -> None:
    asset, other = api.upsert(REF).json, api.add("other")
    for ref in (REF, f"{REF}-new"):
        for change in ({"id": other["id"]}, {"externalRef": "a/b/c"}, {"externalRef": None}):
            problem = refusal(api.upsert(ref, **change), 422, "invalid")
            assert [error["pointer"] for error in problem["errors"]] == [f"/{next(iter(change))}"]
    refusal(api.upsert(f"{REF}-new", id=asset["id"]), 422, "invalid")
    assert api.upsert(f"{REF}-new", externalRef=f"{REF}-new").status_code == 201


def test_an_upsert_that_changes_nothing_waits_for_no_writer(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN_SECONDS", 0.01)
    before = api.upsert(REF, tags=["t"]).json
    with database.turn():
        same = api.upsert(REF, tags=["t"])
        assert (same.status_code, same.json) == (200, before)
        refusal(api.upsert(REF, tags=["u"]), 503, "storage")


def test_an_upsert_leaves_status_tags_and_description_that_it_does_not_name(api: Api) -> None:
    asset = api.upsert(REF, tags=["a"], description="x", status="Active").json
    api.patch(asset["id"], {"tags": ["mine"], "description": "mine"})
    same = api.upsert(REF).json
    assert (same["tags"], same["description"], same["status"]) == (["mine"], "mine", "Active")
    owners = api.upsert(REF, tags=[], description="").json
    assert (owners["tags"], owners["description"]) == ([], "")


def test_people_may_tag_and_describe_a_managed_asset_and_no_more(api: Api) -> None:
    asset = api.upsert(REF, managedBy="crd").json
    path = f"{ASSETS}/{asset['id']}"
    changes = ({"name": "b"}, {"type": "ObjectStore"}, {"status": "Active"}, {"config": {"a": 1}})
    for change in changes:
        problem = refusal(api.patch(asset["id"], change), 409, "managed-asset")
        assert (problem["managedBy"], problem["externalRef"]) == ("crd", REF)
        assert next(iter(change)) in problem["detail"]
        put = api.client.put(path, json={"name": "owned", "type": "Other"} | change)
        refusal(put, 409, "managed-asset")
    refusal(api.client.delete(f"{path}?force=true"), 409, "managed-asset")
    assert api.get(asset["id"]) == asset
    body = {"name": "owned", "type": "Other", "tags": ["t"], "description": "d"}
    assert api.client.put(path, json=body).json["tags"] == ["t"]
    assert api.patch(asset["id"], {"tags": ["u"]}).json["managedBy"] == "crd"


def test_an_owner_deletes_by_reference_and_only_by_force_what_others_need(api: Api) -> None:
    asset = api.upsert(REF).json
    dependent = api.add("dependent", asset["id"])
    path = f"{ASSETS}/by-ref/{REF}"
    refusal(api.client.delete(path), 409, "has-dependents")
    assert api.client.delete(f"{path}?force=true").status_code == 204
    assert api.get(dependent["id"])["dependsOn"] == []
    refusal(api.client.delete(path), 404, "asset-not-found")
    refusal(api.client.get(path), 404, "asset-not-found")


def test_an_owner_deletes_what_others_need_and_leaves_them_a_reference(api: Api) -> None:
    asset = api.upsert(REF, status="Active").json
    by_id = api.add("by-id", asset["id"], status="Active")
    by_ref = api.add("by-ref", REF)
    assert by_id["unresolved"] == []
    assert api.client.delete(f"{ASSETS}/by-ref/{REF}?unresolve=true").status_code == 204
    for before in (by_id, by_ref):
        after = api.get(before["id"])
        assert after["dependsOn"] == after["unresolved"] == [REF]
        assert (after["status"], after["version"]) == (before["status"], 2)
    # For those that depended on it, the id that is gone stands for the reference, changing nothing.
    body = {"name": "by-id", "type": "Other", "dependsOn": [asset["id"].upper()]}
    put = api.client.put(f"{ASSETS}/{by_id['id']}", json=body)
    assert (put.status_code, put.json["version"]) == (200, 2)
    body["name"] = "stranger"
    problem = refusal(api.client.post(ASSETS, json=body), 422, "invalid")
    assert problem["errors"][0]["detail"] == "no asset has this id"
    again = api.upsert(REF).json
    assert again["id"] != asset["id"]
    for before in (by_id, by_ref):
        assert api.get(before["id"])["dependsOn"] == [again["id"]]
        assert api.get(before["id"])["unresolved"] == []


def test_what_has_no_reference_leaves_none(api: Api) -> None:
    asset = api.upsert(REF).json
    assert api.upsert(REF, managedBy="user").status_code == 200
    plain = api.add("plain")
    dependent = api.add("dependent", plain["id"], asset["id"])
    refusal(api.client.delete(f"{ASSETS}/{plain['id']}?unresolve=true"), 422, "invalid")
    assert api.client.delete(f"{ASSETS}/{plain['id']}?force=true").status_code == 204
    assert api.get(dependent["id"])["unresolved"] == []


def test_conditions_hold_for_owners_too(api: Api) -> None:
    path = f"{ASSETS}/by-ref/{REF}"
    body = {"name": "a", "type": "Other"}
    absent = api.client.put(path, json=body, headers={"If-Match": "*"})
    refusal(absent, 412, "precondition-failed")
    new = {"If-None-Match": "*"}
    assert api.client.put(path, json=body, headers=new).status_code == 201
    refusal(api.client.put(path, json=body, headers=new), 412, "precondition-failed")
    refusal(api.client.delete(path, headers={"If-Match": '"2"'}), 412, "precondition-failed")


def test_a_reference_waits_for_its_target_and_becomes_its_id(api: Api) -> None:
    waiting = api.add("waiting", REF)
    assert waiting["dependsOn"] == [REF]
    target = api.upsert(REF).json
    resolved = api.get(waiting["id"])
    assert resolved["dependsOn"] == [target["id"]]
    assert resolved["version"] == 2
    assert api.upsert("bot/a/b", dependsOn=[REF]).json["dependsOn"] == [target["id"]]
    # Naming the target by either of its names is the same wish.
    same = api.upsert("bot/a/b", dependsOn=[target["id"]])
    assert (same.status_code, same.json["version"]) == (200, 1)


def test_a_target_that_would_close_a_cycle_is_refused_when_it_appears(api: Api) -> None:
    waiting = api.add("waiting", REF)
    problem = refusal(api.upsert(REF, "late", dependsOn=[waiting["id"]]), 409, "dependency-cycle")
    assert [step["name"] for step in problem["cycle"]] == ["late", "waiting", "late"]
    assert api.find() == ["waiting"]
    assert api.get(waiting["id"]) == waiting


def test_an_owner_lists_what_it_holds(api: Api) -> None:
    for ref in ("crd/default/one.a", "crd/default/one.b", "crd/default/one2.a", "crd/other/one.a"):
        api.upsert(ref, name=ref.replace("/", "-"))
    assert api.find("external_ref_prefix=crd/default/one.") == [
        "crd-default-one.a",
        "crd-default-one.b",
    ]


def test_an_owner_hands_an_asset_over_to_people_who_may_then_edit_and_delete_it(api: Api) -> None:
    asset = api.upsert(REF, managedBy="crd").get_json()
    refusal(api.patch(asset["id"], {"name": "mine"}), 409, "managed-asset")
    assert api.upsert(REF, managedBy="user").get_json()["managedBy"] == "user"
    assert api.patch(asset["id"], {"name": "mine"}).get_json()["name"] == "mine"
    assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204


def test_what_can_be_no_reference_is_refused(api: Api) -> None:
    for ref in ("CRD/default/a", "crd/Default/a", "crd/default/a_b", "crd/default/-a"):
        refusal(api.upsert(ref), 422, "invalid")
    refusal(api.upsert(REF, managedBy="nobody"), 422, "invalid")
    body = {"name": "a", "type": "Other", "dependsOn": ["crd/default", "not-a-uuid"]}
    problem = refusal(api.client.post(ASSETS, json=body), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/dependsOn/0", "/dependsOn/1"]

"""Assets by id: made, read, changed, deleted, under conditions."""

import uuid

import marshmallow as ma
from registry_harness import ASSETS, MERGE_PATCH, Api, refusal
from tradingbot_registry.rest.read_only import ReferenceSchema
from tradingbot_registry.rest.responses import AssetSchema, ReachedSchema

FULL = {
    "name": "orders-db",
    "type": "DatabaseConnection",
    "status": "Active",
    "description": "Orders",
    "tags": ["team-a", "env:prod"],
    "config": {"engine": "postgres", "host": "db", "database": "orders", "pool": {"max": 5}},
    "secretRef": {"name": "orders-db", "key": "password"},
    "dependsOn": [],
}


def test_a_new_asset_is_answered_in_full_with_its_place_and_tag(api: Api) -> None:
    response = api.client.post(ASSETS, json=FULL)
    assert response.status_code == 201
    asset = response.json
    assert response.headers["Location"] == f"{ASSETS}/{asset['id']}"
    assert response.headers["ETag"] == '"1"'
    assert asset | FULL == asset | {"tags": ["team-a", "env:prod"]}
    assert asset["tags"] == ["env:prod", "team-a"]
    assert asset["managedBy"] == "user"
    assert asset["externalRef"] is None
    assert asset["effectiveStatus"] == "Active"
    assert asset["createdAt"] == asset["updatedAt"] == "2026-01-01T00:00:01.000000Z"
    assert api.get(asset["id"]) == asset


def test_a_minimal_asset_gets_the_defaults(api: Api) -> None:
    asset = api.add("a")
    assert asset["status"] == "Draft"
    assert asset["description"] == ""
    assert asset["tags"] == asset["dependsOn"] == asset["causedBy"] == []
    assert asset["config"] == {}
    assert asset["secretRef"] is None
    assert asset["version"] == 1


def test_two_assets_may_share_a_name(api: Api) -> None:
    assert api.add("a")["id"] != api.add("a")["id"]


def test_what_get_answers_can_be_put_back_and_changes_nothing(api: Api) -> None:
    other = api.add("other")
    asset = api.client.post(ASSETS, json=FULL | {"dependsOn": [other["id"]], "status": "Draft"})
    put = api.client.put(f"{ASSETS}/{asset.json['id']}", json=asset.json)
    assert put.status_code == 200
    assert put.json == asset.json


def test_a_put_resets_what_it_leaves_out_except_the_status(api: Api) -> None:
    asset = api.client.post(ASSETS, json=FULL).json
    body = {"name": "new", "type": "Other"}
    changed = api.client.put(f"{ASSETS}/{asset['id']}", json=body).json
    assert changed["version"] == 2
    assert changed["status"] == "Active"
    assert (changed["config"], changed["tags"], changed["secretRef"]) == ({}, [], None)
    assert changed["updatedAt"] > changed["createdAt"] == asset["createdAt"]


def test_a_patch_merges_objects_and_removes_what_is_null(api: Api) -> None:
    asset = api.client.post(ASSETS, json=FULL).json
    changes = {"config": {"pool": {"max": None, "min": 1}, "host": "db2"}, "secretRef": None}
    changed = api.patch(asset["id"], changes).json
    assert changed["config"] == {
        "engine": "postgres",
        "host": "db2",
        "database": "orders",
        "pool": {"min": 1},
    }
    assert changed["secretRef"] is None
    assert changed["tags"] == asset["tags"]


def test_a_patch_that_removes_what_is_required_is_refused_by_name(api: Api) -> None:
    asset = api.client.post(ASSETS, json=FULL).json
    problem = refusal(
        api.patch(asset["id"], {"name": None, "config": {"host": None}}), 422, "invalid"
    )
    assert [error["pointer"] for error in problem["errors"]] == ["/name", "/config/host"]


def test_a_change_that_changes_nothing_makes_no_new_version(api: Api) -> None:
    asset = api.client.post(ASSETS, json=FULL).json
    same = api.patch(asset["id"], {"tags": ["env:prod", "team-a"], "config": {"host": "db"}})
    assert same.json == asset


def test_json_values_that_python_holds_for_equal_are_a_change(api: Api) -> None:
    asset = api.add("a", config={"n": 1})
    assert api.patch(asset["id"], {"config": {"n": True}}).json["version"] == 2
    assert api.patch(asset["id"], {"config": {"n": 1.0}}).json["version"] == 3


def test_identity_is_settled_when_the_asset_is_made(api: Api) -> None:
    asset = api.add("a")
    for change in ({"id": str(uuid.uuid4())}, {"managedBy": "crd"}, {"externalRef": "a/b/c"}):
        problem = refusal(api.patch(asset["id"], change), 422, "invalid")
        assert problem["errors"][0]["pointer"] == f"/{next(iter(change))}"
        refusal(
            api.client.post(ASSETS, json={"name": "b", "type": "Other"} | change), 422, "invalid"
        )
    assert api.find() == ["a"]


def test_a_write_goes_through_only_on_the_version_it_names(api: Api) -> None:
    asset = api.add("a")
    path = f"{ASSETS}/{asset['id']}"
    assert api.patch(asset["id"], {"name": "b"}, If_Match='"1"').status_code == 200
    for stale in ('"1"', 'W/"2"', '"x"', '"20"'):
        refusal(api.patch(asset["id"], {"name": "c"}, If_Match=stale), 412, "precondition-failed")
        put = api.client.put(path, json={"name": "c", "type": "Other"}, headers={"If-Match": stale})
        refusal(put, 412, "precondition-failed")
        refusal(api.client.delete(path, headers={"If-Match": stale}), 412, "precondition-failed")
    assert api.get(asset["id"])["name"] == "b"
    assert api.patch(asset["id"], {"name": "c"}, If_Match='"1", "2"').status_code == 200
    assert api.client.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_a_stale_condition_is_told_before_any_other_conflict(api: Api) -> None:
    asset = api.add("a", status="Active")
    refusal(api.patch(asset["id"], {"status": "Draft"}, If_Match='"9"'), 412, "precondition-failed")


def test_a_client_that_has_the_asset_gets_304_also_for_a_weak_tag(api: Api) -> None:
    asset = api.add("a")
    path = f"{ASSETS}/{asset['id']}"
    for tag in ('"1"', 'W/"1"', '"7", W/"1"', "*"):
        response = api.client.get(path, headers={"If-None-Match": tag})
        assert response.status_code == 304, tag
        assert response.data == b""
        assert "Content-Type" not in response.headers
        assert response.headers["ETag"] == '"1"'
    assert api.client.get(path, headers={"If-None-Match": '"2"'}).status_code == 200


def test_a_cached_answer_does_not_outlive_the_health_that_it_shows(api: Api) -> None:
    cause = api.add("cause", status="Active")
    asset = api.add("asset", cause["id"], status="Active")
    path = f"{ASSETS}/{asset['id']}"
    before = api.client.get(path).headers["ETag"]
    api.become(cause["id"], "Failed")
    response = api.client.get(path, headers={"If-None-Match": before})
    assert response.status_code == 200
    assert response.json["effectiveStatus"] == "Degraded"
    # The asset itself has not changed: an edit begun before still goes through.
    assert api.patch(asset["id"], {"name": "b"}, If_Match=before).status_code == 200
    now = api.client.get(path).headers["ETag"]
    assert api.client.get(path, headers={"If-None-Match": now}).status_code == 304
    assert api.patch(asset["id"], {"name": "c"}, If_Match=now).status_code == 200


def test_a_deleted_asset_is_gone(api: Api) -> None:
    asset = api.add("a", tags=["x"])
    response = api.client.delete(f"{ASSETS}/{asset['id']}")
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    refusal(api.client.get(f"{ASSETS}/{asset['id']}"), 404, "asset-not-found")
    refusal(api.client.delete(f"{ASSETS}/{asset['id']}"), 404, "asset-not-found")
    refusal(api.patch(asset["id"], {}), 404, "asset-not-found")
    assert api.find("tag=x") == []


def test_a_tag_taken_from_one_asset_stays_on_the_others(api: Api) -> None:
    asset = api.add("a", tags=["shared", "own"])
    api.add("b", tags=["shared"])
    assert api.patch(asset["id"], {"tags": ["new"]}).json["tags"] == ["new"]
    assert api.find("tag=shared") == ["b"]
    assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
    assert api.find("any_tag=own&any_tag=new&any_tag=shared") == ["b"]


def test_an_asset_that_others_need_is_not_deleted(api: Api) -> None:
    needed = api.add("needed")
    names = [api.add(name, needed["id"])["name"] for name in ("first", "second")]
    problem = refusal(api.client.delete(f"{ASSETS}/{needed['id']}"), 409, "has-dependents")
    assert [blocker["name"] for blocker in problem["blockers"]] == names
    assert api.get(needed["id"]) == needed


def test_force_detaches_the_dependents_and_counts_as_a_change_of_them(api: Api) -> None:
    needed, kept = api.add("needed"), api.add("kept")
    dependent = api.add("dependent", needed["id"], kept["id"])
    assert api.client.delete(f"{ASSETS}/{needed['id']}?force=true").status_code == 204
    after = api.get(dependent["id"])
    assert after["dependsOn"] == [kept["id"]]
    assert after["version"] == 2
    assert after["updatedAt"] > dependent["updatedAt"]


def test_a_dry_run_says_what_would_happen_and_does_nothing(api: Api) -> None:
    needed = api.add("needed")
    dependent = api.add("dependent", needed["id"])
    path = f"{ASSETS}/{needed['id']}?dry_run=true"
    blocked = api.client.delete(path)
    assert blocked.status_code == 200
    assert blocked.json["allowed"] is False
    assert [asset["id"] for asset in blocked.json["dependents"]] == [dependent["id"]]
    assert api.client.delete(f"{path}&force=true").json["allowed"] is True
    assert api.get(needed["id"]) == needed
    assert api.get(dependent["id"]) == dependent


def test_a_patch_is_a_merge_patch_by_its_media_type(api: Api) -> None:
    asset = api.add("a")
    response = api.client.patch(f"{ASSETS}/{asset['id']}", json={"name": "b"})
    refusal(response, 415, "unsupported-media-type")
    assert response.headers["Accept-Patch"] == MERGE_PATCH


def test_assets_are_written_as_the_document_says(api: Api) -> None:
    api.upsert("crd/a/b", "b", status="Failed", secretRef={"name": "s", "key": "k"})
    ref = api.client.get(f"{ASSETS}/by-ref/crd/a/b").json
    asset = api.add("a", ref["id"], "x/y/z", tags=["t"], config={"n": [1, 2.5, 2**70]})
    assert list(asset) == keys_of(AssetSchema)
    assert list(asset["causedBy"][0]) == keys_of(ReferenceSchema)
    reached = api.client.get(f"{ASSETS}/{asset['id']}/dependencies").json
    assert list(reached[0]) == keys_of(ReachedSchema)


def keys_of(schema: type[ma.Schema]) -> list[str]:
    return [field.data_key or name for name, field in schema().fields.items()]

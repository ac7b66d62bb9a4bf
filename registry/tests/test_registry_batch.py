"""Many operations, all or none of which are done."""

from typing import Any
from uuid import UUID

from registry_harness import ASSETS, Api, refusal
from werkzeug.test import TestResponse

BATCH = f"{ASSETS}:batch"


def send(api: Api, *items: Any, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.post(BATCH, json={"items": list(items)}, headers=named)


def create(name: str, *depends_on: str, ref: str | None = None, **fields: Any) -> Any:
    asset = {"name": name, "type": "Other", "dependsOn": list(depends_on), **fields}
    return {"op": "create", "asset": asset, **({} if ref is None else {"ref": ref})}


def test_operations_are_done_together_whatever_their_order(api: Api) -> None:
    old = api.add("old")
    user = api.add("user", old["id"])
    response = send(
        api,
        {"op": "delete", "id": old["id"], "version": 1},
        {"op": "update", "id": user["id"], "patch": {"dependsOn": ["#b"], "tags": ["t"]}},
        create("a", "#b", ref="a", status="Active"),
        create("b", ref="b", status="Active"),
    )
    assert response.status_code == 200, response.text
    deleted, updated, a, b = response.json["items"]
    assert (deleted["op"], deleted["id"], deleted["asset"]) == ("delete", old["id"], None)
    assert updated["asset"]["dependsOn"] == a["asset"]["dependsOn"] == [b["id"]]
    assert [item["asset"] for item in (updated, a, b)] == [
        api.get(item["id"]) for item in (updated, a, b)
    ]
    assert api.find("sort=name") == ["a", "b", "user"]
    found = api.client.get("/api/v1/changes?since=2").json["changes"]
    assert [entry["action"] for entry in found] == ["created", "created", "updated", "deleted"]


def test_if_one_is_refused_none_is_done(api: Api) -> None:
    needed, draft = api.add("needed", status="Active"), api.add("draft")
    api.add("needs", needed["id"], status="Active")
    owned = api.upsert("crd/default/x", managedBy="crd").json
    before = api.client.get(ASSETS).json
    unknown = str(UUID(int=1))
    update = {"op": "update", "id": needed["id"]}
    old = {"op": "update", "id": draft["id"], "patch": {}, "version": 9}
    for refused, status, slug in (
        ({"op": "delete", "id": needed["id"]}, 409, "has-dependents"),
        ({**update, "patch": {"status": "Draft"}}, 409, "forbidden-transition"),
        (old, 412, "precondition-failed"),
        ({"op": "delete", "id": draft["id"], "version": 9}, 412, "precondition-failed"),
        ({"op": "update", "id": unknown, "patch": {}}, 404, "asset-not-found"),
        ({"op": "delete", "id": owned["id"]}, 409, "managed-asset"),
        (create("c", draft["id"], status="Active"), 409, "dependencies-not-ready"),
    ):
        problem = refusal(send(api, create("new"), refused), status, slug)
        assert problem["item"] == 1
        assert problem["detail"].startswith("item 1: ")
    assert api.client.get(ASSETS).json == before
    assert send(api, {"op": "delete", "id": needed["id"], "force": True}).status_code == 200


def test_mistakes_are_named_by_item_and_all_at_once(api: Api) -> None:
    asset = api.add("a")
    problem = refusal(
        send(
            api,
            create("", "#none", "#neither"),
            create("x", ref="r"),
            create("y", ref="r", config={"password": "x"}),
            {"op": "delete", "id": asset["id"]},
            {"op": "delete", "id": asset["id"]},
        ),
        422,
        "invalid",
    )
    assert {error["pointer"] for error in problem["errors"]} == {
        "/items/0/asset/name",
        "/items/0/asset/dependsOn/0",
        "/items/0/asset/dependsOn/1",
        "/items/2/ref",
        "/items/2/asset/config/password",
        "/items/4/id",
    }
    for item, place in (
        ({"op": "move"}, "op"),
        ({}, "op"),
        ({"op": "create"}, "asset"),
        ({"op": "update", "id": asset["id"]}, "patch"),
        ({"op": "delete", "id": "x"}, "id"),
        ({**create("a"), "id": asset["id"]}, "id"),
        ({"op": "delete", "id": asset["id"], "asset": {}}, "asset"),
        ({"op": "delete", "id": asset["id"], "version": "1"}, "version"),
        ({"op": "delete", "id": asset["id"], "colour": 1}, "colour"),
    ):
        found = refusal(send(api, item), 422, "invalid")["errors"]
        assert [error["pointer"] for error in found] == [f"/items/0/{place}"]
    patch = {"op": "update", "id": asset["id"], "patch": {"name": ""}}
    found = refusal(send(api, patch), 422, "invalid")["errors"]
    assert [error["pointer"] for error in found] == ["/items/0/patch/name"]
    circle = (create("a", "#b", ref="a"), create("b", "#a", ref="b"))
    found = refusal(send(api, *circle), 422, "invalid")["errors"]
    assert [error["pointer"] for error in found] == ["/items"]
    refusal(send(api), 422, "invalid")
    # The items of one that is too long are not even read.
    found = refusal(send(api, *[{}] * 501), 422, "invalid")["errors"]
    assert [error["pointer"] for error in found] == ["/items"]
    refusal(api.client.post(BATCH, json=[]), 422, "invalid")
    assert api.find() == ["a"]


def test_a_batch_may_be_repeated_with_its_key(api: Api) -> None:
    first = send(api, create("a", ref="a"), create("b", "#a"), Idempotency_Key="k")
    again = send(api, create("a", ref="a"), create("b", "#a"), Idempotency_Key="k")
    assert first.status_code == 200, first.text
    assert again.data == first.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.find() == ["a", "b"]
